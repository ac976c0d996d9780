"""How sure a measured share or gain is: intervals.

Sources: C. Clopper and E. Pearson, Biometrika 26 (1934); E. B. Wilson, "Probable Inference, the
Law of Succession, and Statistical Inference", JASA 22 (1927); B. Efron, "Bootstrap Methods:
Another Look at the Jackknife", Annals of Statistics 7 (1979), percentiles; T. Tango, "Equivalence
Test and Confidence Interval for the Difference in Proportions for the Paired-Sample Design",
Statistics in Medicine 17 (1998).
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
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

    Of values that are all 0, or all 1, every draw is the same. There it is the score interval.

    Raises:
        ValueError: there are no values.
    """
    if not values:
        raise ValueError("values is empty; an interval needs at least one question")
    if set(values) in ({0.0}, {1.0}):
        return wilson(round(sum(values)), len(values), level)
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
    if gains and not any(gains):
        return gain_interval(0, 0, len(gains), level)
    return bootstrap(gains, level=level, draws=draws, seed=seed)


def paired_shares(ours: Sequence[bool], theirs: Sequence[bool], level: float = 0.95) -> Interval:
    """The score interval of a gain of marks on the *same* questions: ours minus theirs.

    A bootstrap of few questions is too narrow, and has no width at all where both are right on the
    same ones; this interval holds the truth about as often as its level from twenty questions on.

    Raises:
        ValueError: they are not of one length, or empty.
    """
    pairs = list(zip(ours, theirs, strict=True))
    won = sum(one and not other for one, other in pairs)
    lost = sum(other and not one for one, other in pairs)
    return gain_interval(won, lost, len(pairs), level)


def gain_interval(won: int, lost: int, number: int, level: float = 0.95) -> Interval:
    """The same of so many questions, of which only we were right on some, and only they on others.

    Raises:
        ValueError: there is no question, or there are fewer than were won and lost.
    """
    if number < 1 or won < 0 or lost < 0 or won + lost > number:
        raise ValueError(f"{won!r} won and {lost!r} lost of {number!r} questions cannot be")
    z = NormalDist().inv_cdf((1 + level) / 2)
    gain = (won - lost) / number
    low = _where(lambda at: _tango(won, lost, number, at) > z, -1.0, gain)
    high = _where(lambda at: _tango(won, lost, number, at) >= -z, gain, 1.0)
    return Interval(gain, low, high)


def _tango(won: int, lost: int, number: int, gain: float) -> float:
    """How many standard errors the observed gain lies above a supposed one."""
    b = -won - lost + (2 * number - won + lost) * gain
    root = math.sqrt(max(0.0, b * b + 8 * number * lost * gain * (1 - gain)))
    only_theirs = (root - b) / (4 * number)  # the most likely share, if the gain were that
    variance = number * (2 * only_theirs + gain * (1 - gain))
    distance = won - lost - number * gain
    if variance <= 0:
        return math.copysign(math.inf, distance) if distance else 0.0
    return distance / math.sqrt(variance)


def _where(holds: Callable[[float], bool], low: float, high: float) -> float:
    """Where a statement that holds at first stops to hold, between two values."""
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return (low + high) / 2


def _check(right: int, number: int) -> None:
    if not 0 <= right <= number or not number:
        raise ValueError(f"{right!r} of {number!r} is no share; right is at most number, above 0")
