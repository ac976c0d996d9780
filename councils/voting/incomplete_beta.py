"""The distribution of a share: the regularised incomplete beta function and its inverse.

It gives the exact bounds of a binomial share and the quantiles of a Beta posterior, without a
numerical library.

Source: W. H. Press et al., *Numerical Recipes*, third edition (2007), section 6.4: the continued
fraction by Lentz's method; M. Abramowitz and I. Stegun, *Handbook of Mathematical Functions*
(1964), 26.5.8.
"""

from __future__ import annotations

import math

_TINY = 1e-300


def beta_below(x: float, a: float, b: float) -> float:
    """The probability that a Beta(a, b) variable is at most x; good to about 1e-13.

    Raises:
        ValueError: a or b is not above 0.
    """
    if not (a > 0 and b > 0):
        raise ValueError(f"a {a!r} and b {b!r} must be above 0")
    if x <= 0 or x >= 1:
        return 0.0 if x <= 0 else 1.0
    front = math.exp(
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    )
    if x < (a + 1) / (a + b + 2):
        return front * _fraction(x, a, b) / a
    return 1.0 - front * _fraction(1 - x, b, a) / b


def beta_quantile(share: float, a: float, b: float) -> float:
    """The x below which a Beta(a, b) variable lies with this probability, by bisection.

    Raises:
        ValueError: `share` is not within 0..1, or a or b is not above 0.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share {share!r} must be within 0..1")
    low, high = 0.0, 1.0
    for _ in range(200):
        middle = (low + high) / 2
        if middle in {low, high}:
            break
        if beta_below(middle, a, b) < share:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _fraction(x: float, a: float, b: float) -> float:
    """The continued fraction of the incomplete beta function."""
    c = 1.0
    d = 1.0 / _away(1.0 - (a + b) * x / (a + 1))
    value = d
    for m in range(1, 10_000):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        d = 1.0 / _away(1.0 + even * d)
        c = _away(1.0 + even / c)
        value *= d * c
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        d = 1.0 / _away(1.0 + odd * d)
        c = _away(1.0 + odd / c)
        value *= d * c
        if abs(d * c - 1.0) < 1e-15:
            break
    return value


def _away(value: float) -> float:
    """The value, kept away from 0."""
    return value if abs(value) > _TINY else _TINY
