"""The settings of one run, without another graph: rounds, threshold, budget, switches.

Studio shows these fields as a form; `apply_context` lays them over the council. Nodes and edges
never read `runtime.context` themselves, because it is None when nobody passes one, and in a
subgraph it is the parent's.

The form of the answer (`stop`, `max_tokens`, a JSON schema) is what an endpoint's client asks for:
it binds the synthesizer alone, and the council decides as ever.
"""

from __future__ import annotations

import functools
import json
import os
import time
from collections.abc import Mapping
from typing import Annotated, Any

from langgraph.runtime import Runtime
from pydantic import ConfigDict, Field, ValidationError
from pydantic.json_schema import SkipJsonSchema

from mom_council.councils.loader import preset_names
from mom_council.councils.schema import Council, MethodName, Share
from mom_council.errors import CouncilError
from mom_council.records import Record
from mom_council.voting.methods import METHODS

_MODEL_PARAMS = (
    *("max_tokens", "temperature", "top_p", "top_k", "seed"),
    *("frequency_penalty", "presence_penalty"),
)


class AnswerForm(Record):
    """What is asked of the answer's form; what is left out is left to the council."""

    stop: tuple[str, ...] = Field(default=(), description="texts at which the answer ends")
    max_tokens: int | None = Field(default=None, ge=1, description="tokens of the answer alone")
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, ge=0, le=1)
    as_json: bool = Field(default=False, description="one JSON object and nothing around it")
    json_schema: dict[str, Any] | None = Field(default=None, description="that the answer fits")
    strict_schema: bool | None = Field(
        default=None,
        description="whether the server is told to hold it strictly; None: where the schema can be",
    )
    tools: tuple[dict[str, Any], ...] = Field(
        default=(), description="the caller's own tools, as OpenAI describes them"
    )
    must_call: bool = Field(default=False, description="a call is wanted, and no answer")
    one_call: bool = Field(default=False, description="one call at a time at most")
    continues_from: int | None = Field(
        default=None,
        ge=1,
        description="messages that the council had read when it spoke; what tools gave since, its "
        "synthesizer reads alone",
    )
    seed: int | None = Field(default=None, description="of the model that writes")
    top_k: int | None = Field(default=None, ge=0)
    frequency_penalty: float | None = Field(default=None, ge=-2, le=2)
    presence_penalty: float | None = Field(default=None, ge=-2, le=2)
    wishes: dict[str, Any] = Field(
        default_factory=dict,
        description="further fields of a client's request, which only some vendors' models take: "
        "`reasoning_effort`, `verbosity`, `logit_bias`, `service_tier`",
    )
    client_names: dict[str, str] = Field(
        default_factory=dict, description="where a client's request has these, if elsewhere"
    )

    @property
    def params(self) -> dict[str, Any]:
        """What the synthesizer's model is asked with."""
        values = {name: getattr(self, name) for name in _MODEL_PARAMS}
        return {name: value for name, value in values.items() if value is not None} | self.wishes

    @property
    def is_demanding(self) -> bool:
        """Whether an answer can miss the form, so that it has to be checked."""
        return bool(self.tools or self.json_request)

    @property
    def json_request(self) -> str:
        """What the prompt says of a JSON answer; empty for prose."""
        if self.json_schema is not None:
            schema = json.dumps(self.json_schema, ensure_ascii=False)
            return f"one JSON value that fits this JSON schema: {schema}"
        return "one JSON object" if self.as_json else ""

    @property
    def for_the_writer(self) -> str:
        """What the synthesizer is told of the caller's tools."""
        if not self.tools:
            return ""
        if self.must_call:
            return "Call one of the tools that you were given; do not answer in words."
        return (
            "Where one of the tools that you were given is needed for the answer, call it instead "
            "of answering; you will be asked again with what it gave."
        )

    @property
    def for_the_council(self) -> str:
        """What everybody else is told of them: nobody but the synthesizer can call one."""
        if not self.tools:
            return ""
        functions = [tool["function"] for tool in self.tools]
        lines = [
            f"- {tool['name']}: {' '.join(str(tool.get('description') or '').split())[:500]}"
            for tool in functions
        ]
        return (
            "The caller can run these tools. Where one is needed, say which, and with which "
            "arguments:\n" + "\n".join(lines)
        )


