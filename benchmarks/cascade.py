"""Cheap voters first; where they do not agree, the strong one is asked, and its word is taken.

Source: L. Chen, M. Zaharia, J. Zou, "FrugalGPT: How to Use Large Language Models While Reducing
Cost and Improving Performance" (2023); agreement as the signal: M. Yue et al., "Large Language
Model Cascades with Mixture of Thoughts Representations", ICLR 2024.
"""

from __future__ import annotations

from mom_council.evals.rules import Rule, RuleDecision
from mom_council.evals.sheet import Line, Sheet


def cascade(cal: Sheet, strong: int, *, cheap: int = 3) -> Rule:
    """Ask the `cheap` cheapest of the others; escalate to `strong` unless all say the same.

    Silence is no agreement: a voter without an answer escalates.
    """
    first = [voter for voter in cal.cheapest_first() if voter != strong][:cheap]

    def decide(line: Line) -> RuleDecision:
        said = {line.said[voter] for voter in first}
        usd = sum(line.usd[voter] for voter in first)
        agreed = said.pop() if len(said) == 1 else None
        if agreed is not None:
            return RuleDecision((agreed,), len(first), usd)
        last = line.said[strong]
        return RuleDecision(() if last is None else (last,), len(first) + 1, usd + line.usd[strong])

    return decide
