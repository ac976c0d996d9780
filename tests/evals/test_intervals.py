"""Intervals, against published values and brute force."""

from __future__ import annotations

import math
import random

import pytest

from mom_council.evals.audit import correlation, effective_voices
from mom_council.evals.intervals import bootstrap, clopper_pearson, paired, wilson


def at_most(right: int, number: int, p: float) -> float:
    return sum(math.comb(number, k) * p**k * (1 - p) ** (number - k) for k in range(right + 1))


@pytest.mark.parametrize(("right", "number"), [(1, 10), (5, 10), (80, 263), (19, 20)])
def test_clopper_pearson_bounds_are_where_the_tails_are_a_fortieth(right: int, number: int) -> None:
    _, low, high = clopper_pearson(right, number)
    assert 1 - at_most(right - 1, number, low) == pytest.approx(0.025, abs=1e-9)
    assert at_most(right, number, high) == pytest.approx(0.025, abs=1e-9)


def test_nothing_seen_is_not_nothing_there() -> None:
    assert clopper_pearson(0, 100)[1:] == (0, pytest.approx(1 - 0.025**0.01, abs=1e-9))
    assert clopper_pearson(100, 100)[1:] == (pytest.approx(0.025**0.01, abs=1e-9), 1)


def test_wilson_is_as_published() -> None:
    # R. Newcombe, Statistics in Medicine 17 (1998), table I.
    assert wilson(81, 263) == pytest.approx((81 / 263, 0.2553, 0.3662), abs=1e-4)
    assert wilson(15, 148) == pytest.approx((15 / 148, 0.0624, 0.1605), abs=1e-4)
    assert wilson(0, 20) == pytest.approx((0, 0, 0.1611), abs=1e-4)


@pytest.mark.parametrize(("right", "number"), [(3, 2), (-1, 5), (0, 0)])
def test_what_is_no_share_is_refused(right: int, number: int) -> None:
    for interval in (clopper_pearson, wilson):
        with pytest.raises(ValueError, match="no share"):
            interval(right, number)


def test_the_bootstrap_is_that_of_the_seed_and_near_the_normal_interval() -> None:
    values = [float(at % 4 == 0) for at in range(400)]
    one = bootstrap(values, seed=3)
    assert one == bootstrap(values, seed=3)
    half = 1.96 * math.sqrt(0.25 * 0.75 / 400)
    assert (one.low, one.high) == pytest.approx((0.25 - half, 0.25 + half), abs=0.012)


def test_pairs_are_sharper_than_two_samples() -> None:
    rng = random.Random(1)
    theirs = [float(rng.random() < 0.5) for _ in range(300)]
    ours = [max(each, float(rng.random() < 0.05)) for each in theirs]
    gain = paired(ours, theirs)
    assert 0 <= gain.low <= gain.value <= gain.high < 0.08


@pytest.mark.parametrize("number", [1, 5, 50])
def test_few_questions_without_a_difference_are_not_certain(number: int) -> None:
    assert bootstrap([1.0] * number) == wilson(number, number)
    assert bootstrap([0.0] * number) == wilson(0, number)
    gain = paired([1.0] * number, [1.0] * number)
    assert gain.value == pytest.approx(0, abs=1e-9)
    assert gain.low < -0.03
    assert gain.high > 0.03


def test_pairs_need_partners() -> None:
    with pytest.raises(ValueError, match="zip"):
        paired([1.0], [1.0, 0.0])
    with pytest.raises(ValueError, match="empty"):
        bootstrap([])


def test_equal_marks_correlate_fully_and_opposite_ones_inversely() -> None:
    assert correlation([0, 1, 0, 1], [0, 1, 0, 1]) == pytest.approx(1)
    assert correlation([0, 1, 0, 1], [1, 0, 1, 0]) == pytest.approx(-1)
    assert correlation([0, 0], [0, 1]) == 0


def test_voices_that_err_together_are_one() -> None:
    assert effective_voices(7, 1.0) == pytest.approx(1)
    assert effective_voices(7, 0.0) == 7
    assert effective_voices(7, 0.5) == pytest.approx(1.75)
    assert effective_voices(7, -0.2) == 7
    assert effective_voices(1, 0.5) == 1
