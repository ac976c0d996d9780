"""How likely each answer is to be the right one, given who said what and how reliable they are.

A voter of accuracy p says the right one of K equally likely options with probability p, and each
of the others with (1 - p) / (K - 1). Voters that err independently make the odds of an option the
product of p (K - 1) / (1 - p) over those who said it; every option that nobody said has odds 1.

Voters do *not* err independently: questions are hard for all of them at once. So this posterior
is overconfident, and what is reported as a confidence is calibrated first: see `learned` and
`calibration`. Its order of the options is that of the weighted vote with `weights.log_odds`.

Sources: A. P. Dawid and A. M. Skene, "Maximum Likelihood Estimation of Observer Error-Rates Using
the EM Algorithm", Applied Statistics 28 (1979), with one error rate for all wrong options;
S. Nitzan and J. Paroush (1982), see `weights`.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from itertools import combinations
from typing import TypeVar

Said = TypeVar("Said", bound=Hashable)


def posterior(
    answers: Sequence[Said | None], accuracies: Sequence[float], options: float
) -> dict[Said, float]:
    """The probability of each option that somebody said, in the order of first mention.

    What is missing to 1 is the probability that nobody said the right one. None abstains.

    Args:
        answers: what each voter said.
        accuracies: how often each is right, 0..1; the ends are moved in a little.
        options: K, how many options there are, effectively; at least 2, and never fewer than
            were said.
    """
    odds: dict[Said, float] = {}
    seen = {each for each in answers if each is not None}
    many = max(options, 2.0, float(len(seen)))
    for each, accuracy in zip(answers, accuracies, strict=True):
        if each is not None:
            p = min(max(accuracy, 1e-6), 1 - 1e-6)
            odds[each] = odds.get(each, 0.0) + math.log(p / (1 - p)) + math.log(many - 1)
    top = max([0.0, *odds.values()])
    parts = {each: math.exp(value - top) for each, value in odds.items()}
    whole = sum(parts.values()) + (many - len(parts)) * math.exp(-top)
    return {each: part / whole for each, part in parts.items()}


def confused_options(wrong: Sequence[Sequence[Hashable]], right: int = 1) -> float:
    """K, as errors show it: how many options there are if wrong answers were spread evenly.

    Two voters that are wrong on the same question say the same with probability 1 / (K - 1). Many
    equal errors mean a small K, where a majority proves less. One pair of each sort is imagined,
    so that K is finite and at least 2.

    Args:
        wrong: for each question, the wrong answers that voters gave.
        right: how many right options a question has.
    """
    equal = pairs = 0
    for answers in wrong:
        for one, other in combinations(answers, 2):
            pairs += 1
            equal += one == other
    return right + (pairs + 1) / (equal + 1)
