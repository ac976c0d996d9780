"""The council as it is written: every field of the YAML, typed, bounded and explained.

The descriptions here are what `mom councils check` prints and what LangGraph Studio shows.
Names that point at other names (a character's model, a fallback) are checked in
`councils.coherence`; `councils.loader` turns every refusal into one line with its path.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from mom_council.councils.models import (
    Character,
    Lane,
    Model,
    Name,
    Pointer,
    Price,
    Section,
    Weight,
)
from mom_council.councils.tools import Server, Tool
from mom_council.redaction import refuse_secrets
from mom_council.voting.methods import ALIASES, METHODS, describe_methods

__all__ = [
    "Annotator",
    "Budget",
    "Cache",
    "Character",
    "Classifier",
    "Council",
    "Deliberation",
    "Extension",
    "Lane",
    "Likeness",
    "MethodName",
    "Model",
    "Name",
    "Painter",
    "Pictures",
    "Pointer",
    "Price",
    "Rounds",
    "Section",
    "Server",
    "Share",
    "StopRule",
    "Synthesizer",
    "Thermal",
    "Tool",
    "Tracing",
    "Weight",
]

Share = Annotated[float, Field(ge=0.0, le=1.0)]


def _plain_method(name: Any) -> Any:
    return ALIASES.get(name, name) if isinstance(name, str) else name


if TYPE_CHECKING:
    MethodName = str
else:
    MethodName = Annotated[
        Literal[tuple(METHODS)],
        BeforeValidator(_plain_method, json_schema_input_type=Literal[(*METHODS, *ALIASES)]),
    ]
    """The name of a vote method: of those in the table of voting/methods, and no other."""


StopRule = Literal["all", "lossless", "threshold", "beta", "dirichlet", "calibrated"]


class Rounds(Section):
    """How often the council may speak and vote."""

    min: int = Field(default=1, ge=1, le=20, description="rounds even when they agree at once")
    max: int = Field(default=2, ge=1, le=20, description="rounds at the most")

    @model_validator(mode="after")
    def _are_in_order(self) -> Self:
        if self.min > self.max:
            raise ValueError(f"min must be at most max, is {self.min} with max {self.max}")
        return self


class Likeness(Section):
    """How like two open answers are, by a model that turns texts into vectors."""

    model: Pointer = Field(description="a key of `models`, of an embedding model")
    threshold: Share = Field(
        default=0.8, description="cosine from which on two texts say the same; it varies by model"
    )


class Deliberation(Section):
    """How the council votes and when it stops."""

    method: MethodName = Field(
        default="plurality",
        description=f"how votes are counted. {describe_methods()}",
    )
    rounds: Rounds = Field(default=Rounds(), description="how many rounds, at least and at most")
    threshold: Share = Field(default=0.7, description="share of the tally that counts as agreement")
    quorum: Share = Field(
        default=0.5,
        description="share of the seated that must answer; below 1 stragglers are raced",
    )
    minimum: int = Field(
        default=1, ge=1, le=64, description="proposals without which there is no answer"
    )
    grace: float = Field(
        default=20, ge=0, le=3600, description="seconds stragglers get once a quorum has answered"
    )
    ballots: Literal["auto", "always"] = Field(
        default="auto", description="auto: no ballots when all proposals give the same answer"
    )
    mode: Literal["independent", "sequential"] = Field(
        default="independent", description="sequential: each hears those who spoke before it"
    )
    stop: StopRule = Field(
        default="all",
        description="when enough have been asked; what still runs then is cancelled. all: never; "
        "lossless: no rest can change the leader; threshold: that share of those asked gives one "
        "answer; beta, dirichlet: the leader is probably the majority; calibrated: it is probably "
        "right, as fitted by `mom weights fit`",
    )
    sure: float | None = Field(
        default=None,
        gt=0.5,
        lt=1.0,
        description="probability that beta, dirichlet and calibrated stop at; unset: 0.95, or what "
        "was fitted",
    )
    waves: tuple[int, ...] = Field(
        default=(),
        max_length=64,
        description="how many of a layer have been asked after each wave, then all: [3, 5]; "
        "needs a `stop` and the method answers",
    )
    order: Literal["seats", "price", "strength"] = Field(
        default="seats",
        description="whom to ask first, and whom ties favour: as the layers are written, the "
        "cheapest, or who has been right most often",
    )
    likeness: Likeness | None = Field(
        default=None, description="for similarity: a model of vectors; left out: equal words"
    )
    weights: Literal["written", "learned"] = Field(
        default="written",
        description="learned: by how often each model was right on such questions; see mom weights",
    )
    topic: str = Field(
        default="",
        max_length=200,
        description="the kind of question, as mom weights show names it; unset: the annotator "
        "says, or any",
    )
    hears: Literal["layer", "opposite"] = Field(
        default="layer",
        description="what a later layer reads: the whole layer before it, or, each of it, only who "
        "has the same place there",
    )
    cascade: bool = Field(
        default=False,
        description="a further layer is asked only where the answers of the layer before do not "
        "agree: cheap models first, the strong one for what is left",
    )
    depth: Literal["full", "annotator"] = Field(
        default="full",
        description="annotator: for each question it says whether one character answers alone, "
        "three of the first layer, all, or all in two rounds at least",
    )

    @field_validator("waves")
    @classmethod
    def _rise(cls, waves: tuple[int, ...]) -> tuple[int, ...]:
        if any(one < 1 for one in waves) or list(waves) != sorted(set(waves)):
            raise ValueError("must rise, each number counting all who were asked: [3, 5]")
        return waves

    @property
    def asks_voters(self) -> bool:
        """Whether the method asks for ballots; otherwise the graph has no voters."""
        return METHODS[self.method].asks_voters


class Annotator(Section):
    """Reads the question before the council does."""

    model: Pointer = Field(description="a key of `models`")
    personality: str = Field(default="", max_length=20_000, description="who reads, and what for")


class Classifier(Section):
    """Chooses between a text and an image answer."""

    model: Pointer | None = Field(
        default=None, description="a key of `models`; unset: keywords alone"
    )


class Synthesizer(Section):
    """Writes the council's one answer."""

    model: Pointer = Field(description="a key of `models`; its fallbacks are asked in order")
    personality: str = Field(default="", max_length=20_000, description="who writes")
    shuffle: bool = Field(default=True, description="proposals in a seeded random order")
    dropout: float = Field(
        default=0.0, ge=0.0, lt=1.0, description="chance that a seat is left out; never everyone"
    )
    anonymous: bool = Field(default=True, description="hide who proposed what")
    compare: Literal["words", "model", "none"] = Field(
        default="words",
        description="what it is told of agreement, contradictions and points that one alone makes: "
        "words: found by code, at no call; model: it compares in a first call of its own; none",
    )
    template: str = Field(
        default="",
        max_length=50_000,
        description="what it is asked, in your own words, with {user_query}, {responses} and, if "
        "you like, {response_weights}; any other brace is a brace",
    )
    tools: tuple[Pointer, ...] = Field(
        default=(), max_length=64, description="keys of `tools`, or tools that come along"
    )
    tool_calls: int = Field(
        default=8, ge=1, le=64, description="calls of tools for one answer, at the most"
    )

    @field_validator("template")
    @classmethod
    def _holds_what_it_is_about(cls, template: str) -> str:
        lacking = [name for name in ("{user_query}", "{responses}") if name not in template]
        if template and lacking:
            raise ValueError(f"has no {lacking[0]}; write it where that is to stand")
        return template


