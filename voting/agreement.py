"""Weights without labels: how often a voter is with the majority, and who is whose kin.

A voter that agrees with the majority more often than others is, on average, right more often than
others. Of eleven ways to learn weights from answers alone, this simplest one lost least where it
lost (two-parameter difficulty models gained more on some panels and lost 9 points on others).

- The agreement rate is pulled towards the panel's mean, like `STRENGTH` questions.
- Gold answers are added to it as a Beta posterior: the rate counts like `PRIOR` questions. Twenty
  labels then bring a panel with one dominating voter near the weights of all labels, and a panel
  of equals keeps the label-free weights.
- Agreement understates how far a dominating voter stands above the others, and overstates how
  often all are right. Where one stands apart (see `_apart`), gold answers move the rates of all to
  the level that they show, and the rates are spread. Among equals that would only add noise.
- Voters that give the same answers far more often than their rates explain are kin, such as two
  characters on one model. Together they count as less than two witnesses, for the weights and for
  the majority that the rates are measured against.

An agreement rate is no probability to be right: it lay 0.03 to 0.30 above it. It makes weights and
never a confidence.

Sources: A. P. Dawid and A. M. Skene, "Maximum Likelihood Estimation of Observer Error-Rates Using
the EM Algorithm", Applied Statistics 28 (1979), whose first step this is; crowd-kit's model
stands beside it in `benchmarks.label_free`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from itertools import combinations
from statistics import median
from typing import NamedTuple

from mom_council.voting.calibration import logistic

Row = tuple[Hashable | None, ...]
"""What each voter of a panel answered to one question; None: it gave no answer."""

LEVEL = 0.55
"""How often two voters give the same answer where nothing is known."""
STRENGTH = 10.0
"""Questions that the panel's mean agreement is worth against a voter's own."""
PRIOR = 40.0
"""Gold answers that an agreement rate is worth."""
_LEVEL = 20.0
"""Gold answers that the mean agreement of a panel is worth, where one voter stands apart."""
_SPREAD = 0.6
"""How much further apart the rates then lie, in log-odds."""
LEAST = 29.5
"""Questions (thirty, a little faded) without which agreement says too little: plain votes hold."""
KIN = 0.5
"""Excess agreement from which two voters are kin; unrelated models stay below."""


class Agreement(NamedTuple):
    """What answers without labels say of the voters of a panel."""

    rates: tuple[float, ...]
    """How often each is with the majority, shrunk; 0..1."""
    options: float
    """K: the number of options that equal minority answers show; 2 or more."""
    witnesses: tuple[float, ...]
    """As how much of a witness each counts: 1, or less where others are its kin."""
    questions: float
    """That this stands on, faded."""
    level: float = LEVEL
    """How often two voters gave the same answer, shrunk; 0..1. It says how hard the questions are
    for them."""


def measure_agreement(rows: Mapping[Row, float]) -> Agreement:
    """Measure how the voters of a panel agree.

    Args:
        rows: what was answered, and how often. Where nobody answered together with another, all
            voters are equals.

    Raises:
        ValueError: there is no row.
    """
    if not rows:
        raise ValueError("rows is empty; agreement needs questions that a panel answered")
    counted = {row: n for row, n in rows.items() if sum(one is not None for one in row) > 1}
    if not counted:
        voters = len(next(iter(rows)))
        return Agreement((0.5,) * voters, 2.0, (1.0,) * voters, 0.0)
    voters = len(next(iter(counted)))
    plain = (1.0,) * voters
    rates, options = _rates(counted, plain)
    witnesses = _witnesses(counted, rates, options)
    if witnesses != plain:
        rates, options = _rates(counted, witnesses)
    return Agreement(rates, options, witnesses, sum(counted.values()), _level(rows, voters))


def blend(agreement: Agreement, right: Sequence[float], outcomes: Sequence[float]) -> list[float]:
    """How often each voter is expected to be right: agreement as a prior, plus gold answers.

    Args:
        agreement: of the panel.
        right: how often each was right, of the questions whose answer is known.
        outcomes: how many of those there are, for each.
    """
    rates = _levelled(agreement.rates, sum(right), sum(outcomes))
    return [
        (PRIOR * rate + yes) / (PRIOR + number)
        for rate, yes, number in zip(rates, right, outcomes, strict=True)
    ]


def _apart(rates: Sequence[float]) -> float:
    """How clearly the best voter stands above the others' mean: 0 not at all, 1 clearly."""
    best, *others = sorted(rates, reverse=True)
    ahead = best - sum(others) / len(others) if others else 0.0
    return min(1.0, max(0.0, (ahead - 0.05) / 0.07))


def _levelled(rates: Sequence[float], right: float, outcomes: float) -> list[float]:
    """Agreement rates at the level that gold answers show, and spread, where one stands apart."""
    apart = _apart(rates)
    if not outcomes or not apart:
        return [*rates]
    mean = sum(rates) / len(rates)
    level = (right + _LEVEL * mean) / (outcomes + _LEVEL)
    shift = apart * (_log_odds(level) - _log_odds(mean))
    odds = [_log_odds(rate) for rate in rates]
    middle = sum(odds) / len(odds)
    spread = [middle + shift + (1 + _SPREAD * apart) * (one - middle) for one in odds]
    return [logistic(one) for one in spread]


