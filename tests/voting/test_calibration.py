"""Confidences that mean what they say."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import pytest

from mom_council.voting.calibration import (
    calibration_error,
    error_by_chance,
    log_odds_of,
    logistic,
    platt_line,
)


def platt(scores: Sequence[float], came_true: Sequence[float]) -> Callable[[float], float]:
    """The curve that is drawn by slope and shift."""
    slope, shift = platt_line(scores, came_true)
    return lambda score: logistic(slope * log_odds_of(score) + shift)


def test_a_greater_score_never_means_less() -> None:
    rng = random.Random(2)
    scores = [rng.random() for _ in range(300)]
    outcomes = [float(rng.random() < each**2) for each in scores]
    curve = platt(scores, outcomes)
    values = [curve(x / 50) for x in range(51)]
    assert values == sorted(values)
    assert values[0] >= 0
    assert values[-1] <= 1


def test_overconfidence_is_corrected() -> None:
    rng = random.Random(3)
    said = [rng.choice([0.05, 0.5, 0.95]) for _ in range(3000)]
    true = [float(rng.random() < 0.5 + (each - 0.5) / 3) for each in said]
    curve = platt(said, true)
    assert calibration_error([curve(each) for each in said], true) < 0.02
    assert calibration_error(said, true) > 0.15


def test_what_is_calibrated_already_stays() -> None:
    rng = random.Random(4)
    said = [rng.random() for _ in range(4000)]
    curve = platt(said, [float(rng.random() < each) for each in said])
    assert all(abs(curve(x / 10) - x / 10) < 0.04 for x in range(1, 10))


def test_the_error_is_the_gap_in_each_bin() -> None:
    assert calibration_error([0.9, 0.9, 0.1, 0.1], [1, 0, 0, 0]) == pytest.approx(0.25)
    assert calibration_error([], []) == 0


def test_even_a_perfect_confidence_shows_an_error_where_questions_are_few() -> None:
    few = error_by_chance([x / 20 for x in range(20)])
    assert few > error_by_chance([x % 20 / 20 for x in range(2000)]) > 0
    assert few == error_by_chance([x / 20 for x in range(20)])


def test_nothing_cannot_be_fitted() -> None:
    with pytest.raises(ValueError, match="empty"):
        platt_line([], [])