Rounds = Annotated[int, Field(ge=1, le=20)]


class QuestionSettings(Record):
    """What may be set for one question; what is left out stays as the council has it."""

    min_rounds: Rounds | None = Field(
        default=None, description="rounds even when they agree at once"
    )
    max_rounds: Rounds | None = Field(default=None, description="maximum number of rounds, 1 to 20")
    threshold: Share | None = Field(default=None, description="share that counts as agreement")
    quorum: Share | None = Field(default=None, description="share of the seated that must answer")
    grace: float | None = Field(default=None, ge=0, description="seconds for stragglers")
    method: MethodName | None = Field(default=None, description="how votes are counted")
    shuffle: bool | None = Field(default=None, description="shuffle the synthesizer's proposals")
    dropout: float | None = Field(default=None, ge=0, lt=1, description="chance a seat is left out")
    seed: int | None = Field(default=None, ge=0, description="of shuffles, dropout, ballot orders")
    thermal_limit: float | None = Field(default=None, ge=20, le=120, description="degrees Celsius")
    max_calls: int | None = Field(default=None, ge=1, description="requests this question may make")
    max_tokens: int | None = Field(default=None, ge=1, description="tokens it may use")
    max_seconds: float | None = Field(default=None, gt=0, description="seconds it may take")
    max_usd: float | None = Field(default=None, gt=0, description="dollars it may cost")
    minimum: int | None = Field(default=None, ge=1, description="how many must answer at least")
    weights: dict[str, Annotated[float, Field(ge=0)]] | None = Field(
        default=None, description="weights of characters, by name; the others keep theirs"
    )


@functools.cache
def council_choices() -> tuple[str, ...]:
    """The councils that a form offers: MOM_COUNCIL and the presets. A path is taken as well."""
    first = os.environ.get("MOM_COUNCIL")
    return tuple(dict.fromkeys([*([first] if first else []), *preset_names()]))


_NODES: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("min_rounds", "max_rounds", "threshold", "method"), ("consensus",)),
    **dict.fromkeys(("quorum", "grace", "minimum"), ("quorum",)),
    "shuffle": ("synthesizer",),
    "dropout": ("seating",),
    "thermal_limit": ("thermal_wait",),
    "weights": ("consensus", "synthesizer"),
}
_ALL_NODES = ("classifier", "annotator", "seating", "quorum", "consensus", "synthesizer")


def _complete_schema(schema: dict[str, Any]) -> None:
    """Name the nodes of each setting, where Studio draws it, and list the councils."""
    for name, shape in schema["properties"].items():
        shape["langgraph_nodes"] = [*_NODES.get(name, _ALL_NODES)]
    schema["properties"]["council"]["anyOf"][0]["enum"] = [*council_choices()]


class CouncilContext(QuestionSettings):
    """Settings of one run; what is left out stays as the council has it."""

    model_config = ConfigDict(json_schema_extra=_complete_schema)

    council: str | None = Field(
        default=None, description="which council answers, where the graph is built per run (Studio)"
    )
    can_ask: bool = Field(
        default=True, description="a person can be asked to approve calls of tools; off: declined"
    )
    debug: bool = Field(default=False, description="send every prompt to the stream")
    stream_members: bool = Field(
        default=False,
        description="the stream of messages has the members' tokens too",
    )
    extensions_off: tuple[str, ...] = Field(
        default=(), description="extensions of the council that are not called in this run"
    )
    form: SkipJsonSchema[AnswerForm | None] = Field(
        default=None, description="the form that an endpoint's client wants the answer in"
    )
    people: bool = Field(
        default=False, description="people who sit in the council are there and can be asked"
    )
    resumed_at: SkipJsonSchema[float | None] = Field(
        default=None, description="epoch seconds of a resume: time asleep is not charged"
    )


