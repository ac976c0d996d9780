"""Rules over recorded answers: fitted on one sheet, they decide the lines of another.

Every rule of `FITS` is a function from the sheet it may learn from to a function that decides a
line. The rules that stop early are in `early`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from mom_council.evals.sheet import Line, Sheet
from mom_council.voting.weights import accuracy, learn, log_odds


class Decision(NamedTuple):
    """What a rule makes of a line.

    Attributes:
        answers: the answer; several where they are level and only a coin could tell them apart;
            none where nobody answered.
        confidence: how likely it is right, where the rule can say.
        asked: how many voters had to be asked.
        usd: what their calls cost, in dollars.
    """

    answers: tuple[str, ...]
    asked: int
    usd: float
    confidence: float | None = None

    def score(self, line: Line) -> float:
        """1 where it is right, 0 where it is wrong; a coin that would decide is right in part."""
        return sum(each in line.right for each in self.answers) / max(1, len(self.answers))


Rule = Callable[[Line], Decision]
Fit = Callable[[Sheet], Rule]


def best_single(cal: Sheet) -> Rule:
    """The one voter that was right most often."""
    best = cal.strongest_first()[0]

    def decide(line: Line) -> Decision:
        said = line.said[best]
        return Decision(() if said is None else (said,), 1, line.usd[best])

    return decide


def plain_majority(_: Sheet) -> Rule:
    """One vote each; a coin decides between answers that are level."""

    def decide(line: Line) -> Decision:
        return Decision(leaders(Counter(filter(None, line.said))), len(line.said), sum(line.usd))

    return decide


def weighted(cal: Sheet) -> Rule:
    """The vote with log-odds weights, corrected for K options, never below 0."""
    weights = voter_weights(cal)

    def decide(line: Line) -> Decision:
        return Decision(leaders(tally(line.said, weights)), len(line.said), sum(line.usd))

    return decide


def learned(cal: Sheet) -> Rule:
    """The learned vote, which knows how voters err together."""
    vote = learn(cal.cases, len(cal.models))

    def decide(line: Line) -> Decision:
        chances = vote.probabilities(line.said)
        first = leaders(chances)
        sure = chances[first[0]] if first else 0.0
        return Decision(first, len(line.said), sum(line.usd), sure)

    return decide


FITS: dict[str, Fit] = {
    "best single": best_single,
    "plain majority": plain_majority,
    "weighted": weighted,
    "learned": learned,
}


def voter_weights(cal: Sheet) -> list[float]:
    """Log-odds weights from a sheet, with its own effective number of options."""
    options = cal.options
    return [log_odds(accuracy(each, len(cal.lines), options), options) for each in cal.right]


def tally(said: Sequence[str | None], weights: Sequence[float]) -> dict[str, float]:
    """The weight behind each answer, in the order of first mention."""
    sums: dict[str, float] = {}
    for each, weight in zip(said, weights, strict=True):
        if each is not None:
            sums[each] = sums.get(each, 0.0) + weight
    return sums


def leaders(sums: Mapping[str, float]) -> tuple[str, ...]:
    """The answers with most behind them, in the order of first mention."""
    most = max(sums.values(), default=0.0)
    return tuple(each for each, value in sums.items() if value >= most - 1e-9)


def scores(rule: Rule, sheet: Sheet) -> list[float]:
    """How right a rule is on each line, 0..1."""
    return [rule(line).score(line) for line in sheet.lines]