def _log_odds(share: float) -> float:
    p = min(max(share, 0.02), 0.98)
    return math.log(p / (1 - p))


def safe_weights(
    accuracies: Sequence[float], options: float, witnesses: Sequence[float] = ()
) -> list[float]:
    """Log-odds weights that lose little on any panel: ln(p / (1 - p)) + c ln(K - 1), at least 0.

    Errors are never independent, so the full correction for K options (c = 1) gives weak voters
    more than they are worth, and none (c = 0) leaves panels of weak equals without weights. c is
    1/2, and falls to 0 where one voter stands far above the others' mean. Where nobody would have
    any weight, all weigh 1.

    Args:
        accuracies: how often each voter is expected to be right, 0..1.
        options: K, the effective number of options.
        witnesses: see `Agreement`; all count in full if left out.
    """
    best, *others = sorted(accuracies, reverse=True)
    ahead = best - sum(others) / len(others) if others else 0.0
    share = 0.5 * (1 - min(1.0, max(0.0, (ahead - 0.08) / 0.12)))
    correction = share * math.log(max(options, 2.0) - 1)
    counts = witnesses or (1.0,) * len(accuracies)
    weights = []
    for accuracy, witness in zip(accuracies, counts, strict=True):
        p = min(max(accuracy, 1e-6), 1 - 1e-6)
        weights.append(witness * max(0.0, math.log(p / (1 - p)) + correction))
    return weights if any(weights) else list(counts)


def witnesses_by_model(models: Sequence[Hashable]) -> tuple[float, ...]:
    """As how much of a witness each voter counts where it is not known who agrees with whom.

    Voters on one model are kin: together they count as less than two.
    """
    return tuple(1 / (1 + KIN * (models.count(model) - 1)) for model in models)


def _rates(rows: Mapping[Row, float], counts: Sequence[float]) -> tuple[tuple[float, ...], float]:
    """The shrunk agreement rates, and K, where each voter has a vote of its count."""
    voters = len(counts)
    hits, equal, pairs, number = [0.0] * voters, 0.0, 0.0, 0.0
    for row, times in rows.items():
        votes: dict[Hashable, float] = {}
        for answer, count in zip(row, counts, strict=True):
            if answer is not None:
                votes[answer] = votes.get(answer, 0.0) + count
        most = max(votes.values()) - 1e-9
        leading = {answer for answer, weight in votes.items() if weight >= most}
        number += times
        for voter, answer in enumerate(row):
            if answer in leading:
                hits[voter] += times / len(leading)
        rest = [answer for answer in row if answer is not None and answer not in leading]
        for one, other in combinations(rest, 2):
            pairs += times
            equal += times * (one == other)
    mean = sum(hits) / (voters * number)
    rates = tuple((hit + STRENGTH * mean) / (number + STRENGTH) for hit in hits)
    return rates, 1 + (pairs + 1) / (equal + 1)


def _level(rows: Mapping[Row, float], voters: int) -> float:
    """How often two voters gave the same answer; `LEVEL` is worth `STRENGTH` questions."""
    equal = STRENGTH * LEVEL
    for row, times in rows.items():
        stated = Counter(answer for answer in row if answer is not None)
        pairs = sum(number * (number - 1) for number in stated.values())
        equal += times * pairs / (voters * (voters - 1))
    return equal / (STRENGTH + sum(rows.values()))


def _witnesses(
    rows: Mapping[Row, float], rates: Sequence[float], options: float
) -> tuple[float, ...]:
    """As how much of a witness each voter counts, by whom it agrees with beyond its rate."""
    voters = len(rates)
    beyond = {
        (one, other): _agreement_beyond(rows, one, other, rates, options)
        for one, other in combinations(range(voters), 2)
    }
    usual = median(beyond.values()) if len(beyond) > 2 else 0.5
    kin = [0.0] * voters
    for pair, value in beyond.items():
        excess = (value - usual) / max(1e-9, 1 - usual)
        if excess >= KIN:
            for voter in pair:
                kin[voter] += min(1.0, excess)
    return tuple(1 / (1 + each) for each in kin)


def _agreement_beyond(
    rows: Mapping[Row, float], one: int, other: int, rates: Sequence[float], options: float
) -> float:
    """How much two voters agree beyond what their rates explain: 0 not at all, 1 always."""
    same = both = 0.0
    for row, times in rows.items():
        if row[one] is not None and row[other] is not None:
            both += times
            same += times * (row[one] == row[other])
    if not both:
        return 0.0
    p, q = rates[one], rates[other]
    expected = p * q + (1 - p) * (1 - q) / (max(options, 2.0) - 1)
    return (same / both - expected) / max(1e-9, 1 - expected)
