"""The events of a run, each with its type.

Nodes write them to LangGraph's custom stream as plain dicts (so they cross HTTP); a reader turns
them back with `read_event`. Tokens come in pieces of about 40 ms, because each event costs the same
whatever its length. `mom ask`, the chat page and servers all draw from these.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Annotated, Any, Literal

from langgraph.runtime import Runtime
from pydantic import ConfigDict, Field, TypeAdapter

from mom_council.models.tool_offer import ToolCall
from mom_council.records import (
    Absence,
    Annotation,
    Ballot,
    Record,
    Segment,
    Status,
    Verdict,
)
from mom_council.redaction import Redactor, redact_known
from mom_council.seams.langgraph import has_stream_reader


class Speaker(Record):
    """Who an event is about."""

    node: str = Field(
        description="annotator, classifier, character, vote, synthesizer, painter, ..."
    )
    name: str = Field(description="the character's name, or the node's")
    round: int = 0
    layer: int = 0


class Routed(Record):
    """The classifier chose a way."""

    kind: Literal["routed"] = "routed"
    route: Literal["text", "image"]
    how: Literal["command", "model", "keywords", "default"]


class Read(Record):
    """The annotator read the question."""

    kind: Literal["read"] = "read"
    annotation: Annotation


class Seated(Record):
    """A layer is about to speak."""

    kind: Literal["seated"] = "seated"
    round: int
    rounds: int = Field(description="maximum number of rounds")
    layer: int
    layers: int
    seated: tuple[str, ...]
    dropped: tuple[str, ...] = ()


class Polled(Record):
    """Voters are about to be asked."""

    kind: Literal["polled"] = "polled"
    round: int
    voters: tuple[str, ...]


class Heat(Record):
    """The thermal watch took a reading."""

    kind: Literal["heat"] = "heat"
    state: Literal["ok", "waiting", "gave_up", "no_sensor"]
    celsius: float | None = None
    device: str = ""
    limit: float
    resume: float
    waited: float = 0.0
    remaining: float = 0.0


class Planned(Record):
    """A lane has put the calls of a fan-out in an order, so that few models are loaded."""

    kind: Literal["planned"] = "planned"
    lane: str
    round: int
    models: tuple[str, ...] = Field(description="keys of `models`, in the order of their turns")
    calls: tuple[int, ...] = Field(description="how many each of them has")
    loaded: tuple[str, ...] = Field(description="those in memory already")
    loads: int
    unplanned: int = Field(description="the loads if calls were served as they come")


class Waited(Record):
    """A call waits for a rate limit, a turn in its lane, or its model's load; or no more."""

    kind: Literal["waited"] = "waited"
    speaker: Speaker
    lane: str
    seconds: float = 0.0
    reason: Literal["rate limit", "lane", "load"] = "rate limit"
    place: int = Field(default=0, description="in the lane's queue; 1 is next")
    over: bool = Field(default=False, description="the wait has ended: its own time goes on")


class ModelAsked(Record):
    """A model is being asked. `prompt` is filled in debug runs only: (role, text) pairs."""

    kind: Literal["asked"] = "asked"
    speaker: Speaker
    model: str
    prompt: tuple[tuple[str, str], ...] = ()


class TextSpoken(Record):
    """Some more text from a speaker."""

    kind: Literal["said"] = "said"
    speaker: Speaker
    text: str
    reasoning: bool = False


class Called(Record):
    """A speaker asks for a tool; where a person has to allow it, once more when that is done."""

    kind: Literal["called"] = "called"
    speaker: Speaker
    id: str
    tool: str
    arguments: str = Field(description="as JSON, shortened, without secrets")
    needs_approval: bool = Field(default=False, description="it waits until a person allows it")


class Returned(Record):
    """A call of a tool has ended."""

    kind: Literal["returned"] = "returned"
    speaker: Speaker
    id: str
    tool: str
    text: str = Field(description="what it returned, shortened, without secrets")
    failed: bool = False
    seconds: float = 0.0


