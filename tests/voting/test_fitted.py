"""What was fitted to a panel, and the confidence that comes of it."""

from __future__ import annotations

import math

import pytest

from mom_council.voting.fitted import Fitted, Trust, confidence, places, sure, sure_so_far

FITTED = Fitted(
    kind="sums",
    questions=200,
    options=5,
    models=("a", "b", "c"),
    weights=(2.0, 1.0, 1.0),
    joint=(3.0, 1.0, 0.0),
    none=1.0,
    slope=0.5,
    shift=0.2,
    steps=((1.0, 0.5), (0.8, 1.0), (0.5, 1.0)),
)
TRUST = Trust(voices={"Ann": "b", "Bob": "a", "Cid": "c"}, panel=("Ann", "Bob", "Cid"))


def chance(*scores: float, none: float) -> float:
    return math.exp(scores[0]) / (math.exp(none) + sum(map(math.exp, scores)))


def test_all_together_are_the_learned_vote_corrected():
    plain = chance(4.0, 0.0, none=1.0)
    x = 0.5 * math.log(plain / (1 - plain)) + 0.2
    assert sure(FITTED, ["1", "1", "2"])["1"] == pytest.approx(1 / (1 + math.exp(-x)), abs=1e-9)


def test_the_first_so_many_are_tempered_for_their_number():
    found = sure_so_far(FITTED, ["1", "2"])
    assert found["1"] == pytest.approx(chance(1.6, 0.8, none=1.0), abs=1e-9)
    assert sure_so_far(FITTED, []) == {} == sure_so_far(FITTED, ["1"] * 4)


def test_characters_find_their_places_and_equal_models_share_them_in_order():
    assert places(("x", "y", "x"), {"A": "y", "B": "x", "C": "x"}) == {"A": 1, "B": 0, "C": 2}
    assert places(("x", "y"), {"A": "x", "B": "x"}) is None


def test_a_panel_that_was_fitted_says_how_sure_it_is_and_of_what():
    trust = TRUST.model_copy(update={"fitted": FITTED})
    told, basis = confidence(trust, {"Ann": "1", "Bob": "1", "Cid": "2"}, "1")
    assert told == sure(FITTED, ["1", "1", "2"])["1"]
    assert basis == "200 questions of 'sums'"
    strongest, _ = confidence(trust, {"Bob": "1"}, "1")
    assert strongest == sure_so_far(FITTED, ["1"])["1"]


def test_where_nothing_fits_there_is_no_confidence():
    trust = TRUST.model_copy(update={"fitted": FITTED})
    assert confidence(TRUST, {"Ann": "1", "Bob": "1", "Cid": "1"}, "1") == (None, "")
    assert confidence(trust, {"Ann": "1", "Cid": "1"}, "1") == (None, "")  # not the strongest two
    assert confidence(trust, {"Ann": "1", "Bob": "1", "Cid": None}, "2") == (None, "")


def test_any_panel_of_known_voices_is_judged_by_their_own_records():
    any_panel = Fitted(kind="sums", questions=90, options=3, steps=((1.0, 1.0), (0.7, 1.0)))
    trust = TRUST.model_copy(update={"any_panel": any_panel, "odds": {"Ann": 2.0, "Cid": 1.0}})
    told, basis = confidence(trust, {"Ann": "1", "Cid": "1"}, "1")
    assert told == pytest.approx(chance(0.7 * 3.0, none=1.0), abs=1e-9)
    assert basis == "90 questions of 'sums'"
    assert confidence(trust, {"Ann": "1", "Bob": "1"}, "1") == (None, "")