class Pictures(Section):
    """What is done with pictures that come with a question."""

    fetch: bool = Field(
        default=False, description="fetch a picture that is given by a public web address"
    )
    side: int = Field(
        default=1568, ge=64, le=4096, description="pixels of the longer side as models are sent it"
    )


class Painter(Section):
    """Draws the picture when the question asks for one."""

    model: Pointer = Field(
        description="a key of `models` that makes images: on diffusers, or on openai (any server "
        "with /v1/images/generations)"
    )
    writer: Pointer | None = Field(
        default=None, description="who writes the image prompt; unset: the synthesizer's model"
    )
    size: str | None = Field(
        default=None,
        pattern=r"^[1-9]\d{1,3}x[1-9]\d{1,3}$",
        description="width x height in pixels, such as 512x768; unset: 512x512, or the server's",
    )
    steps: int | None = Field(
        default=None, ge=1, le=200, description="unset: 4 on diffusers, or the server's"
    )
    guidance: float | None = Field(
        default=None, ge=0, le=50, description="unset: 0 on diffusers, or the server's"
    )
    negative: str = Field(default="", max_length=2_000, description="what is not to be seen")
    seed: int | None = Field(
        default=None, ge=0, lt=2**32, description="the same picture every time; unset: a new one"
    )

    @property
    def pixels(self) -> tuple[int, int] | None:
        """The size as numbers."""
        if self.size is None:
            return None
        width, _, height = self.size.partition("x")
        return int(width), int(height)


