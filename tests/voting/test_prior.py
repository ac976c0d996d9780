"""Confidence from how other models agreed: what it says, and where it says nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mom_council.records import Option, Verdict
from mom_council.voting.agreement import measure_agreement
from mom_council.voting.fitted import Fitted, Trust, prior_confidence
from mom_council.voting.prior import (
    Pattern,
    expected,
    in_tenths,
    kind_name,
    pattern_of,
    prior_chance,
    sharpen,
    shipped_prior,
)
from mom_council.voting.stopping import describe_confidence
from mom_council.voting.weights import LearnedVote


@pytest.mark.parametrize("type_", ["number", "choice", "text"])
@pytest.mark.parametrize("voices", [3, 5, 7])
def test_more_agreement_is_never_less_likely_right(type_, voices: int):
    prior = shipped_prior()
    patterns = [Pattern(voices, k, min(k, voices - k), 1 + (k < voices)) for k in range(2, voices)]
    patterns.append(Pattern(voices, voices, 0, 1))
    odds = [expected(prior, one, type_) for one in patterns if one.leading > voices / 2]
    assert odds == sorted(odds)


@given(
    others=st.lists(st.sampled_from(["2", "3", None]), min_size=1, max_size=3),
    more=st.integers(1, 3),
    weights=st.lists(st.floats(0.0, 5.0), min_size=9, max_size=9),
    none=st.floats(-3, 5),
    type_=st.sampled_from(["number", "choice", "text"]),
)
def test_who_joins_the_leading_answer_makes_it_no_less_likely(others, more, weights, none, type_):
    most = max(others.count("2"), others.count("3"))
    before = ["1"] * (most + more) + others
    after = ["1"] * (most + more + 1) + others[1:]
    prior, vote = shipped_prior(), LearnedVote(tuple(weights[: len(before)]), none)
    earlier, later = (
        expected(prior, pattern_of(said, "1", vote), type_) for said in (before, after)
    )
    assert later >= earlier - 1e-9


@given(
    answers=st.lists(st.sampled_from(["1", "2", "3", None]), min_size=1, max_size=9),
    weights=st.lists(st.floats(0.0, 9.0), min_size=9, max_size=9),
    none=st.floats(-9, 9),
    kind=st.sampled_from(["", "number: zeroeval_gsm", "number: zeroeval_math_l5"]),
)
def test_a_chance_lies_within_its_interval_and_both_within_0_and_1(answers, weights, none, kind):
    for vote in (None, LearnedVote(tuple(weights[: len(answers)]), none)):
        chance = prior_chance(pattern_of(answers, "1", vote), "number", kind)
        assert chance is None or 0 <= chance.low <= chance.value <= chance.high <= 1


def test_a_dissenter_who_is_mostly_with_the_majority_counts_against_the_answer():
    said = ["1", "1", "1", "2"]
    able, odd = (LearnedVote((1, 1, 1, heavy), 1.0) for heavy in (2.5, 0.2))
    prior = shipped_prior()
    against, beside = (
        expected(prior, pattern_of(said, "1", vote), "number") for vote in (able, odd)
    )
    assert against < beside - 0.5


def test_the_same_agreement_means_more_where_the_panel_agrees_more_often():
    prior = shipped_prior()
    easy, hard = (
        expected(prior, pattern_of(["1", "1", "1", "2"], "1", vote), "number")
        for same in (90, 20)
        for vote in [measure_agreement({(1, 1, 1, 1): same, (1, 2, 3, 4): 100 - same}).vote]
    )
    assert easy > hard


@pytest.mark.parametrize("vote", [None, LearnedVote((1,) * 5, 1.0)])
def test_the_interval_is_wider_on_a_kind_of_question_that_was_not_recorded(vote):
    pattern = pattern_of(["1", "1", "1", "1", "2"], "1", vote)
    known, new = (prior_chance(pattern, "number", kind) for kind in ("number: zeroeval_gsm", ""))
    assert known is not None
    assert new is not None
    assert new.high - new.low > known.high - known.low


def test_all_of_five_are_likely_right_and_the_interval_says_how_far_that_is_known():
    chance = prior_chance(Pattern(5, 5, 0, 1), "number")
    assert chance is not None
    assert 0.9 < chance.low + 0.2 < chance.value + 0.2
    assert chance.low < chance.value < chance.high < 1


@pytest.mark.parametrize(
    "pattern",
    [
        Pattern(2, 2, 0, 1),  # two voices
        Pattern(30, 30, 0, 1),  # more than were recorded together
        Pattern(5, 1, 3, 3),  # not what most said
        Pattern(5, 2, 2, 3),  # the interval would say nothing
    ],
)
def test_nothing_is_said_where_too_little_is_known(pattern: Pattern):
    assert prior_chance(pattern, "number") is None


def test_a_recorded_kind_of_question_is_known_better():
    name = kind_name(shipped_prior(), "number", ["nothing", "zeroeval_gsm"])
    assert name == "number: zeroeval_gsm"
    known = prior_chance(Pattern(5, 4, 1, 2), "number", name)
    blind = prior_chance(Pattern(5, 4, 1, 2), "number")
    assert known is not None
    assert blind is not None
    assert known.high - known.low < blind.high - blind.low
    assert kind_name(shipped_prior(), "number", ["law"]) == ""


def test_judged_questions_move_it_towards_what_came_true():
    four = Pattern(5, 4, 1, 2)
    wrong, left = sharpen([(four, 0.0, "")] * 20, "number")
    right, _ = sharpen([(four, 1.0, "")] * 20, "number")
    nothing, all_of_it = sharpen([], "number")
    assert wrong < -0.5 < nothing == 0 < right
    assert left < all_of_it == pytest.approx(shipped_prior().curves["number"].spread)


def test_the_pattern_counts_who_said_nothing_as_a_voice():
    assert pattern_of(["1", "1", None, "2"], "1") == Pattern(4, 2, 1, 2)


def test_a_panel_with_a_few_outcomes_has_them_in_its_confidence():
    said = {"a": "1", "b": "1", "c": "1", "d": "1", "e": "2"}
    voices = {name: f"m/{name}" for name in said}
    blind, basis = prior_confidence(Trust(voices=voices), said, "1", "number")
    few = Fitted(kind="sums", questions=20, options=3, few=True, prior_shift=-1, prior_spread=0.3)
    moved, more = prior_confidence(Trust(voices=voices, fitted=few), said, "1", "number")
    assert blind is not None
    assert moved is not None
    assert moved.value < blind.value
    assert "public models" in basis
    assert "20 questions of 'sums'" in more


def test_a_panel_whose_agreement_is_known_has_it_in_its_confidence():
    said = {"a": "1", "b": "1", "c": "1", "d": "2"}
    voices = {name: f"m/{name}" for name in said}
    plain, _ = prior_confidence(Trust(voices=voices), said, "1", "number")
    odd_one_out = Trust(voices=voices, weights=dict.fromkeys("abc", 2) | {"d": 0.5}, none=1)
    leader_out = Trust(voices=voices, weights=dict.fromkeys("abc", 1) | {"d": 3}, none=1)
    sure, _ = prior_confidence(odd_one_out, said, "1", "number")
    unsure, _ = prior_confidence(leader_out, said, "1", "number")
    assert plain is not None
    assert sure is not None
    assert unsure is None or unsure.value < sure.value
    assert sure.value > plain.value


@pytest.mark.parametrize(
    ("chance", "words"),
    [
        (0.99, "in nearly all cases"),
        (0.93, "about 9 times in 10"),
        (0.52, "about 5 times in 10"),
        (0.02, "about 1 time in 10"),
    ],
)
def test_it_is_said_in_tenths(chance: float, words: str):
    assert in_tenths(chance) == words
    options = (Option(members=("a", "b", "c", "d"), answer="1"), Option(members=("e",), answer="2"))
    verdict = Verdict(
        method="answers", options=options, leader="a", confidence=chance, interval=(0.0, 1.0)
    )
    said = describe_confidence(verdict)
    assert said == f"4 of 5 agree: right {words} on questions of this kind"
    assert describe_confidence(verdict.model_copy(update={"confidence": None})) == ""
    apart = tuple(Option(members=(name,), answer=name) for name in "abc")
    said = describe_confidence(verdict.model_copy(update={"options": apart}))
    assert said == f"all 3 differ: right {words} on questions of this kind"
