"""Probabilities of answers, against brute force and closed forms."""

from __future__ import annotations

import itertools
import math
import random
from fractions import Fraction

import pytest

from mom_council.evals.sheet import confused_options, posterior
from mom_council.voting.reliability import beta_below, beta_quantile
from mom_council.voting.weights import log_odds


def bayes(said: list[int | None], accuracies: list[float], options: int) -> list[float]:
    parts = []
    for truth in range(options):
        part = 1.0
        for each, p in zip(said, accuracies, strict=True):
            if each is not None:
                part *= p if each == truth else (1 - p) / (options - 1)
        parts.append(part)
    return [part / sum(parts) for part in parts]


def test_the_posterior_is_that_of_bayes_over_all_options() -> None:
    rng = random.Random(2)
    for _ in range(500):
        options, voters = rng.randint(2, 10), rng.randint(1, 7)
        said = [rng.choice([None, *range(options)]) for _ in range(voters)]
        accuracies = [rng.uniform(0.05, 0.95) for _ in range(voters)]
        truth = bayes(said, accuracies, options)
        for option, chance in posterior(said, accuracies, options).items():
            assert chance == pytest.approx(truth[option], abs=1e-9)


def test_two_equal_voters_of_two_options_are_the_closed_form() -> None:
    p = 0.8
    assert posterior("aa", [p, p], 2)["a"] == pytest.approx(p * p / (p * p + 0.04), abs=1e-12)
    assert posterior("ab", [p, p], 2) == pytest.approx({"a": 0.5, "b": 0.5})


def test_what_nobody_said_keeps_its_share() -> None:
    chances = posterior(["a"], [0.4], 5)
    assert chances == pytest.approx({"a": 0.4})


def test_nobody_said_anything() -> None:
    assert posterior([None, None], [0.5, 0.5], 4) == {}


def test_the_posterior_orders_answers_as_the_weighted_vote_does() -> None:
    accuracies = [0.9, 0.6, 0.55, 0.3]
    for said in itertools.product("abc", repeat=4):
        chances = posterior(said, accuracies, 10)
        sums = {
            each: sum(log_odds(p, 10) for s, p in zip(said, accuracies, strict=True) if s == each)
            for each in chances
        }
        assert max(chances, key=chances.__getitem__) == max(sums, key=sums.__getitem__)


def test_names_of_options_do_not_matter() -> None:
    one = posterior("aabc", [0.7, 0.6, 0.8, 0.5], 6)
    other = posterior("zzyx", [0.7, 0.6, 0.8, 0.5], 6)
    assert list(one.values()) == list(other.values())


def test_equal_errors_mean_few_options() -> None:
    assert confused_options(["aa"] * 99) == pytest.approx(1 + 100 / 100)
    assert confused_options(["ab"] * 99) == pytest.approx(1 + 100)
    assert confused_options([]) == 2


def test_the_incomplete_beta_function_is_the_binomial_tail() -> None:
    for number in (1, 2, 5, 20, 60):
        for least in range(1, number + 1):
            for x in (Fraction(1, 10), Fraction(1, 2), Fraction(9, 10)):
                tail = sum(
                    math.comb(number, k) * x**k * (1 - x) ** (number - k)
                    for k in range(least, number + 1)
                )
                got = beta_below(float(x), least, number - least + 1)
                assert got == pytest.approx(float(tail), abs=1e-12)


def test_its_ends_and_its_symmetry() -> None:
    assert (beta_below(0, 2, 3), beta_below(1, 2, 3)) == (0, 1)
    assert beta_below(0.3, 2.5, 0.7) == pytest.approx(1 - beta_below(0.7, 0.7, 2.5), abs=1e-12)


def test_the_quantile_undoes_it() -> None:
    for a, b in [(1, 1), (0.5, 0.5), (3, 90), (200, 150)]:
        for share in (0.025, 0.5, 0.975):
            assert beta_below(beta_quantile(share, a, b), a, b) == pytest.approx(share, abs=1e-9)
    assert beta_quantile(0.3, 1, 1) == pytest.approx(0.3, abs=1e-12)


@pytest.mark.parametrize(("a", "b"), [(0, 1), (1, -1), (float("nan"), 1)])
def test_no_beta_without_outcomes(a: float, b: float) -> None:
    with pytest.raises(ValueError, match="above 0"):
        beta_below(0.5, a, b)
