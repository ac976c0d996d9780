"""The models, prices and characters of a council, as they are written in its file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, field_validator

from mom_council.redaction import fault_in_address, may_be_a_key, refuse_secrets

Name = Annotated[
    str,
    Field(
        min_length=1,
        max_length=64,
        pattern=r"^[^\s/\\:|\x00-\x1f\x7f]([^/\\:|\x00-\x1f\x7f]*[^\s/\\:|\x00-\x1f\x7f])?$",
    ),
]
"""A name people read: no path separators, none of the graph's own `:` and `|`, one line, no blank
at either end."""

Pointer = Annotated[str, Field(min_length=1, max_length=200)]
"""A name that stands elsewhere in the council; `councils.coherence` sees whether it does."""


@dataclass(frozen=True)
class KeyOf:
    """Says which part of the council a text names an entry of, so that forms can offer them."""

    section: str


ModelKey = Annotated[Pointer, KeyOf("models")]
ToolKey = Annotated[Pointer, KeyOf("tools")]
LaneKey = Annotated[Name, KeyOf("lanes")]
ProviderName = Annotated[str, Field(min_length=1), KeyOf("providers")]

_numbers = count(1)

Weight = Annotated[float, Field(ge=0.0, le=1000.0)]


class Section(BaseModel):
    """A part of the council: frozen, and closed to keys it does not know."""

    LABELS: ClassVar[Mapping[str, str]] = {}
    """What a form calls a field whose name alone would not do."""
    EXPERT: ClassVar[str] = ""
    """Fields that few people need, with blanks between them; a form shows them apart."""

    # Built in Python, a council is refused by pydantic itself, whose message would hold the input.
    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, hide_input_in_errors=True
    )


class Price(Section):
    """What a model costs, in US dollars per million tokens."""

    LABELS: ClassVar = {
        "input": "Input price",
        "output": "Output price",
        "picture": "Price of a picture",
    }

    input: float = Field(ge=0, description="US dollars per million input tokens")
    output: float = Field(ge=0, description="US dollars per million output tokens")
    picture: float | None = Field(
        default=None, ge=0, description="US dollars per picture that it draws, beside its tokens"
    )

    def usd_of(self, input_tokens: int, output_tokens: int) -> float:
        """Dollars of one request that read and wrote so many tokens."""
        return (input_tokens * self.input + output_tokens * self.output) / 1_000_000

    def worst_of(self, input_tokens: int) -> Price:
        """The most that a token can cost in a request that reads no more than so many."""
        return self

    def in_words(self) -> str:
        """The price of tokens, for people."""
        return f"${self.input:g} in, ${self.output:g} out per million tokens"


class BreakerRules(Section):
    """When a model that keeps failing is not asked for a while."""

    LABELS: ClassVar = {"after": "Failures before a pause", "pause": "Pause (seconds)"}

    after: int = Field(
        default=5,
        ge=1,
        le=1000,
        description="failed calls in a row after which the model is not asked for a while",
    )
    pause: float = Field(
        default=30, gt=0, le=86_400, description="seconds until the model is tried again"
    )


class Model(Section):
    """A voice: one model at one provider, and the policy for calling it."""

    LABELS: ClassVar = {
        "base_url": "Address",
        "api_key_env": "Variable with the key",
        "timeout": "Timeout (seconds)",
        "first_token": "First token (seconds)",
        "breaker": "Pause after failures",
        "params": "Parameters",
        "vision": "Sees images",
        "files": "Reads files",
        "tools": "Calls tools",
        "structured": "Structured replies",
        "context": "Context length",
    }
    EXPERT: ClassVar = (
        "first_token retries breaker lane concurrency price vision files tools structured context"
    )

    provider: ProviderName = Field(
        description="ollama, openai (or anything that speaks its protocol), anthropic, "
        "mistralai, deepseek, cohere, huggingface, embedded, ...; human: a person, "
        "who is asked"
    )
    model: str = Field(
        min_length=1, description="the provider's name for the model, or a .gguf file"
    )
    base_url: str | None = Field(
        default=None, description="the server's address; not set: the provider's usual one"
    )
    api_key_env: str | None = Field(
        default=None,
        description="the environment variable that holds the key; never the key itself",
    )
    timeout: float = Field(
        default=120, gt=0, le=3600, description="longest time for a whole answer"
    )
    first_token: float | None = Field(
        default=None,
        gt=0,
        le=3600,
        description="longest time until the first token; not set: as the timeout",
    )
    retries: int = Field(
        default=2,
        ge=0,
        le=10,
        description="how often a call is repeated after 429, 5xx or a broken connection",
    )
    fallbacks: tuple[ModelKey, ...] = Field(
        default=(), description="models that are asked instead when this one fails, in this order"
    )
    breaker: BreakerRules | None = Field(
        default=BreakerRules(),
        description="a model that keeps failing is not asked for a while; null: it is always asked",
    )
    params: dict[str, Any] = Field(
        default_factory=dict,
        description="temperature, max_tokens, top_p, ... by the provider's own names",
    )
    lane: LaneKey | None = Field(
        default=None, description="models that share hardware or a rate limit share a lane"
    )
    concurrency: int | None = Field(
        default=None, ge=1, le=1024, description="calls at the same time in this model's lane"
    )
    price: Price | None = Field(
        default=None,
        description="not set: from the table of prices; without one the price is unknown, not zero",
    )
    vision: bool | None = Field(
        default=None, description="whether the model sees images; not set: as its provider says"
    )
    files: tuple[Literal["pdf", "audio"], ...] | None = Field(
        default=None,
        description="files that the model reads itself: pdf, audio; not set: as its provider says",
    )
    tools: bool | None = Field(
        default=None, description="whether the model calls tools; not set: as its provider says"
    )
    structured: Literal["auto", "json_schema", "text"] = Field(
        default="auto", description="how a reply in a fixed form is asked for; text: only in words"
    )
    context: int | None = Field(
        default=None, ge=64, description="tokens of context; not set: unknown"
    )

    _chat_model: Any = PrivateAttr(default=None)
    _number: int = PrivateAttr(default=0)

    @property
    def chat_model(self) -> Any:
        """The LangChain chat model that a caller handed over to be asked; else None.

        It is in no dump and no pickle of the council.
        """
        return self._private("_chat_model")

    @property
    def number(self) -> int:
        """Tells apart models that callers handed over; 0: it is none."""
        return int(self._private("_number") or 0)

    def _private(self, name: str) -> Any:
        """A private attribute, past pydantic's search for it: calls ask for it ten times."""
        values = self.__pydantic_private__
        return values[name] if values else None

    def with_chat_model(self, chat_model: Any) -> Model:
        """The same entry, asked through a chat model of the caller's."""
        entry = self.model_copy()
        entry._chat_model, entry._number = chat_model, next(_numbers)
        return entry

    def __getstate__(self) -> dict[Any, Any]:
        """What is pickled: the chat model and its clients stay where they are."""
        none = {"_chat_model": None, "_number": 0}
        return {**super().__getstate__(), "__pydantic_private__": none}

    @field_validator("base_url")
    @classmethod
    def _is_an_address(cls, url: str | None) -> str | None:
        if url is not None and (fault := fault_in_address(url)):
            raise ValueError(fault)
        return url

    @field_validator("api_key_env", mode="before")
    @classmethod
    def _is_a_variable_not_a_key(cls, name: object) -> object:
        # Before pydantic looks at it: whatever stands here by mistake may be the key itself.
        if name is not None and not (isinstance(name, str) and names_a_variable(name)):
            raise ValueError(
                "must be the name of an environment variable, like FAR_KEY; "
                "the key itself never stands in a council"
            )
        return name

    @field_validator("params")
    @classmethod
    def _hold_no_secret(cls, params: dict[str, Any]) -> dict[str, Any]:
        return refuse_secrets(params, "name the key's environment variable in `api_key_env`")