class Finished(Record):
    """A speaker is done; `reply` is filled in debug runs only."""

    kind: Literal["finished"] = "finished"
    speaker: Speaker
    segment: Segment
    reply: str = ""


class Missed(Record):
    """A character did not speak, or did not vote."""

    kind: Literal["missed"] = "missed"
    absence: Absence


class Voted(Record):
    """A ballot was cast."""

    kind: Literal["voted"] = "voted"
    ballot: Ballot


class Counted(Record):
    """A round was counted."""

    kind: Literal["counted"] = "counted"
    verdict: Verdict
    why: str = Field(default="", description="in one sentence")


class Painted(Record):
    """A picture is being drawn here, and has come so far."""

    kind: Literal["painted"] = "painted"
    step: int
    steps: int


class Noted(Record):
    """Something a reader should know."""

    kind: Literal["noted"] = "noted"
    text: str


class Answered(Record):
    """The answer is complete."""

    kind: Literal["answered"] = "answered"
    text: str
    status: Status
    calls: tuple[ToolCall, ...] = Field(default=(), description="of the caller's own tools")
    pictures: tuple[dict[str, Any], ...] = Field(default=(), description="content blocks of files")


Event = Annotated[
    Routed
    | Read
    | Seated
    | Polled
    | Heat
    | Planned
    | Waited
    | ModelAsked
    | TextSpoken
    | Called
    | Returned
    | Finished
    | Missed
    | Voted
    | Counted
    | Painted
    | Noted
    | Answered,
    Field(discriminator="kind"),
]
_EVENTS: TypeAdapter[Event] = TypeAdapter(Event, config=ConfigDict(defer_build=True))


def emit(runtime: Runtime[Any], event: Record) -> None:
    """Write an event to the run's custom stream, without any key.

    A model's own words may speak of keys: of those, only the keys that are ours are taken out.
    """
    if not has_stream_reader(runtime):
        return
    redactor = Redactor(shapes=not isinstance(event, _MODELS_WORDS))
    runtime.stream_writer(redactor.tree(event.model_dump(mode="json")))


_MODELS_WORDS = (Read, ModelAsked, TextSpoken, Finished, Voted, Counted, Answered)


def read_event(written: Any) -> Event | None:
    """The event that was written, or None for what a parent graph or an extension wrote."""
    if not isinstance(written, dict) or "kind" not in written:
        return None
    try:
        return _EVENTS.validate_python(written)
    except ValueError:
        return None


class TokenBatcher:
    """Gathers a speaker's tokens and tells them in pieces.

    Call it with each token; `close` tells what is left.
    """

    EVERY = 0.04  # seconds; the eye sees no steps, the stream carries a tenth of the events

    def __init__(
        self,
        runtime: Runtime[Any],
        speaker: Speaker,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._runtime = runtime
        self._has_reader = has_stream_reader(runtime)
        self._speaker = speaker.model_dump(mode="json") if self._has_reader else {}
        self._clock = clock
        self._held: list[str] = []
        self._reasoning = False
        self._last = 0.0

    @property
    def listener(self) -> TokenBatcher | None:
        """Itself, where anybody reads the stream."""
        return self if self._has_reader else None

    def __call__(self, text: str, reasoning: bool = False) -> None:
        """Take some more text."""
        if reasoning != self._reasoning:
            self.close()
            self._reasoning = reasoning
        self._held.append(text)
        if self._clock() - self._last >= self.EVERY:
            self.close()

    def close(self) -> None:
        """Tell what has been held back."""
        if not self._held:
            return
        if not self._has_reader:
            self._held.clear()
            return
        self._runtime.stream_writer(
            {
                "kind": "said",
                "speaker": self._speaker,
                "text": redact_known("".join(self._held)),
                "reasoning": self._reasoning,
            }
        )
        self._held.clear()
        self._last = self._clock()
