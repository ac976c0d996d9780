"""The parts of a council around the deliberation: who reads, writes and draws, and the limits."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from mom_council.councils.models import ModelKey, Price, Section, ToolKey
from mom_council.redaction import refuse_secrets


class Annotator(Section):
    """Reads the question before the council does."""

    LABELS: ClassVar = {"personality": "Persona"}

    model: ModelKey = Field(
        description="a key of `models`: the model that reads the question first"
    )
    personality: str = Field(
        default="", max_length=20_000, description="who reads, and what it should look for"
    )


class Classifier(Section):
    """Chooses between a text and an image answer."""

    model: ModelKey | None = Field(
        default=None, description="a key of `models`; not set: it decides by keywords"
    )


class Synthesizer(Section):
    """Writes the council's one answer."""

    LABELS: ClassVar = {
        "personality": "Persona",
        "shuffle": "Shuffle the proposals",
        "anonymous": "Hide who proposed what",
        "compare": "Comparison",
        "reads": "Reads",
        "omit": "Chance to leave a proposal out",
        "after_tools": "After a caller's tool",
    }
    EXPERT: ClassVar = "dropout reads omit template tool_calls after_tools"

    model: ModelKey = Field(
        description="a key of `models`: the model that writes the answer; if it fails, its "
        "fallbacks write"
    )
    personality: str = Field(default="", max_length=20_000, description="who writes")
    shuffle: bool = Field(
        default=True, description="the proposals stand in a random order that `seed` fixes"
    )
    dropout: float = Field(
        default=0.0,
        ge=0.0,
        lt=1.0,
        description="chance that a character is left out of a round; never everyone",
    )
    reads: Literal["last", "every"] = Field(
        default="last",
        description="last: the proposals of the last layer; every: those of all layers",
    )
    omit: float = Field(
        default=0.0,
        ge=0.0,
        lt=1.0,
        description="chance that the writer does not see a proposal, which `seed` fixes; it "
        "always sees one",
    )
    anonymous: bool = Field(
        default=True, description="the writer does not see the names of the characters"
    )
    compare: Literal["words", "model", "none"] = Field(
        default="words",
        description="what the writer is told about agreement, contradictions and points of one "
        "proposal alone. words: found by code, no call; model: found by a call of "
        "its own; none: nothing",
    )
    after_tools: Literal["alone", "council"] = Field(
        default="alone",
        description="who goes on when a tool of the caller's gave its result. alone: the writer, "
        "once the council has spoken on the question; council: everybody, each time",
    )
    template: str = Field(
        default="",
        max_length=50_000,
        description="your own prompt with {user_query}, {responses} and, if you like, "
        "{response_weights}; other braces stay as they are",
    )
    tools: tuple[ToolKey, ...] = Field(
        default=(),
        max_length=64,
        description="tools it may call: keys of `tools`, or tools that come with this package",
    )
    tool_calls: int = Field(default=8, ge=1, le=64, description="most tool calls for one answer")

    @field_validator("template")
    @classmethod
    def _holds_what_it_is_about(cls, template: str) -> str:
        lacking = [name for name in ("{user_query}", "{responses}") if name not in template]
        if template and lacking:
            raise ValueError(f"has no {lacking[0]}; write it where that is to stand")
        return template


class PictureRules(Section):
    """What is done with pictures that come with a question."""

    LABELS: ClassVar = {"side": "Longest side"}

    fetch: bool = Field(
        default=False, description="load a picture that is given as a public web address"
    )
    side: int = Field(
        default=1568,
        ge=64,
        le=4096,
        description="pixels of the longer side of a picture as models are sent it",
    )