class LaneRules(Section):
    """What models share: one GPU, or the rate limit of one key."""

    LABELS: ClassVar = {
        "fits": "Models in memory",
        "rpm": "Requests per minute",
        "tpm": "Tokens per minute",
    }

    concurrency: int | None = Field(
        default=None,
        ge=1,
        le=1024,
        description="calls at the same time; not set: as its models say",
    )
    fits: int | None = Field(
        default=None,
        ge=1,
        le=64,
        description="how many of its models are in memory at the same time; not set: measured",
    )
    order: Literal["planned", "arrival"] = Field(
        default="planned",
        description="planned: calls to models in memory go before those that need a load; "
        "arrival: first come, first served",
    )
    keep_alive: str = Field(
        default="30m",
        pattern=r"^-?\d+(ms|s|m|h)?$",
        description="how long Ollama keeps an idle model of the lane in memory",
    )
    rpm: int | None = Field(default=None, ge=1, description="most requests in any minute")
    tpm: int | None = Field(
        default=None, ge=1, description="most tokens in any minute, input and output together"
    )


class Character(Section):
    """A persona on a model: one seat in the council."""

    LABELS: ClassVar = {"personality": "Persona", "vision": "Sees images"}
    EXPERT: ClassVar = "vision tool_calls"

    name: Name = Field(description="the character's name, also of its node in the graph")
    model: ModelKey = Field(description="a key of `models`: the model that speaks")
    personality: str = Field(default="", max_length=20_000, description="who the character is")
    speaking_style: str = Field(default="", max_length=4_000, description="how it talks")
    thought_process: str = Field(default="", max_length=4_000, description="how it thinks")
    interests: tuple[str, ...] = Field(default=(), description="what it cares about")
    weight: Weight = Field(default=1.0, description="how much its vote and its proposal count")
    temperature: float | None = Field(
        default=None, ge=0, le=2, description="randomness of the model; not set: the model's own"
    )
    votes: bool = Field(default=True, description="whether it casts a ballot")
    vision: bool | None = Field(
        default=None, description="whether images are shown to it; not set: as its model can"
    )
    tools: tuple[ToolKey, ...] = Field(
        default=(),
        max_length=64,
        description="tools it may call: keys of `tools`, or tools that come with this package",
    )
    tool_calls: int = Field(default=8, ge=1, le=64, description="most tool calls for one answer")


def names_a_variable(name: str) -> bool:
    """Whether a text can be a variable's name, and is hardly a key that stands in its place."""
    return (
        re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,63}", name) is not None
        and not may_be_a_key(name)
        # Keys without a known beginning: long, without a word's break, and with digits.
        and not (len(name) >= 20 and "_" not in name and any(c.isdigit() for c in name))
    )
