"""The frozen records of a question, shared by state, status, traces and exports.

Pure pydantic: nothing here knows of graphs or models. Every record survives a JSON round trip.
"""

from __future__ import annotations

from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

AbsenceReason = Literal[
    "failed", "timeout", "late", "empty", "garbled", "dropped", "refused", "budget", "settled"
]
"""failed: every attempt at the model failed; timeout: it took longer than its limit; late: a quorum
had been reached and its grace was over; empty: it answered nothing; garbled: its answer is no text
that can be read; dropped: left out by dropout; refused: the model declined; budget: not asked;
settled: not asked, or not waited for, because the vote was settled without it."""

StopReason = Literal[
    "decided",
    "sure",
    "agreed",
    "stalled",
    "rounds",
    "budget",
    "single",
    "unvoted",
    "no_ballots",
    "heat",
]
"""decided: no remaining ballot can change the leader; agreed: the leader's share reached the
threshold; sure: the leader is likely enough by the council's stopping rule;
stalled: another round would repeat this one; rounds: none are left; budget: the
question's budget is spent; single: there is one proposal; unvoted: the council's method is `none`;
no_ballots: every voter abstained or was absent; heat: stopped by the thermal watch."""

AnswerKind = Literal["closed", "open", "unknown"]

Depth = Literal["solo", "small", "full", "deep"]
"""How much of the council a question takes. solo: the first character alone; small: the first three
of the first layer; full: the council as it is written; deep: two rounds at least."""

AnswerFinish = Literal["stop", "length", "broken", "filtered", "calls"]
"""stop: it was complete; length: cut at the model's limit; broken: the model broke off in the
middle; filtered: the provider withheld the rest; calls: it asks for the caller's own tools."""

N = TypeVar("N", int, float)


