"""The state of one question, and how parallel nodes write to it.

Lists are delta channels: a checkpoint holds what a step added, not the whole list again, so a
thread grows with what was said and not with the square of it. What nodes store here are the
records of `records`; no client, no secret, no second copy of a text.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Annotated, Any, Literal

from langchain_core.messages import AnyMessage
from langgraph.channels.delta import DeltaChannel
from langgraph.channels.untracked_value import UntrackedValue
from typing_extensions import TypedDict

from mom_council.deliberation.context import QuestionSettings
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
from mom_council.seams.langgraph import (
    RecordList,
    RecordValue,
    merge_records,
    messages_delta_reducer,
    register_records,
)
from mom_council.voting.fitted import Trust


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


STORED: tuple[type[Record], ...] = (
    *(Absence, Annotation, Ballot, EqualityJudgement, Note, Proposal, Seating, Segment),
    *(QuestionSettings, Sight, Status, Trust, Verdict),
)
"""The records that a checkpoint holds."""

register_records(STORED)


def merged(record: type[Record], *fields: str) -> RecordList:
    """A list of records; the later one of the same fields, or the same in all of them, holds."""
    return RecordList(merge_records(record, attrgetter(*fields) if fields else None))


Messages = Annotated[list[AnyMessage], DeltaChannel(messages_delta_reducer)]


class CouncilInput(TypedDict):
    """What a caller gives: a conversation whose last human message is the question."""

    messages: Messages


class CouncilOutput(TypedDict):
    """What a caller gets: the conversation with the answer, and the label on it."""

    messages: Messages
    status: Annotated[Status | None, RecordValue]


def merge_writes(old: dict[str, Any], writes: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Lay what extensions keep over what they kept before; each has its own name."""
    return {**old, **{name: value for write in writes for name, value in write.items()}}


class CouncilState(CouncilInput):
    """The table that every node reads; all but `messages` and `kept` is cleared for a new one."""

    asked_at: float
    route: Literal["text", "image"]
    sight: Annotated[Sight | None, RecordValue]
    annotation: Annotated[Annotation, RecordValue]
    seating: Annotated[Seating | None, RecordValue]
    settings: Annotated[QuestionSettings | None, RecordValue]
    trust: Annotated[Trust | None, RecordValue]
    comparison: str
    proposals: Annotated[list[Proposal], merged(Proposal, "character", "round", "layer")]
    ballots: Annotated[list[Ballot], merged(Ballot, "voter", "round")]
    absences: Annotated[list[Absence], merged(Absence, "character", "stage", "round", "layer")]
    segments: Annotated[list[Segment], merged(Segment)]
    verdicts: Annotated[list[Verdict], merged(Verdict, "round")]
    judgements: Annotated[list[EqualityJudgement], merged(EqualityJudgement, "one", "other")]
    notes: Annotated[list[Note], merged(Note)]
    status: Annotated[Status | None, RecordValue]
    kept: Annotated[dict[str, Any], DeltaChannel(merge_writes)]
    chat_models: list[str]
    """The keys of the models that the program handed over; the models are never stored."""
    step: Annotated[str, UntrackedValue(str, guard=False)]
    """What a node did that wrote nothing else: for streams, and in no checkpoint."""


class CouncilUpdate(TypedDict, total=False):
    """What a node returns: only the keys that it changes (an `Overwrite` replaces a list)."""

    messages: list[AnyMessage]
    asked_at: float
    route: Literal["text", "image"]
    sight: Sight | None
    annotation: Annotation
    seating: Seating | None
    settings: QuestionSettings | None
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
    chat_models: list[str]
    step: str
