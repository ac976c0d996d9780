"""Ranked pairs: every two options are compared; the clearest wins are locked in first.

A win that would close a circle with wins already locked is passed over. Who beats everybody one
to one always leads (Condorcet's winner), and clones neither help nor harm.

- A ranked option stands above an unranked one; two unranked are not compared. A voter does not
  compare an option that holds its own proposal alone.
- Wins are ordered by margin, then by the votes for the winner, then by seat. Pairs that end level
  are not locked: options that beat equally many, directly or through others, tie.
- Tally: how many options it beats. Share: its part of the votes in its worst pair, so a share of
  0.7 says that at least 70 % prefer it to whichever other option. 1/2 where nobody compared.

Source: T. N. Tideman, "Independence of clones as a criterion for voting rules", Social Choice and
Welfare 4 (1987), 185-206.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction

from mom_council.records import Verdict
from mom_council.voting.ballot_forms import RANKING
from mom_council.voting.methods.base import (
    Number,
    Standing,
    Tally,
    VoteMethod,
    exact,
    percent,
    total,
)


class RankedPairs(VoteMethod):
    """Every two options are compared."""

    name = "ranked_pairs"
    meaning = "a ranking, every two compared"
    form = RANKING

    def standings(self, tally: Tally) -> list[Standing]:
        """How many options each beats through locked wins, and its share in its worst pair."""
        wins = preferences(tally)
        locked = _lock(wins)
        voted = bool(tally.ballots)
        beaten = [len(_reachable_from(locked, option)) for option in range(len(wins))]
        return [Standing(n, n, _worst(wins, at, voted)) for at, n in enumerate(beaten)]

    def lead(self, tally: Tally, leader: int, rival: int, out: Mapping[str, float]) -> Number:
        """The margin in the pair if all who are out prefer the rival; a level pair is no lead.

        Only a leader that beats everybody one to one is beyond change, so this errs to the low
        side.
        """
        wins = preferences(tally)
        margin = wins[leader][rival] - wins[rival][leader] - total(out.values())
        return margin if margin > 0 else -1

    def shares(self, tally: Tally, option: int, out: Mapping[str, float]) -> tuple[Number, Number]:
        """The range of the share."""
        wins, more = preferences(tally), total(out.values())
        low, high = Fraction(1), Fraction(1)
        for other in range(len(wins)):
            whole = wins[option][other] + wins[other][option] + more
            if other != option and whole:
                low = min(low, Fraction(wins[option][other]) / whole)
                high = min(high, Fraction(wins[option][other] + more) / whole)
            elif other != option:
                low, high = min(low, Fraction(1, 2)), min(high, Fraction(1, 2))
        return (low if tally.ballots else 0), high

    def describe(self, verdict: Verdict, leader: str) -> str:
        """By its worst pair."""
        share = percent(verdict.share)
        return f"{leader} is preferred to every other option by {share} or more"


def preferences(tally: Tally) -> list[list[Number]]:
    """`preferences[a][b]`: the weight of the ballots that put option a above option b."""
    size = len(tally.options)
    wins: list[list[Number]] = [[0] * size for _ in range(size)]
    for ballot in tally.ballots:
        weight = exact(ballot.weight)
        able = [at for at in range(size) if tally.may_name(ballot.voter, at)]
        ranked = [at for at in tally.named(ballot.ranking) if at in able]
        below = set(able)
        for better in ranked:
            below.discard(better)
            for worse in below:
                wins[better][worse] += weight
    return wins


def _lock(wins: Sequence[Sequence[Number]]) -> list[set[int]]:
    """For each option those that it beats, without a circle."""
    size = range(len(wins))
    pairs = [(a, b) for a in size for b in size if wins[a][b] > wins[b][a]]
    pairs.sort(key=lambda pair: (_margin(wins, pair), -wins[pair[0]][pair[1]], pair))
    locked: list[set[int]] = [set() for _ in size]
    for winner, loser in pairs:
        if winner not in _reachable_from(locked, loser):
            locked[winner].add(loser)
    return locked


def _margin(wins: Sequence[Sequence[Number]], pair: tuple[int, int]) -> Number:
    return wins[pair[1]][pair[0]] - wins[pair[0]][pair[1]]


def _reachable_from(locked: Sequence[set[int]], start: int) -> set[int]:
    """All that an option beats, directly or through others."""
    seen: set[int] = set()
    open_ = [start]
    while open_:
        new = locked[open_.pop()] - seen
        seen |= new
        open_.extend(new)
    return seen


def _worst(wins: Sequence[Sequence[Number]], option: int, voted: bool) -> Number:
    parts = [
        Fraction(wins[option][other]) / total if total else Fraction(1, 2)
        for other in range(len(wins))
        if other != option
        for total in (wins[option][other] + wins[other][option],)
    ]
    return min(parts, default=Fraction(1)) if voted else 0


METHOD = RankedPairs()
