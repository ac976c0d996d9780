"""How many voices a panel really has: errors that models make together are one voice, not many.

Source: L. Kish, *Survey Sampling* (1965), for the effective number of correlated observations;
K. Ladha, "The Condorcet Jury Theorem, Free Speech, and Correlated Votes", American Journal of
Political Science 36 (1992).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations

from mom_council.evals.sheet import Sheet


def correlation(one: Sequence[float], other: Sequence[float]) -> float:
    """Pearson's correlation, -1..1; of marks 0 and 1 it is phi. 0 where one never varies."""
    number = len(one)
    mean, mean2 = sum(one) / max(1, number), sum(other) / max(1, number)
    both = sum((a - mean) * (b - mean2) for a, b in zip(one, other, strict=True))
    spread = sum((a - mean) ** 2 for a in one) * sum((b - mean2) ** 2 for b in other)
    return both / math.sqrt(spread) if spread > 0 else 0.0


def error_correlations(sheet: Sheet) -> dict[tuple[str, str], float]:
    """How alike two models err, for every pair."""
    wrong = {
        model: [0.0 if line.correct(voter) else 1.0 for line in sheet.lines]
        for voter, model in enumerate(sheet.models)
    }
    return {(a, b): correlation(wrong[a], wrong[b]) for a, b in combinations(sheet.models, 2)}


def effective_voices(number: int, mean_correlation: float) -> float:
    """N / (1 + (n - 1) r): how many independent voices n voices of correlation r are worth.

    7 voices of correlation 0.5 are worth 1.75. Where errors exclude each other (r below 0) it is
    no more than n.
    """
    if number < 2:
        return float(number)
    return number / (1 + (number - 1) * min(1.0, max(0.0, mean_correlation)))
