"""The confidence that a verdict reports, fitted so that it means what it says."""

from __future__ import annotations

from mom_council.evals.fitting import fit_panel
from mom_council.evals.rules import Decision, Rule, leaders
from mom_council.evals.sheet import Line, Sheet
from mom_council.voting.fitted import corrected
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
