"""Calibrate a confidence (of the answers given with 80 %, 80 % are right), and Newton's method.

Source: D. P. Bertsekas, "Projected Newton Methods for Optimization Problems with Simple
Constraints", SIAM Journal on Control and Optimization 20 (1982).

Agreement is not accuracy: 5 of 7 meant 92 % on grade-school mathematics and 70 % on hard multiple
choice (measured on public recordings). So a score is turned into a confidence by what came true.

Sources: J. Platt, "Probabilistic Outputs for Support Vector Machines" (1999), with his smoothed
targets. Calibration error: C. Guo et al., "On Calibration of Modern Neural Networks", ICML 2017.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Collection, Sequence

Slopes = tuple[list[float], list[list[float]]]
"""The gradient and the Hessian at a point."""


def minimise(
    slopes: Callable[[Sequence[float]], Slopes],
    start: Sequence[float],
    *,
    floored: Collection[int] = (),
    longest: float = 2.0,
    steps: int = 50,
    close: float = 1e-6,
) -> list[float]:
    """The point where a convex function is least.

    Args:
        slopes: gives gradient and Hessian; the Hessian must be positive definite.
        start: where to begin.
        floored: the unknowns that may not go below 0.
        longest: a step changes no unknown by more than this.
        steps: at most so many.
        close: a step that moves every unknown by less is the last.
    """
    at = list(start)
    for _ in range(steps):
        gradient, hessian = slopes(at)
        free = [i for i in range(len(at)) if not (i in floored and at[i] <= 0 and gradient[i] > 0)]
        if not free:
            break
        step = solve([[hessian[i][j] for j in free] for i in free], [gradient[i] for i in free])
        scale = min(1.0, longest / max(*map(abs, step), 1e-300))
        moved = 0.0
        for i, change in zip(free, step, strict=True):
            new = at[i] - scale * change
            new = max(0.0, new) if i in floored else new
            moved, at[i] = max(moved, abs(new - at[i])), new
        if moved < close:
            break
    return at


def solve(matrix: Sequence[Sequence[float]], right: Sequence[float]) -> list[float]:
    """Solve linear equations by elimination with pivots.

    Raises:
        ZeroDivisionError: the matrix is singular.
    """
    size = len(right)
    rows = [[*row, value] for row, value in zip(matrix, right, strict=True)]
    for i in range(size):
        pivot = max(range(i, size), key=lambda r: abs(rows[r][i]))
        rows[i], rows[pivot] = rows[pivot], rows[i]
        for r in range(i + 1, size):
            factor = rows[r][i] / rows[i][i]
            if factor:
                rows[r] = [a - factor * b for a, b in zip(rows[r], rows[i], strict=True)]
    solution = [0.0] * size
    for i in reversed(range(size)):
        rest = sum(rows[i][j] * solution[j] for j in range(i + 1, size))
        solution[i] = (rows[i][size] - rest) / rows[i][i]
    return solution


def platt_line(
    scores: Sequence[float], came_true: Sequence[float], *, prior: float = 1.0
) -> tuple[float, float]:
    """Slope and shift of a logistic curve through the log-odds of a probability.

    Two numbers, hard to overfit.

    Args:
        scores: probabilities to be corrected.
        came_true: 1 or 0, or a share.
        prior: how strongly the slope is held to 1; 0 not at all.

    Raises:
        ValueError: there is nothing to fit.
    """
    if not scores:
        raise ValueError("scores is empty; calibration needs outcomes")
    xs = [log_odds_of(score) for score in scores]
    right = sum(came_true)
    high, low = (right + 1) / (right + 2), 1 / (len(xs) - right + 2)
    targets = [low + (high - low) * outcome for outcome in came_true]

    def slopes(at: Sequence[float]) -> Slopes:
        slope, shift = at
        g0, g1 = prior * (slope - 1), 1e-6 * shift
        h00, h01, h11 = prior + 1e-9, 0.0, 1e-6
        for x, target in zip(xs, targets, strict=True):
            p = logistic(slope * x + shift)
            spread = p * (1 - p)
            g0 += (p - target) * x
            g1 += p - target
            h00 += spread * x * x
            h01 += spread * x
            h11 += spread
        return [g0, g1], [[h00, h01], [h01, h11]]

    slope, shift = minimise(slopes, [1.0, 0.0], floored={0})
    return slope, shift


def calibration_error(
    confidences: Sequence[float], came_true: Sequence[float], bins: int = 10
) -> float:
    """The expected calibration error: |confidence - accuracy|, averaged over bins of equal width.

    0..1; it has a floor above 0 even for a perfect confidence, see `error_by_chance`.
    """
    sums = [0.0] * bins
    for confidence, outcome in zip(confidences, came_true, strict=True):
        sums[min(bins - 1, int(confidence * bins))] += confidence - outcome
    return sum(map(abs, sums)) / max(1, len(confidences))


def error_by_chance(
    confidences: Sequence[float], bins: int = 10, *, draws: int = 200, seed: int = 0
) -> float:
    """The calibration error that these confidences would show on average if all were true.

    With few questions in a bin, shares differ from probabilities by luck; an error near this
    value is as good as it can be told.
    """
    rng = random.Random(seed)
    errors = (
        calibration_error(confidences, [rng.random() < each for each in confidences], bins)
        for _ in range(draws)
    )
    return sum(errors) / draws


def log_odds_of(probability: float) -> float:
    """ln(p / (1 - p)), finite."""
    p = min(max(probability, 1e-6), 1 - 1e-6)
    return math.log(p / (1 - p))


def logistic(x: float) -> float:
    """The probability of these log-odds."""
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))