class Painter(Section):
    """Draws the picture when the question asks for one."""

    LABELS: ClassVar = {"negative": "Not in the picture"}
    EXPERT: ClassVar = "steps guidance seed"

    model: ModelKey = Field(
        description="a key of `models` that makes images: on diffusers, or on openai (any "
        "server with /v1/images/generations)"
    )
    writer: ModelKey | None = Field(
        default=None,
        description="a key of `models`: the model that writes the image prompt; not set: the "
        "synthesizer's",
    )
    size: str | None = Field(
        default=None,
        pattern=r"^[1-9]\d{1,3}x[1-9]\d{1,3}$",
        description="width x height in pixels, such as 512x768; not set: 512x512, or the server's",
    )
    steps: int | None = Field(
        default=None, ge=1, le=200, description="not set: 4 on diffusers, or the server's"
    )
    guidance: float | None = Field(
        default=None, ge=0, le=50, description="not set: 0 on diffusers, or the server's"
    )
    negative: str = Field(
        default="", max_length=2_000, description="what the picture must not show"
    )
    seed: int | None = Field(
        default=None,
        ge=0,
        lt=2**32,
        description="a number for the same picture every time; not set: a new one",
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

    LABELS: ClassVar = {
        "limit": "Wait above (°C)",
        "resume": "Go on below (°C)",
        "poll": "Read every (seconds)",
        "max_wait": "Longest wait (seconds)",
        "then": "After the longest wait",
    }
    EXPERT: ClassVar = "poll"

    limit: float = Field(
        default=75, ge=20, le=120, description="degrees Celsius at which the council waits"
    )
    resume: float = Field(
        default=68, ge=10, le=120, description="degrees Celsius at which it goes on"
    )
    poll: float = Field(default=5, gt=0, le=300, description="seconds between two readings")
    max_wait: float = Field(default=900, ge=0, le=86_400, description="longest wait")
    then: Literal["proceed", "stop"] = Field(
        default="proceed", description="proceed: go on with the question; stop: end it"
    )

    @model_validator(mode="after")
    def _cools_down(self) -> Self:
        if self.resume > self.limit:
            raise ValueError(
                f"resume must be at most limit, is {self.resume:g} with limit {self.limit:g}"
            )
        return self


class Budget(Section):
    """What one question may spend; unset means no limit."""

    LABELS: ClassVar = {"usd": "Dollars", "worst_price": "Price of models without one"}
    EXPERT: ClassVar = "worst_price"

    calls: int | None = Field(default=None, ge=1, description="most requests to models")
    tokens: int | None = Field(
        default=None, ge=1, description="most tokens, input and output together"
    )
    seconds: float | None = Field(default=None, gt=0, description="longest time")
    usd: float | None = Field(
        default=None, gt=0, description="most US dollars; every model needs a price then"
    )
    worst_price: Price | None = Field(
        default=None, description="price of models that have none, where dollars are limited"
    )


class Cache(Section):
    """Answers kept for identical requests."""

    LABELS: ClassVar = {"ttl": "Keep for (seconds)"}

    ttl: float = Field(default=86_400, gt=0, description="seconds that an answer is kept")
    megabytes: int = Field(default=256, ge=1, le=100_000, description="largest size on disk")


class ExtensionEntry(Section):
    """Code of yours that is called around the nodes."""

    LABELS: ClassVar = {"use": "Name", "timeout": "Timeout (seconds)"}
    EXPERT: ClassVar = "timeout"

    use: str = Field(min_length=1, description="a module, an entry point or a folder")
    settings: dict[str, Any] = Field(
        default_factory=dict, description="passed to the extension unchanged"
    )
    timeout: float = Field(
        default=10, gt=0, le=600, description="longest time for one of its calls"
    )

    @field_validator("settings")
    @classmethod
    def _hold_no_secret(cls, settings: dict[str, Any]) -> dict[str, Any]:
        return refuse_secrets(settings, "let the extension read it from the environment")


class Tracing(Section):
    """What is written down about a run."""

    LABELS: ClassVar = {
        "local": "On this machine",
        "langsmith": "LangSmith",
        "content": "Prompts and replies",
    }

    local: bool = Field(default=True, description="keep a trace on this machine, for `mom trace`")
    langsmith: bool = Field(
        default=True,
        description="send traces to LangSmith, if LANGSMITH_TRACING and its key are set",
    )
    content: bool = Field(default=True, description="keep prompts and replies, not only times")