class Record(BaseModel):
    """A frozen value that refuses keys it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class Usage(Record):
    """Tokens, money and time of one or more calls. What is not known is None, never 0."""

    calls: int = Field(default=0, ge=0, description="requests that were sent, retries included")
    input_tokens: int | None = None
    output_tokens: int | None = None
    usd: float | None = Field(default=None, description="price; None when no price is known")
    seconds: float = Field(default=0.0, ge=0, description="wall time, to the last token")
    estimated: bool = Field(default=False, description="where a reply told none, the most counts")

    def __add__(self, other: Usage) -> Usage:
        """Sum two usages; an unknown on one side leaves the known part of the other."""
        if self is NO_USAGE or other is NO_USAGE:
            return other if self is NO_USAGE else self
        return Usage(
            calls=self.calls + other.calls,
            input_tokens=_plus(self.input_tokens, other.input_tokens),
            output_tokens=_plus(self.output_tokens, other.output_tokens),
            usd=_plus(self.usd, other.usd),
            seconds=self.seconds + other.seconds,
            estimated=self.estimated or other.estimated,
        )

    @property
    def tokens(self) -> int | None:
        """Input and output tokens together, None when neither is known."""
        return _plus(self.input_tokens, self.output_tokens)


NO_USAGE = Usage()


class Attempt(Record):
    """One try at one model."""

    model: str = Field(description="the model's key in the council")
    error: str | None = Field(default=None, description="what went wrong, without any secret")
    status: int | None = Field(default=None, description="HTTP status, where there was one")
    timed_out: bool = Field(default=False, description="it was given up for taking too long")
    seconds: float = 0.0


class Segment(Record):
    """One speaking of one node: what it cost and how long it took."""

    node: str = Field(description="annotator, character, vote, synthesizer, ...")
    name: str = Field(description="the character's name, or the node's")
    round: int = 0
    layer: int = 0
    model: str = Field(default="", description="the model's key that answered, fallbacks included")
    usage: Usage = NO_USAGE
    first_token: float | None = Field(default=None, description="seconds to the first token")
    cached: bool = False
    attempts: tuple[Attempt, ...] = ()
    tool_calls: int = Field(default=0, ge=0, description="calls of tools that it asked for")
    notes: tuple[str, ...] = Field(
        default=(), description="what its provider says of it: that the prompt was shortened"
    )
    prompt_cut: bool = Field(
        default=False, description="the model read only a part of what it was sent"
    )


class Proposal(Record):
    """What one character answered in one round."""

    character: str
    text: str
    reasoning: str = ""
    model: str = ""
    round: int = Field(default=1, ge=1)
    layer: int = Field(default=1, ge=1)
    weight: float = Field(default=1.0, ge=0)
    confidence: float | None = Field(
        default=None, ge=0, le=1, description="how sure it said it is; None where it did not say"
    )
    truncated: bool = Field(
        default=False, description="the model hit its length limit, or broke off"
    )
    options: dict[str, str] = Field(
        default_factory=dict,
        description="what the question lets it choose from, label -> text; only a label is an "
        "answer then; empty: anything is",
    )
    counts_as: str = Field(
        default="", description="another's text, where a model judged both to mean the same answer"
    )

    @property
    def id(self) -> str:
        """Names the proposal within its question."""
        return f"{self.character}#{self.round}.{self.layer}"


class Ballot(Record):
    """What one character voted in one round, over that round's proposals.

    Exactly one of `choice`, `ranking`, `approved` and `scores` is filled, as the method asks; all
    four empty is an abstention. Candidates are named by `Proposal.character`.
    """

    voter: str
    round: int = Field(default=1, ge=1)
    choice: str | None = None
    ranking: tuple[str, ...] = ()
    approved: tuple[str, ...] = ()
    scores: dict[str, float] = Field(default_factory=dict, description="candidate -> 0..10")
    weight: float = Field(default=1.0, ge=0)
    reason: str = Field(default="", description="why, in the voter's own words")
    unread: str = Field(
        default="", description="the raw reply, where no vote could be read from it"
    )
    shown: tuple[str, ...] = Field(default=(), description="candidates in the order it saw them")

    @property
    def abstained(self) -> bool:
        """Whether the ballot names nobody."""
        return not (self.choice or self.ranking or self.approved or self.scores)


class Absence(Record):
    """A character that was to speak or vote, and did not."""

    character: str
    reason: AbsenceReason
    detail: str = Field(default="", description="the error in one line, without any secret")
    stage: Literal["character", "vote"] = "character"
    round: int = 1
    layer: int = 1


class Option(Record):
    """Proposals that say the same, counted as one."""

    members: tuple[str, ...] = Field(description="characters, in seat order")
    answer: str | None = Field(
        default=None, description="their canonical answer, where there is one"
    )
    written: str = Field(
        default="",
        description="their answer as the first of them wrote it, where that is otherwise",
    )
    tally: float = Field(default=0.0, description="weighted votes, points or mean score")
    share: float = Field(default=0.0, ge=0, le=1, description="of the whole tally")

    @property
    def display_answer(self) -> str:
        """Their answer as people are shown it; empty where there is none."""
        return self.written or self.answer or ""


class Verdict(Record):
    """The count of a round."""

    method: str
    round: int = 1
    options: tuple[Option, ...] = Field(default=(), description="best first")
    leader: str | None = Field(default=None, description="the character whose proposal leads")
    share: float = Field(default=0.0, ge=0, le=1, description="the leading option's share")
    confidence: float | None = Field(
        default=None,
        description="how likely the leading answer is right, calibrated; None where nothing was "
        "fitted for it, or it has no answer to be right",
    )
    interval: tuple[float, float] | None = Field(
        default=None,
        description="of 90 %, around a confidence that was learned from other models' agreement; "
        "None where it was fitted to this panel",
    )
    basis: str = Field(default="", description="what the confidence was fitted on")
    spared: int = Field(default=0, description="characters that were not needed")
    decided: bool = Field(default=False, description="no ballot still out can change the leader")
    tie: bool = Field(
        default=False, description="the lead was shared and broken by weight, then seat"
    )
    ballots: int = Field(default=0, description="ballots that were counted")
    abstained: int = 0
    asked: int = Field(
        default=0, description="voters that were asked and not let go; 0: nobody, or not known"
    )
    stop_reason: StopReason | None = Field(default=None, description="None: another round follows")


class Annotation(Record):
    """How the annotator read the question."""

    restated: str = ""
    kind: AnswerKind = "unknown"
    depth: Depth = "full"
    topic: str = Field(default="", description="the kind of question, as the ledger names it")


class EqualityJudgement(Record):
    """What a model judged of two answers that are written differently.

    They stand as they are written; of answers without a short form the proposals' ids.
    """

    one: str
    other: str
    same: bool = Field(description="whether both are the same answer; False where nobody could say")


NoteKind = Literal["plain", "step_failed", "extension_failed", "stayed_hot", "prompt_cut"]
"""step_failed: a step that reads the question or compares the proposals came to nothing, and the
answer came without it; extension_failed: an extension came to nothing, and rests for the remainder
of the question; stayed_hot: the hardware stayed too hot for as long as the council waits;
prompt_cut: a model read only a part of what it was sent; plain: anything else."""


class Note(Record):
    """Something that a reader of the answer should know."""

    text: str
    kind: NoteKind = "plain"
    about: str = Field(default="", description="whom it is about: the extension's name")


class Status(Record):
    """How an answer came about: the honest label on it."""

    council: str
    spoke: tuple[str, ...] = ()
    absent: tuple[Absence, ...] = ()
    verdict: Verdict | None = None
    stop_reason: StopReason | None = None
    dissent: tuple[str, ...] = Field(
        default=(),
        description="characters that still disagree with the leading answer after the vote: they "
        "proposed another one, and did not vote for it",
    )
    joined: tuple[str, ...] = Field(
        default=(),
        description="characters that proposed another answer, and then voted for the leading one",
    )
    minority_report: str = Field(default="", description="the strongest dissenting proposal")
    rounds: int = 0
    degraded: bool = Field(
        default=False, description="something failed, and the answer came anyway"
    )
    notes: tuple[str, ...] = Field(
        default=(), description="what a reader of the answer should know"
    )
    written_by: str = Field(default="", description="model key of the synthesizer, or `vote`")
    finish: AnswerFinish = Field(default="stop", description="how the answer ended")
    route: Literal["text", "image"] = "text"
    usage: Usage = NO_USAGE
    writing: Usage | None = Field(
        default=None, description="the part of `usage` that the last writing of the answer took"
    )
    seconds: float = Field(default=0.0, description="wall time of the whole question")


def _plus(a: N | None, b: N | None) -> N | None:
    if a is None or b is None:
        return b if a is None else a
    return a + b
