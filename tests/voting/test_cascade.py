"""Cascades: whom they ask, what they answer, and when none pays."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mom_council.voting.cascade import (
    Cascade,
    CascadeRow,
    choose_cascade,
    run_cascade,
    settling_size,
)

ANSWERS = st.sampled_from(["a", "b", "c", None])


def rows(
    accuracies: Sequence[float], number: int = 400, *, labels: bool = True, seed: int = 0
) -> list[CascadeRow]:
    """Questions of which some are hard for everybody."""
    dice = random.Random(seed)
    made = []
    for _ in range(number):
        hard = dice.random()
        answers = tuple("0" if hard < one else str(dice.randrange(1, 9)) for one in accuracies)
        made.append(CascadeRow(answers, frozenset({"0"}) if labels else None))
    return made


def test_cheap_voters_that_agree_leave_the_strong_one_unasked() -> None:
    run = run_cascade(Cascade(3, (0, 1, 2), 3), ("a", "a", "a", "b"))
    assert (run.answer, run.asked) == ("a", (0, 1, 2))


def test_the_strong_one_is_asked_as_soon_as_enough_cannot_agree() -> None:
    run = run_cascade(Cascade(3, (0, 1, 2), 3), ("a", "b", "a", "c"))
    assert (run.answer, run.asked) == ("c", (0, 1, 3))


def test_who_cannot_change_the_agreement_is_not_asked() -> None:
    run = run_cascade(Cascade(4, (0, 1, 2, 3), 3), ("a", "a", "a", "b", "c"))
    assert (run.answer, run.asked) == ("a", (0, 1, 2))


def test_a_strong_one_that_joins_can_be_outvoted() -> None:
    answers = ("a", "a", "b", "c")
    decides, joins = Cascade(3, (0, 1, 2), 3), Cascade(3, (0, 1, 2), 3, joins=1.5)
    assert run_cascade(decides, answers).answer == "c"
    assert run_cascade(joins, answers).answer == "a"


def test_a_silent_strong_one_leaves_the_vote_of_the_cheap() -> None:
    assert run_cascade(Cascade(2, (0, 1), 2), ("a", "b", None)).answer == "a"


def test_silence_is_no_agreement() -> None:
    assert run_cascade(Cascade(2, (0, 1), 2), (None, None, "c")).answer == "c"


@given(st.lists(ANSWERS, min_size=3, max_size=6), st.data())
def test_asking_few_at_a_time_changes_no_answer(
    said: list[str | None], data: st.DataObject
) -> None:
    cheap = tuple(range(len(said) - 1))
    agreeing = data.draw(st.integers(max(2, len(cheap) // 2 + 1), len(cheap)))
    run = run_cascade(Cascade(len(said) - 1, cheap, agreeing), said)
    most = max(("a", "b", "c"), key=said[:-1].count)
    agree = said[:-1].count(most) >= agreeing
    if agree:
        assert run.answer == most
        assert len(said) - 1 not in run.asked
    else:
        assert run.asked[-1] == len(said) - 1
        assert said[-1] is None or run.answer == said[-1]


def test_as_few_are_asked_as_can_settle_it() -> None:
    assert settling_size([], [1, 1, 1], 3) == 2  # two that differ settle it
    assert settling_size([], [1, 1, 1, 1], 3) == 3
    assert settling_size([2], [1], 3) == 1
    assert settling_size([1, 1], [1, 1], 3) == 1


def test_cheap_models_that_are_right_together_save_most_of_the_price() -> None:
    found = choose_cascade(rows([0.85, 0.86, 0.87, 0.95]), [1, 1, 1, 50], 3, type_="number")
    assert found.saves
    assert found.price < 0.4
    assert found.gain >= -0.005


@pytest.mark.parametrize(
    ("accuracies", "prices", "reason"),
    [
        ([0.3, 0.3, 0.3, 0.95], [9, 9, 9, 50], "saves too little"),
        ([0.85, 0.86, 0.87, 0.95], [20, 25, 26, 50], "saves too little"),
        ([0.85, 0.86, 0.87, 0.95], [60, 60, 60, 50], "fewer than two other"),
        ([0.85, 0.86, 0.87, 0.95], [None, None, 1, 50], "fewer than two other"),
        ([0.85, 0.86, 0.87, 0.95], [1, 1, 1, None], "no price"),
        ([0.85, 0.86, 0.87, 0.95], [1, 1, 1, 0], "no price"),
    ],
)
def test_where_nothing_is_saved_the_strong_one_is_asked_and_it_is_said(
    accuracies: list[float], prices: list[float | None], reason: str
) -> None:
    found = choose_cascade(rows(accuracies), prices, 3, type_="number")
    assert not found.saves
    assert found.cascade == Cascade(3)
    assert re.search(reason, found.reason)
    assert found.price == 1
    assert "alone" in found.in_words(["Owl"])


def test_a_model_without_a_price_is_never_a_cheap_one() -> None:
    free = rows([0.9, 0.86, 0.87, 0.86, 0.95], 1000)
    found = choose_cascade(free, [None, 1, 1, 1, 50], 4, type_="number")
    assert found.saves
    assert 0 not in found.cascade.cheap


def test_few_questions_choose_nothing() -> None:
    found = choose_cascade(rows([0.85, 0.86, 0.87, 0.95], 20), [1, 1, 1, 50], 3)
    assert "too few" in found.reason


def test_without_labels_three_must_agree_and_nothing_is_counted_as_won() -> None:
    unlabelled = rows([0.85, 0.86, 0.87, 0.95], labels=False)
    found = choose_cascade(unlabelled, [1, 1, 1, 50], 3, type_="number")
    assert found.labelled == 0
    assert found.gain <= 0
    assert not found.saves or found.cascade.agreeing >= 3


def test_counted_rows_are_worth_as_many_questions() -> None:
    single = rows([0.85, 0.86, 0.87, 0.95])
    doubled = [row._replace(times=2.0) for row in single[:200]]
    found = choose_cascade(doubled, [1, 1, 1, 50], 3, type_="number")
    twice = choose_cascade([*single[:200], *single[:200]], [1, 1, 1, 50], 3, type_="number")
    assert found.questions == 400
    assert found == twice


def test_it_is_never_dearer_and_loses_half_a_point_at_most_on_other_questions() -> None:
    losses = []
    for seed in range(6):
        accuracies = [*random.Random(seed).sample([0.5, 0.6, 0.7, 0.75, 0.8, 0.85], 4), 0.9]
        prices = [1.0, 2.0, 3.0, 8.0, 20.0]
        found = choose_cascade(rows(accuracies, 300, seed=seed), prices, 4, type_="number")
        held = rows(accuracies, 2000, seed=seed + 100)
        runs = [run_cascade(found.cascade, row.answers) for row in held]
        right = sum(run.answer == "0" for run in runs)
        alone = sum(row.answers[4] == "0" for row in held)
        assert sum(prices[voter] for run in runs for voter in run.asked) <= 20.0 * len(held)
        losses.append((alone - right) / len(held))
    # 300 questions cannot tell half a point from nothing for every single panel.
    assert max(losses) <= 0.01
    assert sum(losses) / len(losses) <= 0.005
