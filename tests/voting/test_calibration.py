"""Confidences that mean what they say."""

from __future__ import annotations

import random

import pytest

from mom_council.voting.calibration import calibration_error, error_by_chance, isotonic, platt


def test_the_isotonic_curve_pools_what_falls() -> None:
    curve = isotonic([1, 2, 3, 4], [0, 1, 0, 1])
    assert [curve(x) for x in (0, 1, 2, 3, 3.5, 9)] == [0, 0, 0.5, 0.5, 1, 1]


def test_it_is_the_best_of_all_rising_curves() -> None:
    rng = random.Random(1)
    for _ in range(60):
        outcomes = [float(rng.random() < 0.5) for _ in range(5)]
        curve = isotonic(range(5), outcomes)
        ours = sum((curve(x) - outcomes[x]) ** 2 for x in range(5))
        for _ in range(200):
            rising = sorted(rng.random() for _ in range(5))
            assert ours <= sum((a - b) ** 2 for a, b in zip(rising, outcomes, strict=True)) + 1e-9


def test_a_greater_score_never_means_less() -> None:
    rng = random.Random(2)
    scores = [rng.random() for _ in range(300)]
    outcomes = [float(rng.random() < each**2) for each in scores]
    safe = isotonic(scores, outcomes, least=40)
    for curve in (isotonic(scores, outcomes), safe, platt(scores, outcomes)):
        values = [curve(x / 50) for x in range(51)]
        assert values == sorted(values)
        assert values[0] >= 0
        assert values[-1] <= 1


def test_equal_scores_get_one_value() -> None:
    assert isotonic([1, 1, 1, 1], [0, 1, 1, 1])(1) == 0.75


def test_steps_stand_on_as_many_scores_as_asked() -> None:
    curve = isotonic(range(10), [0, 1] * 5, least=5)
    assert len({curve(x) for x in range(10)}) <= 2


def test_overconfidence_is_corrected() -> None:
    rng = random.Random(3)
    said = [rng.choice([0.05, 0.5, 0.95]) for _ in range(3000)]
    true = [float(rng.random() < 0.5 + (each - 0.5) / 3) for each in said]
    for curve in (platt(said, true), isotonic(said, true)):
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


@pytest.mark.parametrize("fit", [isotonic, platt])
def test_nothing_cannot_be_fitted(fit) -> None:
    with pytest.raises(ValueError, match="empty"):
        fit([], [])
