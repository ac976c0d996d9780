"""Score (range) voting: each voter gives 0 to 10; the highest weighted mean leads.

- A ballot's score for an option is the best it gave to any of its members: the answer is the
  same, so its best statement counts, and a badly written clone does no harm.
- The mean is over the ballots that scored the option; a score that was not given is not made up.
  An option that nobody scored has 0. Share: the mean out of 10, so 0.7 means 7 of 10.

Source: W. D. Smith, "Range voting" (2000); as utilitarian voting, R. G. Niemi and others before.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from mom_council.voting.methods.base import Number, Standing, Table, exact

ASKS = True
MOST = 10


def standings(table: Table) -> list[Standing]:
    """Mean scores (the tally), and the same out of 1."""
    means = [Fraction(given) / weight if weight else Fraction(0) for given, weight in _sums(table)]
    return [Standing(mean, mean, mean / MOST) for mean in means]


def lead(table: Table, leader: int, rival: int, out: Mapping[str, float]) -> Number:
    """The lead if all who are out give the leader 0 and the rival 10."""
    return _range(table, leader, out)[0] - _range(table, rival, out)[1]


def shares(table: Table, option: int, out: Mapping[str, float]) -> tuple[Number, Number]:
    """The range of the share."""
    low, high = _range(table, option, out)
    return Fraction(low) / MOST, Fraction(high) / MOST


def _sums(table: Table) -> list[tuple[Number, Number]]:
    given: list[Number] = [0] * len(table.options)
    weights: list[Number] = [0] * len(table.options)
    for ballot in table.ballots:
        best: dict[int, float] = {}
        for name, points in ballot.scores.items():
            option = table.option_of[name]
            best[option] = max(points, best.get(option, 0.0))
        for option, points in best.items():
            given[option] += exact(ballot.weight) * exact(points)
            weights[option] += exact(ballot.weight)
    return list(zip(given, weights, strict=True))


def _range(table: Table, option: int, out: Mapping[str, float]) -> tuple[Number, Number]:
    given, weight = _sums(table)[option]
    room = table.room(option, out)
    # One ballot of those out may already carry the mean: with no score yet, anything can happen.
    low = Fraction(given) / (weight + room) if weight + room else 0
    high = Fraction(given + MOST * room) / (weight + room) if weight + room else 0
    return low, high
