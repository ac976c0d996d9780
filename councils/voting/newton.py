"""Newton's method for small convex problems, with some of the unknowns kept at 0 or above.

Source: D. P. Bertsekas, "Projected Newton Methods for Optimization Problems with Simple
Constraints", SIAM Journal on Control and Optimization 20 (1982).
"""

from __future__ import annotations

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
    found = [0.0] * size
    for i in reversed(range(size)):
        known = sum(rows[i][j] * found[j] for j in range(i + 1, size))
        found[i] = (rows[i][size] - known) / rows[i][i]
    return found