# Where each setting lies in the council: section (None: at the top) and key.
_PLACES: dict[str, tuple[str | None, str]] = {
    "threshold": ("deliberation", "threshold"),
    "quorum": ("deliberation", "quorum"),
    "grace": ("deliberation", "grace"),
    "minimum": ("deliberation", "minimum"),
    "method": ("deliberation", "method"),
    "shuffle": ("synthesizer", "shuffle"),
    "dropout": ("synthesizer", "dropout"),
    "seed": (None, "seed"),
    "max_calls": ("budget", "calls"),
    "max_tokens": ("budget", "tokens"),
    "max_seconds": ("budget", "seconds"),
    "max_usd": ("budget", "usd"),
}
_OF_THE_COUNCIL = frozenset({*_PLACES, "min_rounds", "max_rounds", "thermal_limit"})
"""Settings that change the council; most runs have none of them."""


_BEGAN = time.time() - time.monotonic()


def steady_time() -> float:
    """Epoch seconds as this process has them by its monotonic clock.

    A wall clock that is set meanwhile neither ends a question nor makes it seem longer.
    """
    return _BEGAN + time.monotonic()


def context_of(runtime: Runtime[Any] | None) -> CouncilContext:
    """The settings of this run: ours, or nothing where the context belongs to a parent graph.

    Without a run (a thread is edited), nothing.

    A parent hands settings down by giving its own context an attribute or key `council_context`.
    """
    context = None if runtime is None else runtime.context
    if context is None:
        return _NOTHING
    if isinstance(context, CouncilContext):
        return context
    if isinstance(context, Mapping):
        handed: Any = context.get("council_context")
    else:
        handed = getattr(context, "council_context", None)
    if isinstance(handed, CouncilContext):
        return handed
    if isinstance(handed, Mapping):
        try:
            return CouncilContext.model_validate(handed)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, ("council_context", *first["loc"])))
            raise CouncilError(f"{where}: {first['msg']}") from None
    return _NOTHING


_NOTHING = CouncilContext()


def apply_context(council: Council, context: QuestionSettings) -> Council:
    """The council as this run plays it.

    Raises:
        CouncilError: the run asks for ballots, and the graph was built without voters.
    """
    if _OF_THE_COUNCIL.isdisjoint(context.model_fields_set):
        return council
    built, chosen = council.deliberation.method, context.method
    needs_voters = chosen is not None and METHODS[chosen].asks_voters
    if needs_voters and not council.deliberation.asks_voters:
        raise CouncilError(
            f"method: {chosen!r} needs voters, and {council.name!r} was built with {built!r}",
            cure="set deliberation.method in the council's file",
        )
    changes: dict[str, Any] = {}
    sections: dict[str, dict[str, Any]] = {}
    for setting, (section, key) in _PLACES.items():
        value = getattr(context, setting)
        if value is not None:
            (changes if section is None else sections.setdefault(section, {}))[key] = value
    rounds = _rounds(council, context)
    if rounds is not None:
        sections.setdefault("deliberation", {})["rounds"] = rounds
    if context.thermal_limit is not None and council.thermal is not None:
        sections["thermal"] = {
            "limit": context.thermal_limit,
            "resume": min(council.thermal.resume, context.thermal_limit),
        }
    for section, keys in sections.items():
        changes[section] = getattr(council, section).model_copy(update=keys)
    return council.model_copy(update=changes) if changes else council


def _rounds(council: Council, context: QuestionSettings) -> Any:
    if context.min_rounds is None and context.max_rounds is None:
        return None
    rounds = council.deliberation.rounds
    # One setting moves the other along: "at most 1 round" must not fail on a minimum of 2.
    most = context.max_rounds or max(rounds.max, context.min_rounds or 1)
    least = context.min_rounds or min(rounds.min, most)
    return rounds.model_copy(update={"min": min(least, most), "max": most})
