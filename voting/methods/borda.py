"""Borda: each voter ranks; with m options the first gets m-1 points, the last 0.

- An option stands where its best-ranked member stands.
- Unranked options share the points of the places that are left, evenly (the *average* rule for
  truncated ballots), so that ranking only one's favourite is neither punished nor rewarded.
- A voter whose own proposal is an option of its own cannot rank it: its places are stretched over
  the same range of points, and the option is judged by the other voters' mean. So nobody gains
  or loses by having a ballot. Tally: that mean times the weight of all ballots, which is the
  plain sum of points wherever everyone could rank everything.
- Share: the part of the points that it could have had at most; first on every ballot is 1.

Sources: J.-C. de Borda, "Memoire sur les elections au scrutin" (1781, printed 1784); truncated
ballots: D. Baumeister, P. Faliszewski, J. Lang, J. Rothe, "Campaigns for Lazy Voters: Truncated
Ballots", AAMAS 2012.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from mom_council.records import Ballot
from mom_council.voting.ballot_forms import RANKING
from mom_council.voting.methods.base import Number, Standing, Tally, VoteMethod, exact


class Borda(VoteMethod):
    """Points by rank."""

    name = "borda"
    meaning = "a ranking"
    form = RANKING

    def standings(self, tally: Tally) -> list[Standing]:
        """Points, and their part of the most that could be had."""
        most = max(len(tally.options) - 1, 1) * tally.weight
        parts = [
            Fraction(gained) / weight if weight else Fraction(0) for gained, weight in _sums(tally)
        ]
        return [Standing(part, part * most, part) for part in parts]

    def lead(self, tally: Tally, leader: int, rival: int, out: Mapping[str, float]) -> Number:
        """The lead if all who are out put the leader last and the rival first."""
        return self.shares(tally, leader, out)[0] - self.shares(tally, rival, out)[1]

    def shares(self, tally: Tally, option: int, out: Mapping[str, float]) -> tuple[Number, Number]:
        """The range of the share."""
        gained, weight = _sums(tally)[option]
        more = tally.still_possible(option, out)
        if not weight + more:
            return 0, 0
        return Fraction(gained) / (weight + more), Fraction(gained + more) / (weight + more)


def parts(tally: Tally, ballot: Ballot) -> dict[int, Fraction]:
    """What one ballot gives to each option that it may rank, from 0 (last) to 1 (first)."""
    able = [at for at in range(len(tally.options)) if tally.may_name(ballot.voter, at)]
    ranked = [at for at in tally.named(ballot.ranking) if at in able]
    last = len(able) - 1
    if last < 1:
        return dict.fromkeys(able, Fraction(1, 2))  # nothing was compared
    points = {option: Fraction(last - place, last) for place, option in enumerate(ranked)}
    rest = [option for option in able if option not in points]
    shared = Fraction(len(rest) - 1, 2 * last)  # the mean of the places len(rest)-1 .. 0
    return points | dict.fromkeys(rest, shared)


def _sums(tally: Tally) -> list[tuple[Number, Number]]:
    """For each option: the weighted parts it was points, and the weight of those that could."""
    gained: list[Number] = [0] * len(tally.options)
    weights: list[Number] = [0] * len(tally.options)
    for ballot in tally.ballots:
        weight = exact(ballot.weight)
        for option, part in parts(tally, ballot).items():
            gained[option] += weight * part
            weights[option] += weight
    return list(zip(gained, weights, strict=True))


METHOD = Borda()
