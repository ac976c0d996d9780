"""The schema of a council: every field of the YAML, typed, bounded and explained.

The descriptions here are what `mom councils check` prints and what LangGraph Studio shows.
Names that point at other names (a character's model, a fallback) are checked in
`councils.coherence`; `councils.loader` turns every refusal into one line with its path.
"""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from mom_council.councils.models import (
    Character,
    LaneRules,
    Model,
    ModelKey,
    Name,
    Pointer,
    Price,
    Section,
    Weight,
)
from mom_council.councils.sections import (
    Annotator,
    Budget,
    Cache,
    Classifier,
    ExtensionEntry,
    Painter,
    PictureRules,
    Server,
    Synthesizer,
    Thermal,
    Tool,
    Tracing,
)
from mom_council.voting.methods import ALIASES, METHODS, describe_methods

RESERVED = frozenset(
    {
        "__start__",
        "__end__",
        "classifier",
        "image_reader",
        "annotator",
        "seating",
        "thermal_wait",
        "equality_check",
        "quorum",
        "consensus",
        "comparison",
        "synthesizer",
        "painter",
    }
)
"""What the graph calls its own nodes. A character's node is called by the character's name."""


def voter_node(name: str) -> str:
    """The node in which the character called `name` votes."""
    return f"{name} votes"


def sameness(name: str) -> str:
    """Two names with one sameness look alike to a reader: case, width and blanks aside."""
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


