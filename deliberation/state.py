"""The state of one question, and how parallel nodes write to it.

Lists are delta channels: a checkpoint holds what a step added, not the whole list again, so a
thread grows with what was said and not with the square of it. What nodes store here are the
records of `records`; no client, no secret, no second copy of a text.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal, TypeVar

from langchain_core.messages import AnyMessage
from langgraph.channels.delta import DeltaChannel
from typing_extensions import TypedDict

from mom_council.records import (
    Absence,
    Annotation,
    Ballot,
    EqualityJudgement,
    Note,
    Proposal,
    Record,
    Segment,
    Status,
    Verdict,
)
from mom_council.seams.langgraph import messages_delta_reducer
from mom_council.voting.fitted import Trust

T = TypeVar("T")


class Seating(Record):
    """Whose turn it is."""

    round: int = 1
    layer: int = 1
    seated: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()


class Sight(Record):
    """What is known of the pictures that came with a question, for the rest of the conversation."""

    of: str
    """The id of the message that they came with."""
    pictures: int = 0
    """How many could be taken."""
    seers: tuple[str, ...] = ()
    """The keys of the models that can look at them."""
    description: str = ""
    """What one of those saw, for those who cannot look."""
    by: str = ""
    """The key of the model that described them."""


def append_writes(old: list[T], writes: Sequence[list[T]]) -> list[T]:
    """Add what each parallel node wrote, in the order LangGraph applies it."""
    return [*old, *(item for write in writes for item in write)]


Messages = Annotated[list[AnyMessage], DeltaChannel(messages_delta_reducer)]


class CouncilInput(TypedDict):
    """What a caller gives: a conversation whose last human message is the question."""

    messages: Messages


class CouncilOutput(TypedDict):
    """What a caller gets: the conversation with the answer, and the label on it."""

    messages: Messages
    status: Status | None


def merge_writes(old: dict[str, Any], writes: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Lay what extensions keep over what they kept before; each has its own name."""
    return {**old, **{name: value for write in writes for name, value in write.items()}}


class CouncilState(CouncilInput):
    """The table that every node reads; all but `messages` and `kept` is cleared for a new one."""

    asked_at: float
    route: Literal["text", "image"]
    sight: Sight | None
    annotation: Annotation
    seating: Seating | None
    trust: Trust | None
    comparison: str
    proposals: Annotated[list[Proposal], DeltaChannel(append_writes)]
    ballots: Annotated[list[Ballot], DeltaChannel(append_writes)]
    absences: Annotated[list[Absence], DeltaChannel(append_writes)]
    segments: Annotated[list[Segment], DeltaChannel(append_writes)]
    verdicts: Annotated[list[Verdict], DeltaChannel(append_writes)]
    judgements: Annotated[list[EqualityJudgement], DeltaChannel(append_writes)]
    notes: Annotated[list[Note], DeltaChannel(append_writes)]
    status: Status | None
    kept: Annotated[dict[str, Any], DeltaChannel(merge_writes)]


class CouncilUpdate(TypedDict, total=False):
    """What a node returns: only the keys that it changes (an `Overwrite` replaces a list)."""

    messages: list[AnyMessage]
    asked_at: float
    route: Literal["text", "image"]
    sight: Sight | None
    annotation: Annotation
    seating: Seating | None
    trust: Trust | None
    comparison: str
    proposals: Any
    ballots: Any
    absences: Any
    segments: Any
    verdicts: Any
    judgements: Any
    notes: Any
    status: Status | None
    kept: dict[str, Any]
