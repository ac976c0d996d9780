"""The four forms of a ballot: one choice, approvals, a ranking, scores.

A form says how a voter is asked (a sentence and an example), the JSON schema that holds a model to
it, and what a ballot of another form says in this one. A vote method names the form it counts.

In every schema the reason comes first and the ballot last, so that a model thinks before it
decides. Abstaining is always possible: nobody is made to choose.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

from mom_council.records import Ballot

ABSTAIN = "abstain"

Field = Literal["choice", "approved", "ranking", "scores"]


class BallotForm(ABC):
    """How voters are asked for a ballot, and which field of the ballot holds their vote."""

    field: ClassVar[Field]
    """The field of `Ballot` that this form fills."""
    instruction: ClassVar[str]
    """What a voter is asked to do, as its prompt says it."""
    translation: ClassVar[str] = ""
    """What is said where ballots of another form are read as this one."""

    @abstractmethod
    def example(self, labels: Sequence[str]) -> str:
        """The ballot's part of the JSON object that a voter is shown as an example."""

    @abstractmethod
    def properties(self, labels: Sequence[str]) -> dict[str, Any]:
        """The ballot's part of the JSON schema."""

    @abstractmethod
    def read_from(self, ballot: Ballot) -> Any:
        """What a ballot, of whatever form, says in this one; empty where it says nothing."""

    def schema(self, labels: Sequence[str]) -> dict[str, Any]:
        """The JSON schema for one ballot; strict: every key is required, no other is allowed.

        Args:
            labels: of the candidates, in the order they are shown.
        """
        return _closed({"reason": {"type": "string"}, **self.properties(labels)})

    def is_filled(self, ballot: Ballot) -> bool:
        """Whether a ballot has a vote in this form."""
        return bool(getattr(ballot, self.field))

    def translate(self, ballot: Ballot) -> Ballot:
        """The ballot in this form; it abstains where it does not answer this form's question."""
        blank = Ballot(voter=ballot.voter, round=ballot.round, weight=ballot.weight)
        return blank.model_copy(update={self.field: self.read_from(ballot)})


class SingleChoice(BallotForm):
    """One candidate."""

    field = "choice"
    instruction = "Vote for the one best candidate, or abstain."
    translation = "Each ballot counts for the one that it put first."

    def example(self, labels: Sequence[str]) -> str:
        """`"vote": "A" or "B" or "abstain"`."""
        return '"vote": "' + '" or "'.join([*labels, ABSTAIN]) + '"'

    def properties(self, labels: Sequence[str]) -> dict[str, Any]:
        """One label, or that the voter abstains."""
        return {"vote": {"type": "string", "enum": [*labels, ABSTAIN]}}

    def read_from(self, ballot: Ballot) -> str | None:
        """The choice, the first of a ranking, or the one with most points."""
        if ballot.choice or not (ballot.ranking or ballot.scores):
            return ballot.choice
        if ballot.ranking:
            return ballot.ranking[0]
        most = max(ballot.scores.values())
        best = [name for name, points in ballot.scores.items() if points == most]
        return best[0] if len(best) == 1 else None


class Approvals(BallotForm):
    """All candidates that are acceptable."""

    field = "approved"
    instruction = (
        "Approve every candidate that you would be content to see as the answer: several, one, or "
        "none."
    )

    def example(self, labels: Sequence[str]) -> str:
        """`"approved": ["...", "..."]`."""
        return '"approved": ["...", "..."]'

    def properties(self, labels: Sequence[str]) -> dict[str, Any]:
        """A list of labels."""
        return {"approved": _list_of(labels)}

    def read_from(self, ballot: Ballot) -> tuple[str, ...]:
        """The approvals; nothing else says what is acceptable."""
        return ballot.approved


class Ranking(BallotForm):
    """Candidates in order, the best first."""

    field = "ranking"
    instruction = "Rank the candidates, the best first. Leave out whom you cannot judge."
    translation = "Each ballot's points are read as a ranking."

    def example(self, labels: Sequence[str]) -> str:
        """`"ranking": ["best", "...", "worst"]`."""
        return '"ranking": ["best", "...", "worst"]'

    def properties(self, labels: Sequence[str]) -> dict[str, Any]:
        """A list of labels."""
        return {"ranking": _list_of(labels)}

    def read_from(self, ballot: Ballot) -> tuple[str, ...]:
        """The ranking, or the order of different points; level points give no order."""
        if ballot.ranking or len({*ballot.scores.values()}) < len(ballot.scores):
            return ballot.ranking
        return tuple(sorted(ballot.scores, key=lambda name: -ballot.scores[name]))


class Scores(BallotForm):
    """0 to 10 points for each candidate."""

    field = "scores"
    instruction = (
        "Give each candidate 0 to 10 points for how right and how helpful it is; 10 is flawless. "
        "Leave out whom you cannot judge."
    )

    def example(self, labels: Sequence[str]) -> str:
        """`"scores": {"A": 0-10, "B": 0-10}`."""
        return '"scores": {"' + '": 0-10, "'.join(labels) + '": 0-10}'

    def properties(self, labels: Sequence[str]) -> dict[str, Any]:
        """A number for each label."""
        points = {"type": "number", "minimum": 0, "maximum": 10}
        return {"scores": _closed({label: dict(points) for label in labels})}

    def read_from(self, ballot: Ballot) -> dict[str, float]:
        """The scores; no other vote says how many points."""
        return ballot.scores


CHOICE = SingleChoice()
APPROVALS = Approvals()
RANKING = Ranking()
SCORES = Scores()


def _list_of(labels: Sequence[str]) -> dict[str, Any]:
    return {"type": "array", "items": {"type": "string", "enum": list(labels)}}


def _closed(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