__all__ = [
    "Annotator",
    "Budget",
    "Cache",
    "Character",
    "Classifier",
    "Council",
    "Deliberation",
    "ExtensionEntry",
    "LaneRules",
    "Likeness",
    "MethodName",
    "Model",
    "Name",
    "Painter",
    "PictureRules",
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

    LABELS: ClassVar = {"min": "Rounds at least", "max": "Rounds at most"}

    min: int = Field(
        default=1, ge=1, le=20, description="rounds that are held even when all agree at once"
    )
    max: int = Field(default=2, ge=1, le=20, description="rounds after which the council stops")

    @model_validator(mode="after")
    def _are_in_order(self) -> Self:
        if self.min > self.max:
            raise ValueError(f"min must be at most max, is {self.min} with max {self.max}")
        return self


class Likeness(Section):
    """How like two open answers are, by a model that turns texts into vectors."""

    model: ModelKey = Field(description="a key of `models`: an embedding model")
    threshold: Share = Field(
        default=0.8,
        description="cosine similarity from which two texts count as the same; it depends on "
        "the model",
    )


class Deliberation(Section):
    """How the council votes and when it stops."""

    LABELS: ClassVar = {
        "method": "Voting method",
        "minimum": "Minimum proposals",
        "grace": "Grace (seconds)",
        "unsure": "Without a majority",
        "mode": "Speaking order",
        "stop": "Early stop",
        "sure": "Early stop probability",
        "order": "Ask first",
        "likeness": "Embedding model",
        "hears": "A later layer reads",
    }
    EXPERT: ClassVar = (
        "minimum grace ballots unsure stop sure waves order likeness topic hears cascade "
        "escalation ask_doubtful cluster_open"
    )

    LEFT_OPEN: ClassVar = ("stop", "order", "weights")
    """Settings that a file may leave open, so that what is known of the council decides."""

    method: MethodName = Field(
        default="plurality", description=f"how votes are counted. {describe_methods()}"
    )
    rounds: Rounds = Field(default=Rounds(), description="how often the council may speak and vote")
    threshold: Share = Field(default=0.7, description="share of the votes that counts as agreement")
    quorum: Share = Field(
        default=0.5,
        description="share of the characters that must answer; below 1, slow characters are cut "
        "off after `grace` seconds",
    )
    minimum: int = Field(
        default=1,
        ge=1,
        le=64,
        description="fewest proposals for an answer; with fewer the question fails",
    )
    grace: float = Field(
        default=20,
        ge=0,
        le=3600,
        description="how long slow characters may go on once a quorum has answered",
    )
    ballots: Literal["auto", "always"] = Field(
        default="auto",
        description="auto: no ballots when more than half give the same answer, which then leads; "
        "always: they always vote, and a vote against such an answer is noted",
    )
    mode: Literal["independent", "sequential"] = Field(
        default="independent",
        description="independent: all at once; sequential: each reads those who spoke before it",
    )
    stop: StopRule = Field(
        default="all",
        description="when to stop asking, and cancel what still runs. all: never; lossless: "
        "when the rest cannot change the leader; threshold: when that share of those asked gives "
        "one answer; beta, dirichlet: when the leader is probably the majority; calibrated: an "
        "older name of lossless. Not set: lossless once the council is fitted (`mom weights "
        "fit`), all before",
    )
    sure: float | None = Field(
        default=None,
        gt=0.5,
        lt=1.0,
        description="probability at which beta and dirichlet stop; not set: 0.95",
    )
    waves: tuple[int, ...] = Field(
        default=(),
        max_length=64,
        description="how many characters of the last layer are asked in each wave, or under a "
        "method that asks for ballots how many voters, counted from the first: [3, 5] asks three, "
        "then two more, then all; needs an early stop. Left out: with an `order`, as few at a time "
        "as can settle the vote; else all at once",
    )
    order: Literal["seats", "price", "strength"] = Field(
        default="seats",
        description="whom to ask first. seats: as the layers are written, and ties go to the "
        "first; price: the cheapest; strength: who was right most often; of both, ties go to the "
        "stronger where strength is known. Not set: strength once the council is fitted, seats "
        "before",
    )
    likeness: Likeness | None = Field(
        default=None,
        description="for the method similarity: a model that compares texts; not set: equal "
        "words are counted",
    )
    weights: Literal["written", "learned"] = Field(
        default="written",
        description="written: as each character's weight says; learned: by how often its model "
        "was right, or agreed with the others, before (see `mom weights`). Not set: learned once "
        "something was learned of the council, unless a character's weight is written",
    )
    topic: str = Field(
        default="",
        max_length=200,
        description="the kind of question, as `mom weights show` names it; not set: the "
        "annotator's, or any",
    )
    hears: Literal["layer", "opposite", "every"] = Field(
        default="layer",
        description="layer: the whole layer before it; opposite: only the character in the same "
        "place there; every: all layers before it",
    )
    cascade: bool = Field(
        default=False,
        description="ask a further layer only if the answers of the layer before it differ: "
        "cheap models first, the strong one for the rest. With an `order` other than seats, "
        "a layer is asked as few at a time as can settle whether it agrees",
    )
    escalation: Literal["reads", "decides", "joins"] = Field(
        default="reads",
        description="what a further layer of a cascade does. reads: it reads the layer before it, "
        "and its answers count; decides: it answers by itself, and its answers count; joins: it "
        "answers by itself, and all answers count, by weight. Where it states no answer, those of "
        "the layer before it count",
    )
    depth: Literal["full", "annotator"] = Field(
        default="full",
        description="full: everybody is asked; annotator: the annotator decides for each "
        "question between one character, three, all, or all in at least two rounds",
    )

    unsure: Literal["answer", "decline"] = Field(
        default="answer",
        description="what becomes of a question with one right answer, if no more than half give "
        "the same. answer: the leading answer is "
        "written; decline: the council says that it does not know",
    )
    ask_doubtful: bool = Field(
        default=False,
        description="if answers are written differently and may mean the same (a name with and "
        "without a title), ask one cheap model once: the annotator's, or the cheapest "
        "of the characters'. Off: they count as different",
    )

    cluster_open: bool = Field(
        default=False,
        description="if answers are texts without one short final answer, ask that model which of "
        "them say the same, so that they count as one. Off: only the same words do",
    )

    @field_validator("waves")
    @classmethod
    def _rise(cls, waves: tuple[int, ...]) -> tuple[int, ...]:
        if any(one < 1 for one in waves) or list(waves) != sorted(set(waves)):
            raise ValueError("must rise, each number counting all who were asked: [3, 5]")
        return waves

    @property
    def checks_equality(self) -> bool:
        """Whether a model may be asked which answers mean the same."""
        return self.ask_doubtful or self.cluster_open

    def leaves_open(self, name: str) -> bool:
        """Whether the council's file says nothing of a setting, so that what is known decides."""
        return name not in self.model_fields_set

    @property
    def asks_voters(self) -> bool:
        """Whether the method asks for ballots; otherwise the graph has no voters."""
        return METHODS[self.method].asks_voters


class Council(Section):
    """One YAML file: who sits, how they decide, who writes the answer."""

    LABELS: ClassVar = {
        "thermal": "Temperature",
        "budget": "Spending limit",
        "prices": "Table of prices",
        "history": "Earlier messages",
    }
    EXPERT: ClassVar = "lanes classifier pictures cache tracing prompts prices seed"

    name: Name = Field(description="the council's name")
    description: str = Field(
        default="", max_length=2_000, description="what the council is for, in one line"
    )
    models: dict[Name, Model] = Field(
        min_length=1, description="the models, by the key that the rest of the council uses"
    )
    lanes: dict[Name, LaneRules] = Field(
        default_factory=dict, description="limits of the lanes that models name"
    )
    characters: tuple[Character, ...] = Field(
        min_length=1, max_length=64, description="who speaks and votes"
    )
    layers: tuple[tuple[Pointer, ...], ...] = Field(
        default=(),
        max_length=16,
        description="who speaks together; left out: everybody in one layer",
    )
    annotator: Annotator | None = Field(
        default=None,
        description="reads the question before the characters do; left out: they get the "
        "question as it is",
    )
    classifier: Classifier = Field(
        default=Classifier(), description="decides between a text and an image answer"
    )
    deliberation: Deliberation = Field(
        default=Deliberation(), description="how the council votes and when it stops"
    )
    synthesizer: Synthesizer = Field(description="who writes the one answer")
    pictures: PictureRules = Field(
        default=PictureRules(), description="what is done with pictures that come with a question"
    )
    painter: Painter | None = Field(
        default=None,
        description="draws a picture when the question asks for one; left out: text answers only",
    )
    thermal: Thermal | None = Field(
        default=Thermal(),
        description="waits when the GPU is too hot; null: the temperature is not watched",
    )
    budget: Budget = Field(
        default=Budget(), description="what one question may spend; not set: no limit"
    )
    cache: Cache | None = Field(
        default=None,
        description="keeps answers to identical requests; left out: every question is asked again",
    )
    tools: dict[Name, Tool] = Field(
        default_factory=dict, max_length=64, description="tools that models may call, by name"
    )
    extensions: tuple[ExtensionEntry, ...] = Field(
        default=(), description="your own code, called in this order"
    )
    tracing: Tracing = Field(default=Tracing(), description="what is recorded about a run")
    prompts: str = Field(
        default="standard",
        description="standard, short (for small models), or a folder with your own templates",
    )
    prices: str | None = Field(
        default=None,
        min_length=1,
        max_length=4096,
        description="a YAML file of prices; left out: `prices.yaml` in the configuration folder",
    )
    history: int = Field(
        default=12,
        ge=0,
        le=1000,
        description="how many earlier messages of the conversation everybody reads",
    )
    seed: int = Field(
        default=0,
        ge=0,
        lt=2**32,
        description="fixes the random order of proposals, dropout and ballots",
    )

    @property
    def seats(self) -> tuple[tuple[str, ...], ...]:
        """The layers, with the default filled in."""
        return self.layers or (tuple(character.name for character in self.characters),)

    @property
    def key_variables(self) -> tuple[str, ...]:
        """The environment variables that it names for keys, of models and of tools."""
        names = [model.api_key_env for model in self.models.values()]
        names += [tool.mcp.key_env for tool in self.tools.values() if tool.mcp]
        return tuple(dict.fromkeys(name for name in names if name))

    def character(self, name: str) -> Character:
        """The character called `name`.

        Raises:
            KeyError: nobody is called that.
        """
        for character in self.characters:
            if character.name == name:
                return character
        raise KeyError(name)
