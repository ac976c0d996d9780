"""Weights from agreement alone, on panels whose truth is known."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mom_council.voting.agreement import (
    Row,
    blend,
    measure_agreement,
    safe_weights,
    witnesses_by_model,
)


def rows(
    accuracies: list[float], number: int = 400, *, copies: int = 0, seed: int = 0
) -> Counter[Row]:
    """What such voters say, the last one `copies` more times."""
    dice = random.Random(seed)
    said: Counter[Row] = Counter()
    for _ in range(number):
        row = [0 if dice.random() < p else dice.randint(1, 5) for p in accuracies]
        said[(*row, *[row[-1]] * copies)] += 1
    return said


def test_the_better_voter_agrees_more_often_and_weighs_more():
    known = measure_agreement(rows([0.9, 0.6, 0.6, 0.5]))
    assert known.rates[0] == max(known.rates)
    assert known.witnesses == (1, 1, 1, 1)
    weights = safe_weights(known.rates, known.options, known.witnesses)
    assert weights[0] == max(weights)
    assert min(weights) >= 0


def test_copies_of_a_voter_are_one_witness():
    known = measure_agreement(rows([0.8, 0.75, 0.75, 0.7, 0.5], copies=2))
    assert known.witnesses[:4] == (1, 1, 1, 1)
    assert sum(known.witnesses[4:]) == pytest.approx(1.0, abs=0.15)
    # They agree with each other always, and with the majority no more often than one of them.
    assert max(known.rates[4:]) < known.rates[0]


def test_without_its_kin_the_copies_would_outvote_the_others():
    panel = rows([0.8, 0.75, 0.75, 0.3], copies=3)
    known = measure_agreement(panel)
    weights = safe_weights(known.rates, known.options, known.witnesses)
    assert sum(weights[3:]) < sum(weights[:3])


def test_gold_answers_move_the_expectation_of_equals_like_forty_questions_of_agreement():
    known = measure_agreement(rows([0.7, 0.7, 0.7, 0.7]))
    assert blend(known, [0] * 4, [0] * 4) == pytest.approx(known.rates)
    half = blend(known, [40] * 4, [40] * 4)
    assert half == pytest.approx([(one + 1) / 2 for one in known.rates])


def test_where_one_voter_stands_apart_gold_answers_set_the_level_and_spread_the_rates():
    known = measure_agreement(rows([0.9, 0.5, 0.5, 0.45]))
    assert blend(known, [0] * 4, [0] * 4) == pytest.approx(known.rates)
    as_many = [round(20 * one) for one in known.rates]
    spread = blend(known, as_many, [20] * 4)
    assert max(spread) - min(spread) > max(known.rates) - min(known.rates)
    lower = blend(known, [8] * 4, [20] * 4)
    assert all(one < rate for one, rate in zip(lower, spread, strict=True))


def test_a_panel_that_never_answers_together_has_equal_weights():
    known = measure_agreement({(None, 1): 3.0, (2, None): 1.0})
    assert safe_weights(known.rates, known.options) == [known.witnesses[0]] * 2
    with pytest.raises(ValueError, match="rows is empty"):
        measure_agreement({})


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8), st.floats(1, 50))
def test_weights_are_finite_and_never_all_nothing(accuracies: list[float], options: float):
    weights = safe_weights(accuracies, options)
    assert all(0 <= one < 20 for one in weights)
    assert any(weights)
    order = sorted(range(len(weights)), key=lambda at: accuracies[at])
    assert [weights[at] for at in order] == sorted(weights)


def test_voters_on_one_model_count_together_as_less_than_two() -> None:
    one, other, alone = witnesses_by_model(["a", "a", "b"])
    assert one == other
    assert 1 < one + other < 2
    assert alone == 1
    assert sum(witnesses_by_model(["a"] * 5)) < 2
