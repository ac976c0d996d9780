"""Arithmetic shared by the methods that add whole votes: plurality, approval, answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction

from mom_council.councils.voting.base import Number, Standing, Table, exact


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
