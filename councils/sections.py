"""The parts of a council around the deliberation: who reads, writes and draws, tools, and limits.

A council's file is untrusted input. It says which code it would like to run as a tool; whether that
code runs is decided outside of it (`models.tools.toolset`).
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from mom_council.councils.models import ModelKey, Price, Section, ToolKey, names_a_variable
from mom_council.redaction import fault_in_address, refuse_secrets


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


VARIABLE = "MOM_TOOLS"

BUNDLED = ("calculator", "clock")
"""Tools that come along. They are safe, and may be named without an entry in `tools:`."""


class Server(Section):
    """An MCP server: a program that is started here, or an address."""

    LABELS: ClassVar = {
        "url": "Address",
        "env": "Variables",
        "key_env": "Variable with the key",
        "only": "Only these tools",
    }

    command: tuple[str, ...] = Field(
        default=(),
        max_length=64,
        description="the program and its arguments; it is spoken to over stdio",
    )
    url: str | None = Field(
        default=None, description="the address of a server that speaks streamable HTTP"
    )
    env: tuple[str, ...] = Field(
        default=(), max_length=64, description="environment variables that the program may see"
    )
    key_env: str | None = Field(
        default=None,
        description="the environment variable with the key for `url`; never the key itself",
    )
    only: tuple[str, ...] = Field(
        default=(), description="the tools of the server that may be used; empty: all of them"
    )

    @field_validator("command")
    @classmethod
    def _holds_no_secret(cls, command: tuple[str, ...]) -> tuple[str, ...]:
        refuse_secrets({"command": list(command)}, "name its variable in `env`")
        return command

    @field_validator("env", "key_env", mode="before")
    @classmethod
    def _are_variables_not_keys(cls, names: object) -> object:
        # Before pydantic looks at it: whatever stands here by mistake may be the key itself.
        for name in names if isinstance(names, list | tuple) else [names]:
            if name is not None and not (isinstance(name, str) and names_a_variable(name)):
                raise ValueError("must be the name of an environment variable, like FAR_KEY")
        return names

    @field_validator("url")
    @classmethod
    def _is_an_address(cls, url: str | None) -> str | None:
        if url is not None and (fault := fault_in_address(url)):
            raise ValueError(fault)
        return url

    @model_validator(mode="after")
    def _is_one_of_both(self) -> Self:
        if bool(self.command) == bool(self.url):
            raise ValueError("an MCP server has either a `command` or a `url`")
        if self.command and self.key_env:
            raise ValueError("`key_env` goes with a `url`; a program gets its keys through `env`")
        return self

    @property
    def permission(self) -> str:
        """The server, as it stands in the list of what is allowed."""
        return f"mcp:{self.url or shlex.join(self.command)}"


class Tool(Section):
    """One tool, or one MCP server's tools. Without a source, the caller hands it over in Python."""

    LABELS: ClassVar = {
        "python": "Python function",
        "mcp": "MCP server",
        "timeout": "Timeout (seconds)",
        "longest": "Longest result",
        "approve": "Ask before each call",
    }
    EXPERT: ClassVar = "longest"

    bundled: Literal["calculator", "clock"] | None = Field(
        default=None, description="a tool that comes with this package"
    )
    python: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*$",
        description="module:function, if MOM_TOOLS allows the module",
    )
    mcp: Server | None = Field(default=None, description="a server, if MOM_TOOLS allows it")
    timeout: float = Field(default=20, gt=0, le=3600, description="longest time for one call")
    longest: int = Field(
        default=8_000,
        ge=100,
        le=200_000,
        description="characters of a result that a model is shown",
    )
    approve: bool = Field(default=False, description="a person is asked before each call")

    @model_validator(mode="after")
    def _has_one_source(self) -> Self:
        named = [name for name in ("bundled", "python", "mcp") if getattr(self, name) is not None]
        if len(named) > 1:
            raise ValueError(f"a tool has one source, this has {' and '.join(named)}")
        return self

    @property
    def permission(self) -> str | None:
        """What `MOM_TOOLS` must allow; empty where nothing must, None where there is no source."""
        if self.bundled:
            return ""
        return self.mcp.permission if self.mcp else self.python

    def is_allowed(self, env: Mapping[str, str]) -> bool:
        """Whether the environment allows the code of the tool, or nothing needs to."""
        if not self.permission:
            return True
        allowed = {part.strip() for part in env.get(VARIABLE, "").split(",")}
        enough = {self.permission}
        if not self.mcp:
            enough.add(self.permission.partition(":")[0])
        return bool(allowed & enough)
