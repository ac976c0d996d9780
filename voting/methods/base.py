"""What a counting method is: plain functions over one table of options and ballots.

A method is a module with the three functions of `Method`, and one line in `METHODS`. Everything
that methods share (merging equal answers, leaving out votes for oneself, breaking ties) has
happened to the table before, or happens to the standings after.

Numbers are exact, integers or fractions: a tie is a tie, whatever the weights and their order.

Arithmetic shared by the methods that add whole votes: plurality, approval, answers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import NamedTuple, Protocol

from mom_council.councils.records import Ballot

Number = Fraction | int


def exact(weight: float) -> Number:
    """A weight as the decimal it was written as: 0.1 + 0.2 is 0.3 here."""
    return int(weight) if weight == int(weight) else Fraction(repr(weight))


@dataclass(frozen=True)
class Group:
    """Proposals that say the same: one option of the vote.

    Attributes:
        members: their characters, in seat order.
        weight: their weights together.
        answer: their canonical answer; None where there is none.
        speaker: who stands for them, where the method knows; else ballots, weight and seat say.
        confidence: how sure the surest of them said it is; None where nobody said.
    """

    members: tuple[str, ...]
    weight: Number
    answer: str | None = None
    speaker: str | None = None
    confidence: Number | None = None


@dataclass(frozen=True)
class Table:
    """What is counted: options in seat order, and the ballots that name somebody.

    No ballot names its own voter or a stranger, and there is one ballot a voter.
    """

    options: tuple[Group, ...]
    ballots: tuple[Ballot, ...] = ()
    option_of: Mapping[str, int] = field(default_factory=dict)

    @property
    def weight(self) -> Number:
        """The ballots' weights together."""
        return sum(exact(ballot.weight) for ballot in self.ballots)

    def named(self, characters: Iterable[str]) -> list[int]:
        """The options these characters belong to, each once, in the order of first mention."""
        return list(dict.fromkeys(self.option_of[name] for name in characters))

    def may_name(self, voter: str, option: int) -> bool:
        """Whether a voter can vote for an option: it has a proposal that is not the voter's own."""
        members = self.options[option].members
        return len(members) > 1 or members != (voter,)

    def room(self, option: int, out: Mapping[str, float]) -> Number:
        """The weight of those whose ballots are out and may yet name the option."""
        return sum(exact(weight) for voter, weight in out.items() if self.may_name(voter, option))


class Standing(NamedTuple):
    """How an option stands. Options are ordered by `value`; `tally` and `share` are shown."""

    value: Number
    tally: Number
    share: Number


class Method(Protocol):
    """A way of counting. `out` maps the voters whose ballots may still come to their weights."""

    @property
    def ASKS(self) -> bool:  # noqa: N802 - a constant of the module
        """Whether voters are asked for ballots; otherwise proposals count by themselves."""

    def standings(self, table: Table) -> list[Standing]:
        """How each option stands, in the order of the table's options."""

    def lead(self, table: Table, leader: int, rival: int, out: Mapping[str, float]) -> Number:
        """The least by which `leader` stays ahead of `rival`, whatever comes; below 0: it may not.

        It may err only to the low side. 0 means that they may end level.
        """

    def shares(self, table: Table, option: int, out: Mapping[str, float]) -> tuple[Number, Number]:
        """The least and the greatest share the option may end with; may err only outwards."""


def stand(votes: Sequence[Number], total: Number) -> list[Standing]:
    """Standings from votes; the share is of `total`, and 0 where nobody voted."""
    return [Standing(each, each, Fraction(each) / total if total else 0) for each in votes]


def margin(
    table: Table, votes: Sequence[Number], leader: int, rival: int, out: Mapping[str, float]
) -> Number:
    """What is left of the lead when everybody who is out and may do so votes for the rival."""
    return votes[leader] - votes[rival] - table.room(rival, out)


def bounds(
    table: Table, votes: Number, total: Number, option: int, out: Mapping[str, float]
) -> tuple[Number, Number]:
    """The share if all who are out vote for another, and if all who may vote for this one do."""
    out_weight = sum(exact(weight) for weight in out.values())
    room = table.room(option, out)
    low = Fraction(votes) / (total + out_weight) if total + out_weight else 0
    high = Fraction(votes + room) / (total + room) if total + room else 0
    return low, high
