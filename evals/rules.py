"""Rules over recorded answers: fitted on one sheet, they decide the lines of another.

Every rule of `RULES` is a function from the sheet it may learn from to a function that decides a
line. `stopping(rule)` asks the cheapest first and stops by a rule of `voting.early_exit`.
`calibrated_stop` asks the strongest first and stops when the leader is likely enough to be right,
by a probability that was calibrated for just those who have been asked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

from mom_council.evals.fitting import fit_panel
from mom_council.evals.sheet import Line, Sheet, leaders, tally, voter_weights
from mom_council.voting.early_exit import Exit, beta, calls_until_stop, dirichlet, lossless_in_order
from mom_council.voting.fitted import corrected, sure_so_far
from mom_council.voting.fitted import sure as all_sure
from mom_council.voting.weights import LearnedVote, learn


class RuleDecision(NamedTuple):
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


Rule = Callable[[Line], RuleDecision]
Fit = Callable[[Sheet], Rule]


def best_single(cal: Sheet) -> Rule:
    """The one voter that was right most often."""
    best = cal.strongest_first()[0]

    def decide(line: Line) -> RuleDecision:
        said = line.said[best]
        return RuleDecision(() if said is None else (said,), 1, line.usd[best])

    return decide


def plain_majority(_: Sheet) -> Rule:
    """One vote each; a coin decides between answers that are level."""

    def decide(line: Line) -> RuleDecision:
        return RuleDecision(
            leaders(Counter(filter(None, line.said))), len(line.said), sum(line.usd)
        )

    return decide


def weighted(cal: Sheet) -> Rule:
    """The vote with log-odds weights, corrected for K options, never below 0."""
    weights = voter_weights(cal)

    def decide(line: Line) -> RuleDecision:
        return RuleDecision(leaders(tally(line.said, weights)), len(line.said), sum(line.usd))

    return decide


def learned(cal: Sheet) -> Rule:
    """The learned vote, which knows how voters err together."""
    vote = learn(cal.cases, len(cal.models))

    def decide(line: Line) -> RuleDecision:
        chances = vote.probabilities(line.said)
        first = leaders(chances)
        sure = chances[first[0]] if first else 0.0
        return RuleDecision(first, len(line.said), sum(line.usd), sure)

    return decide


FITS: dict[str, Fit] = {
    "best single": best_single,
    "plain majority": plain_majority,
    "weighted": weighted,
    "learned": learned,
}


def scores(rule: Rule, sheet: Sheet) -> list[float]:
    """How right a rule is on each line, 0..1."""
    return [rule(line).score(line) for line in sheet.lines]


def confident(cal: Sheet, *, seed: int = 0) -> Rule:
    """The learned vote, whose probability is corrected; as a council has it from its ledger."""
    fitted = fit_panel(cal, seed=seed)
    order = [cal.models.index(model) for model in fitted.models]
    vote = LearnedVote(fitted.joint, fitted.none)

    def decide(line: Line) -> RuleDecision:
        chances = vote.probabilities([line.said[voter] for voter in order])
        first = leaders(chances)
        sure = corrected(fitted, chances[first[0]]) if first else 0.0
        return RuleDecision(first, len(line.said), sum(line.usd), sure)

    return decide


def stopping(rule: Exit, waves: Sequence[int] | None = None) -> Fit:
    """Plain votes, cheapest voter first, until `rule` stops; in waves where they are given."""

    def fit(cal: Sheet) -> Rule:
        order = cal.cheapest_first()

        def decide(line: Line) -> RuleDecision:
            said = [line.said[voter] for voter in order]
            number = calls_until_stop(said, rule, waves=waves)
            votes = Counter(each for each in said[:number] if each is not None)
            return RuleDecision(leaders(votes), number, _usd(line, order[:number]))

        return decide

    return fit


def calibrated_stop(cal: Sheet) -> Rule:
    """Stop when the leader is right with a calibrated probability above a fitted threshold.

    The weights are those of the weighted vote; for each number of voters asked they are tempered
    anew, so that the probability counts what that many voters are worth together. The threshold is
    the least one, from 90 % up, that loses no more than a quarter of a point where it was fitted.
    """
    fitted = fit_panel(cal)
    order = [cal.models.index(model) for model in fitted.models]

    def decide(line: Line) -> RuleDecision:
        said = [line.said[voter] for voter in order]
        for number in range(1, len(order) + 1):
            chances = sure_so_far(fitted, said[:number])
            sure = max(chances.values(), default=0.0)
            enough = fitted.threshold is not None and sure >= fitted.threshold
            if enough or number == len(order):
                break
        first = leaders(chances)
        if first and number == len(order):
            sure = all_sure(fitted, said)[first[0]]
        return RuleDecision(first, number, _usd(line, order[:number]), sure)

    return decide


RULES: dict[str, Fit] = FITS | {
    "learned": confident,
    "lossless exit": stopping(lossless_in_order),
    "wave 3, 2, 2": stopping(lossless_in_order, (3, 2, 2)),
    "beta 95 %": stopping(beta()),
    "dirichlet 95 %": stopping(dirichlet()),
    "calibrated stop": calibrated_stop,
}
"""Every rule that a recording can be counted with, by the name that a command takes."""


def _usd(line: Line, voters: Sequence[int]) -> float:
    return sum(line.usd[voter] for voter in voters)
