"""Weights from agreement alone, on panels whose truth is known."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mom_council.voting.agreement import (
    JudgedRow,
    Row,
    measure_agreement,
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
    weights = known.vote.weights
    assert weights[0] == max(weights)
    assert min(weights) >= 0


def test_an_able_voter_is_found_beside_two_weak_ones_that_seldom_agree():
    """Two weak voters are with the majority hardly less often: who else makes one?"""
    known = measure_agreement(rows([0.95, 0.5, 0.5]))
    assert known.rates[0] > 0.7
    assert known.vote.weights[0] > 1.5 * max(known.vote.weights[1:])


def test_copies_of_a_voter_are_one_witness():
    known = measure_agreement(rows([0.8, 0.75, 0.75, 0.7, 0.5], copies=2))
    assert known.witnesses[:4] == (1, 1, 1, 1)
    assert sum(known.witnesses[4:]) == pytest.approx(1.0, abs=0.15)
    assert max(known.rates[4:]) < known.rates[0]


def test_without_its_kin_the_copies_would_outvote_the_others():
    known = measure_agreement(rows([0.8, 0.75, 0.75, 0.3], copies=3))
    weights = known.vote.weights
    assert sum(weights[3:]) < sum(weights[:3])


def test_gold_answers_show_who_is_right_where_agreement_cannot():
    """The others err alike half of the time: their agreement alone would make them able."""
    dice = random.Random(1)
    unjudged: Counter[Row] = Counter()
    judged: Counter[JudgedRow] = Counter()
    for at in range(400):
        same = dice.randint(1, 2)
        row = (0, *(0 if dice.random() < 0.4 else same for _ in range(2)))
        if at % 10:
            unjudged[row] += 1
        else:
            judged[row, frozenset({0})] += 1
    blind, seeing = measure_agreement(unjudged), measure_agreement(unjudged, judged)
    lead = [x.vote.weights[0] - max(x.vote.weights[1:]) for x in (blind, seeing)]
    assert lead[1] > lead[0] + 0.5
    assert seeing.questions == 400


def test_outcomes_of_other_questions_move_what_is_expected_of_a_voter():
    panel = rows([0.7, 0.7, 0.7, 0.7])
    plain = measure_agreement(panel)
    better = measure_agreement(panel, outcomes=[(0, 0), (0, 0), (0, 0), (60, 60)])
    worse = measure_agreement(panel, outcomes=[(0, 0), (0, 0), (0, 0), (0, 60)])
    assert better.rates[3] > plain.rates[3] > worse.rates[3]
    assert better.vote.weights[3] > plain.vote.weights[3] > worse.vote.weights[3]


def test_a_gold_answer_that_nobody_gave_says_that_all_were_wrong():
    nobody: JudgedRow = ((1, 1, 1), frozenset({7}))
    trusting = measure_agreement({(1, 1, 1): 30})
    warned = measure_agreement({(1, 1, 1): 30}, {nobody: 15})
    agree = ["x", "x", "x"]
    assert warned.vote.probabilities(agree)["x"] < trusting.vote.probabilities(agree)["x"]


def test_a_panel_that_never_answers_together_has_equal_weights():
    known = measure_agreement({(None, 1): 3.0, (2, None): 1.0})
    assert known.vote.weights == (1, 1)
    assert known.questions == 0
    with pytest.raises(ValueError, match="rows is empty"):
        measure_agreement({})


@settings(max_examples=40, deadline=None)
@given(
    st.dictionaries(
        st.tuples(*[st.one_of(st.none(), st.integers(0, 3))] * 4),
        st.floats(0.01, 500),
        min_size=1,
        max_size=12,
    ),
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 300)), min_size=4, max_size=4),
)
def test_whatever_was_answered_weights_are_finite_and_never_all_nothing(panel, records):
    known = measure_agreement(panel, outcomes=[(share * n, n) for share, n in records])
    assert all(0 <= one < 20 for one in known.vote.weights)
    assert any(known.vote.weights)
    assert all(0 < one < 1 for one in known.rates)


def test_sixty_voters_are_measured_too():
    known = measure_agreement(rows([0.7] * 60, number=40))
    assert min(known.rates) > 0.5


def test_voters_on_one_model_count_together_as_less_than_two() -> None:
    one, other, alone = witnesses_by_model(["a", "a", "b"])
    assert one == other
    assert 1 < one + other < 2
    assert alone == 1
    assert sum(witnesses_by_model(["a"] * 5)) < 2
