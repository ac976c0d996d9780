"""Rules that end a vote early, on made-up answers."""

from __future__ import annotations

import math
import random
from collections import Counter

import pytest

from mom_council.voting.early_exit import (
    beta,
    calls_until_stop,
    dirichlet,
    lossless,
    lossless_in_order,
    most_likely,
)


def test_four_of_seven_are_enough() -> None:
    assert calls_until_stop("aaaabbb") == 4
    assert calls_until_stop("abababa") == 7
    assert calls_until_stop("ababaab") == 6
    assert calls_until_stop("aaabaaa") == 5


def test_a_lead_that_could_end_level_is_not_enough() -> None:
    assert not lossless({"a": 2}, [1, 1])
    assert lossless({"a": 2}, [1])


def test_an_abstention_is_no_vote() -> None:
    assert calls_until_stop([None, "a", "b", "a"]) == 4
    assert calls_until_stop([None] * 5) == 5


def test_weights_count() -> None:
    assert calls_until_stop("abb", weights=[3, 1, 1]) == 1


def test_a_wave_is_asked_whole() -> None:
    assert calls_until_stop("aaaaaaa", waves=[3, 2, 2]) == 5
    assert calls_until_stop("aaaaaaa", waves=[4]) == 4


def test_a_lossless_exit_keeps_the_majority() -> None:
    rng = random.Random(5)
    for _ in range(5000):
        answers = [rng.choice("aaab cd".strip()) for _ in range(rng.randint(1, 9))]
        seen = Counter(answers[: calls_until_stop(answers)])
        whole = Counter(answers)
        if len(answers) > sum(seen.values()):
            assert max(seen, key=seen.__getitem__) == max(whole, key=whole.__getitem__)


def test_beta_needs_four_to_nothing() -> None:
    rule = beta(0.95)
    assert not rule({"a": 3}, [1] * 9)
    assert rule({"a": 4}, [1] * 9)
    assert not rule({"a": 5, "b": 1}, [1] * 9)


def test_a_panel_of_three_never_stops_early_by_beta() -> None:
    assert calls_until_stop("aaa", beta()) == 3


def test_with_two_answers_dirichlet_is_beta() -> None:
    for first in range(1, 9):
        for second in range(first + 1):
            tosses = first + second + 1
            chance = sum(math.comb(tosses, heads) for heads in range(first + 1)) / 2**tosses
            assert most_likely([first, second]) == pytest.approx(chance, abs=2e-3)


def test_of_equal_answers_none_is_the_likelier() -> None:
    assert most_likely([2, 2, 2]) == pytest.approx(1 / 3, abs=2e-3)


def test_dirichlet_waits_longer_where_answers_are_many() -> None:
    assert most_likely([5, 1]) > most_likely([5, 1, 1, 1])
    assert calls_until_stop("aaaa" + "b" * 30, dirichlet()) == 4


def test_when_nobody_is_out_every_rule_stops() -> None:
    for rule in (lossless, beta(), dirichlet()):
        assert rule({}, [])


def test_in_order_a_lead_that_ends_level_with_a_later_answer_is_enough() -> None:
    assert lossless_in_order({"a": 2}, [1, 1])
    assert lossless_in_order({"a": 2, "b": 1}, [1])
    assert not lossless_in_order({"b": 1, "a": 2}, [1])


def test_in_order_nobody_has_spoken_so_everybody_is_asked() -> None:
    assert not lossless_in_order({}, [1])
    assert lossless_in_order({}, [])
    assert calls_until_stop([None, None, "a"], lossless_in_order) == 3
