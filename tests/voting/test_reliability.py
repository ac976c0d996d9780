"""What is known of a model from its outcomes."""

from __future__ import annotations

import random

import pytest

from mom_council.voting.reliability import Belief, Outcomes, belief, learned_weights


def test_the_posterior_of_a_share_is_the_closed_form() -> None:
    rng = random.Random(3)
    for _ in range(200):
        a, b, right, wrong = (rng.uniform(0.1, 30) for _ in range(4))
        after = Belief(a, b).after(Outcomes(right, wrong))
        whole = a + b + right + wrong
        assert after.mean == pytest.approx((a + right) / whole, abs=1e-9)
        variance = (a + right) * (b + wrong) / (whole**2 * (whole + 1))
        assert after.variance == pytest.approx(variance, abs=1e-9)


def test_outcomes_in_any_order_or_batches_agree() -> None:
    one = Belief(1, 2).after(Outcomes(3, 1)).after(Outcomes(2, 5))
    assert one == Belief(1, 2).after(Outcomes(2, 5) + Outcomes(3, 1))


def test_half_of_an_outcome_is_left_after_a_half_life() -> None:
    assert Outcomes(8, 4).faded(90, 90) == Outcomes(4, 2)
    twice = Outcomes(8, 4).faded(10).faded(25)
    assert twice.right == pytest.approx(Outcomes(8, 4).faded(35).right, abs=1e-12)


def test_few_outcomes_are_pulled_to_the_others_and_many_are_not() -> None:
    others = {("b", "math"): Outcomes(600, 400), ("c", "math"): Outcomes(600, 400)}
    few = belief({**others, ("a", "math"): Outcomes(3, 0)}, "a", "math").mean
    many = belief({**others, ("a", "math"): Outcomes(3000, 0)}, "a", "math").mean
    assert 0.6 < few < 0.8
    assert many > 0.99


def test_a_model_nobody_knows_is_like_the_others_on_that_kind() -> None:
    ledger = {("b", "math"): Outcomes(200, 800), ("b", "chat"): Outcomes(900, 100)}
    assert belief(ledger, "new", "math").mean < 0.3
    assert belief(ledger, "new", "chat").mean > 0.8


def test_on_a_kind_nobody_knows_a_model_is_what_it_is_elsewhere() -> None:
    ledger = {("good", "math"): Outcomes(90, 10), ("bad", "math"): Outcomes(10, 90)}
    assert belief(ledger, "good", "law").mean > 0.7 > 0.3 > belief(ledger, "bad", "law").mean


def test_weights_are_never_negative_and_never_all_zero() -> None:
    rng = random.Random(4)
    for _ in range(300):
        ledger = {
            (model, kind): Outcomes(rng.randint(0, 40), rng.randint(0, 400))
            for model in "abc"
            for kind in ("x", "y")
        }
        weights = learned_weights(ledger, ("a", "b", "c"), "x", options=rng.uniform(2, 10))
        assert min(weights.values()) >= 0
        assert max(weights.values()) > 0


def test_without_outcomes_all_weigh_the_same() -> None:
    assert len(set(learned_weights({}, ("a", "b", "c"), "math", options=4).values())) == 1


def test_the_better_record_never_weighs_less() -> None:
    last = -1.0
    for right in range(0, 101, 5):
        ledger = {("a", "x"): Outcomes(right, 100 - right), ("b", "x"): Outcomes(50, 50)}
        weight = learned_weights(ledger, ("a", "b"), "x", options=4)["a"]
        assert weight >= last
        last = weight


def test_its_interval_holds_what_it_says() -> None:
    low, high = Belief(8, 4).interval(0.9)
    assert Belief(8, 4).below(high) - Belief(8, 4).below(low) == pytest.approx(0.9, abs=1e-9)


@pytest.mark.parametrize("wrong", [-1.0, float("nan"), float("inf")])
def test_impossible_outcomes_are_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match="must be 0 or more"):
        Outcomes(1, wrong)


def test_time_does_not_run_backwards() -> None:
    with pytest.raises(ValueError, match="half_life"):
        Outcomes(1, 1).faded(-1)
