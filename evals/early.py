"""Rules that learn more than weights: a calibrated confidence, and stopping early.

`confident` gives the learned vote a probability that means what it says.

`stopping(rule)` asks the cheapest first and stops by a rule of `voting.early_exit`.
`calibrated_stop` asks the strongest first and stops when the leader is likely enough to be right,
by a probability that was calibrated for just those who have been asked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from mom_council.evals.fitting import fit_panel
from mom_council.evals.rules import FITS, Decision, Fit, Rule, leaders
from mom_council.evals.sheet import Line, Sheet
from mom_council.voting.early_exit import Exit, asked, beta, dirichlet, lossless_in_order
from mom_council.voting.fitted import corrected, sure_so_far
from mom_council.voting.fitted import sure as all_sure
from mom_council.voting.weights import LearnedVote


def confident(cal: Sheet, *, seed: int = 0) -> Rule:
    """The learned vote, whose probability is corrected; as a council has it from its ledger."""
    fitted = fit_panel(cal, seed=seed)
    order = [cal.models.index(model) for model in fitted.models]
    vote = LearnedVote(fitted.joint, fitted.none)

    def decide(line: Line) -> Decision:
        chances = vote.probabilities([line.said[voter] for voter in order])
        first = leaders(chances)
        sure = corrected(fitted, chances[first[0]]) if first else 0.0
        return Decision(first, len(line.said), sum(line.usd), sure)

    return decide


def stopping(rule: Exit, waves: Sequence[int] | None = None) -> Fit:
    """Plain votes, cheapest voter first, until `rule` stops; in waves where they are given."""

    def fit(cal: Sheet) -> Rule:
        order = cal.cheapest_first()

        def decide(line: Line) -> Decision:
            said = [line.said[voter] for voter in order]
            number = asked(said, rule, waves=waves)
            votes = Counter(each for each in said[:number] if each is not None)
            return Decision(leaders(votes), number, _usd(line, order[:number]))

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

    def decide(line: Line) -> Decision:
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
        return Decision(first, number, _usd(line, order[:number]), sure)

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
