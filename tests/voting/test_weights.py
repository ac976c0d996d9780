"""Weights from accuracy: never negative, even on hard questions."""

from __future__ import annotations

import math

import pytest

from mom_council.voting.weights import accuracy, log_odds


def test_with_two_options_a_coin_weighs_nothing() -> None:
    assert log_odds(0.5) == 0


def test_below_a_half_a_voter_still_counts_where_options_are_many() -> None:
    assert log_odds(0.3, 10) == pytest.approx(math.log(0.3 / 0.7) + math.log(9))
    assert log_odds(0.3, 2) == 0


def test_certainty_is_finite() -> None:
    assert 0 < log_odds(1.0) < 20
    assert log_odds(0.0, 10) == 0


def test_the_better_voter_weighs_more() -> None:
    weights = [log_odds(p / 100, 4) for p in range(101)]
    assert weights == sorted(weights)


def test_a_short_perfect_record_is_not_certainty() -> None:
    assert accuracy(3, 3) == pytest.approx(0.8)
    assert accuracy(0, 0, 4) == pytest.approx(0.25)


@pytest.mark.parametrize(("p", "k"), [(1.5, 2), (-0.1, 2), (float("nan"), 2), (0.5, float("nan"))])
def test_what_is_no_accuracy_is_refused(p: float, k: float) -> None:
    with pytest.raises(ValueError, match="accuracy"):
        log_odds(p, k)


def test_more_right_than_asked_is_refused() -> None:
    with pytest.raises(ValueError, match="at most"):
        accuracy(3, 2)
