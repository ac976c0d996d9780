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

from mom_council.councils.records import Ballot
from mom_council.voting.methods.base import Number, Standing, Table, exact

ASKS = True


def standings(table: Table) -> list[Standing]:
    """Points, and their part of the most that could be had."""
    most = max(len(table.options) - 1, 1) * table.weight
    found = []
    for gained, weight in _sums(table):
        part = Fraction(gained) / weight if weight else Fraction(0)
        found.append(Standing(part, part * most, part))
    return found


def lead(table: Table, leader: int, rival: int, out: Mapping[str, float]) -> Number:
    """The lead if all who are out put the leader last and the rival first."""
    return _range(table, leader, out)[0] - _range(table, rival, out)[1]


def shares(table: Table, option: int, out: Mapping[str, float]) -> tuple[Number, Number]:
    """The range of the share."""
    return _range(table, option, out)


def parts(table: Table, ballot: Ballot) -> dict[int, Fraction]:
    """What one ballot gives to each option that it may rank, from 0 (last) to 1 (first)."""
    able = [at for at in range(len(table.options)) if table.may_name(ballot.voter, at)]
    ranked = [at for at in table.named(ballot.ranking) if at in able]
    last = len(able) - 1
    if last < 1:
        return dict.fromkeys(able, Fraction(1, 2))  # nothing was compared
    given = {option: Fraction(last - place, last) for place, option in enumerate(ranked)}
    rest = [option for option in able if option not in given]
    shared = Fraction(len(rest) - 1, 2 * last)  # the mean of the places len(rest)-1 .. 0
    return given | dict.fromkeys(rest, shared)


def _sums(table: Table) -> list[tuple[Number, Number]]:
    """For each option: the weighted parts it was given, and the weight of those that could."""
    gained: list[Number] = [0] * len(table.options)
    weights: list[Number] = [0] * len(table.options)
    for ballot in table.ballots:
        weight = exact(ballot.weight)
        for option, part in parts(table, ballot).items():
            gained[option] += weight * part
            weights[option] += weight
    return list(zip(gained, weights, strict=True))


def _range(table: Table, option: int, out: Mapping[str, float]) -> tuple[Number, Number]:
    gained, weight = _sums(table)[option]
    room = table.room(option, out)
    if not weight + room:
        return 0, 0
    return Fraction(gained) / (weight + room), Fraction(gained + room) / (weight + room)
