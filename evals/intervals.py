"""How sure a measured share or gain is: intervals.

Sources: C. Clopper and E. Pearson, Biometrika 26 (1934); E. B. Wilson, "Probable Inference, the
Law of Succession, and Statistical Inference", JASA 22 (1927); B. Efron, "Bootstrap Methods:
Another Look at the Jackknife", Annals of Statistics 7 (1979), percentiles.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from statistics import NormalDist
from typing import NamedTuple

from mom_council.voting.reliability import beta_quantile


class Interval(NamedTuple):
    """A value and the bounds it lies in with the given level."""

    value: float
    low: float
    high: float


def clopper_pearson(right: int, number: int, level: float = 0.95) -> Interval:
    """The exact interval of a share: it holds the truth *at least* as often as its level.

    Raises:
        ValueError: `right` is not within 0..number, or `number` is 0.
    """
    _check(right, number)
    tail = (1 - level) / 2
    low = beta_quantile(tail, right, number - right + 1) if right else 0.0
    high = beta_quantile(1 - tail, right + 1, number - right) if right < number else 1.0
    return Interval(right / number, low, high)


def wilson(right: int, number: int, level: float = 0.95) -> Interval:
    """The score interval of a share: it holds the truth about as often as its level.

    Raises:
        ValueError: `right` is not within 0..number, or `number` is 0.
    """
    _check(right, number)
    z = NormalDist().inv_cdf((1 + level) / 2)
    share = right / number
    middle = share + z * z / (2 * number)
    half = z * math.sqrt(share * (1 - share) / number + (z / (2 * number)) ** 2)
    whole = 1 + z * z / number
    return Interval(share, max(0.0, (middle - half) / whole), min(1.0, (middle + half) / whole))


def bootstrap(
    values: Sequence[float], *, level: float = 0.95, draws: int = 2000, seed: int = 0
) -> Interval:
    """The interval of a mean, by drawing the questions again with replacement.

    Raises:
        ValueError: there are no values.
    """
    if not values:
        raise ValueError("values is empty; an interval needs at least one question")
    rng = random.Random(seed)
    number = len(values)
    means = sorted(sum(rng.choices(values, k=number)) / number for _ in range(draws))
    tail = (1 - level) / 2
    low = means[math.floor(tail * (draws - 1))]
    high = means[math.ceil((1 - tail) * (draws - 1))]
    return Interval(sum(values) / number, low, high)


def paired(
    ours: Sequence[float],
    theirs: Sequence[float],
    *,
    level: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> Interval:
    """The interval of a gain on the *same* questions: ours minus theirs.

    Questions are drawn in pairs, so that those hard for both do not blur the difference.

    Raises:
        ValueError: they are not of one length, or empty.
    """
    gains = [one - other for one, other in zip(ours, theirs, strict=True)]
    return bootstrap(gains, level=level, draws=draws, seed=seed)


def _check(right: int, number: int) -> None:
    if not 0 <= right <= number or not number:
        raise ValueError(f"{right!r} of {number!r} is no share; right is at most number, above 0")
