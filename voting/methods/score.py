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

from mom_council.records import Verdict
from mom_council.voting.ballot_forms import SCORES
from mom_council.voting.methods.base import Number, Standing, Tally, VoteMethod, exact

MOST = 10


class Score(VoteMethod):
    """0 to 10 points."""

    name = "score"
    meaning = "0 to 10 points"
    form = SCORES

    def standings(self, tally: Tally) -> list[Standing]:
        """Mean scores (the tally), and the same out of 1."""
        means = mean_scores(tally)
        return [Standing(mean, mean, mean / MOST) for mean in means]

    def lead(self, tally: Tally, leader: int, rival: int, out: Mapping[str, float]) -> Number:
        """The lead if all who are out give the leader 0 and the rival 10."""
        return _range(tally, leader, out)[0] - _range(tally, rival, out)[1]

    def shares(self, tally: Tally, option: int, out: Mapping[str, float]) -> tuple[Number, Number]:
        """The range of the share."""
        low, high = _range(tally, option, out)
        return Fraction(low) / MOST, Fraction(high) / MOST

    def describe(self, verdict: Verdict, leader: str) -> str:
        """By its mean."""
        return f"{leader} scored {verdict.options[0].tally:.1f} of {MOST} on average"


def mean_scores(tally: Tally) -> list[Fraction]:
    """The weighted mean of each option's scores; 0 where nobody scored it."""
    return [Fraction(points) / weight if weight else Fraction(0) for points, weight in _sums(tally)]


def _sums(tally: Tally) -> list[tuple[Number, Number]]:
    sums: list[Number] = [0] * len(tally.options)
    weights: list[Number] = [0] * len(tally.options)
    for ballot in tally.ballots:
        best: dict[int, float] = {}
        for name, points in ballot.scores.items():
            option = tally.option_of[name]
            best[option] = max(points, best.get(option, 0.0))
        for option, points in best.items():
            sums[option] += exact(ballot.weight) * exact(points)
            weights[option] += exact(ballot.weight)
    return list(zip(sums, weights, strict=True))


def _range(tally: Tally, option: int, out: Mapping[str, float]) -> tuple[Number, Number]:
    points, weight = _sums(tally)[option]
    more = tally.still_possible(option, out)
    # One ballot of those out may already carry the mean: with no score yet, anything can happen.
    low = Fraction(points) / (weight + more) if weight + more else 0
    high = Fraction(points + MOST * more) / (weight + more) if weight + more else 0
    return low, high


METHOD = Score()