class Thermal(Section):
    """When the hardware is too hot, the council waits."""

    limit: float = Field(default=75, ge=20, le=120, description="degrees Celsius that start a wait")
    resume: float = Field(default=68, ge=10, le=120, description="degrees that end it")
    poll: float = Field(default=5, gt=0, le=300, description="seconds between two readings")
    max_wait: float = Field(default=900, ge=0, le=86_400, description="seconds at the most")
    then: Literal["proceed", "stop"] = Field(default="proceed", description="after max_wait")

    @model_validator(mode="after")
    def _cools_down(self) -> Self:
        if self.resume > self.limit:
            raise ValueError(
                f"resume must be at most limit, is {self.resume:g} with limit {self.limit:g}"
            )
        return self


class Budget(Section):
    """What one question may spend; unset means no limit."""

    calls: int | None = Field(default=None, ge=1, description="requests to models")
    tokens: int | None = Field(default=None, ge=1, description="input and output together")
    seconds: float | None = Field(default=None, gt=0, description="wall time")
    usd: float | None = Field(default=None, gt=0, description="dollars, where prices are known")


class Cache(Section):
    """Answers kept for identical requests."""

    ttl: float = Field(default=86_400, gt=0, description="seconds an answer is good for")
    megabytes: int = Field(default=256, ge=1, le=100_000, description="size bound on disk")


class Extension(Section):
    """Code of yours that is called around the nodes."""

    use: str = Field(min_length=1, description="module, entry point or folder")
    settings: dict[str, Any] = Field(default_factory=dict, description="handed to it as they are")
    timeout: float = Field(default=10, gt=0, le=600, description="seconds for one of its hooks")

    @field_validator("settings")
    @classmethod
    def _hold_no_secret(cls, settings: dict[str, Any]) -> dict[str, Any]:
        return refuse_secrets(settings, "let the extension read it from the environment")


class Tracing(Section):
    """What is written down about a run."""

    local: bool = Field(default=True, description="a trace on this machine, for `mom trace`")
    langsmith: bool = Field(default=True, description="send to LangSmith, if its key is set")
    content: bool = Field(default=True, description="keep prompts and replies, not only timings")


class Council(Section):
    """One YAML file: who sits, how they decide, who writes the answer."""

    name: Name = Field(description="the council's name")
    description: str = Field(default="", max_length=2_000, description="one line for lists")
    models: dict[Name, Model] = Field(min_length=1, description="the voices, by the key used below")
    lanes: dict[Name, Lane] = Field(
        default_factory=dict, description="limits of the lanes that models name"
    )
    characters: tuple[Character, ...] = Field(min_length=1, max_length=64, description="the seats")
    layers: tuple[tuple[Pointer, ...], ...] = Field(
        default=(), max_length=16, description="who speaks together; left out: one layer of all"
    )
    annotator: Annotator | None = Field(default=None, description="left out: the question as it is")
    classifier: Classifier = Field(default=Classifier(), description="text or image")
    deliberation: Deliberation = Field(default=Deliberation(), description="votes and rounds")
    synthesizer: Synthesizer = Field(description="who writes the one answer")
    pictures: Pictures = Field(default=Pictures(), description="that come with a question")
    painter: Painter | None = Field(default=None, description="left out: text answers only")
    thermal: Thermal | None = Field(default=Thermal(), description="null: no thermal watch")
    budget: Budget = Field(default=Budget(), description="what one question may spend")
    cache: Cache | None = Field(default=None, description="left out: every question is asked anew")
    tools: dict[Name, Tool] = Field(
        default_factory=dict,
        max_length=64,
        description="what models may call, by name",
    )
    extensions: tuple[Extension, ...] = Field(default=(), description="code of yours, in order")
    tracing: Tracing = Field(default=Tracing(), description="what is written down about a run")
    prompts: str = Field(
        default="standard",
        description="standard, short (for very small models), or a folder with templates of yours",
    )
    prices: str | None = Field(
        default=None,
        min_length=1,
        max_length=4096,
        description="a YAML file of prices; left out: `prices.yaml` in the configuration folder",
    )
    history: int = Field(
        default=12, ge=0, le=1000, description="earlier messages of the thread that everyone reads"
    )
    seed: int = Field(
        default=0, ge=0, lt=2**32, description="of shuffles, dropout and ballot orders"
    )

    @property
    def seats(self) -> tuple[tuple[str, ...], ...]:
        """The layers, with the default filled in."""
        return self.layers or (tuple(character.name for character in self.characters),)

    def character(self, name: str) -> Character:
        """The character called `name`.

        Raises:
            KeyError: nobody is called that.
        """
        for character in self.characters:
            if character.name == name:
                return character
        raise KeyError(name)
