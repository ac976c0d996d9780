"""Whether a council pays: verdicts over made-up answers whose truth is known."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

import pytest

from mom_council.evals.cases import Case
from mom_council.evals.intervals import gain_interval, paired_shares
from mom_council.evals.scorecard import COUNCIL, SELF, EvalRow, member
from mom_council.evals.verdict import Panel, judge, tellable_gain
from mom_council.evals.verdict_page import as_html, as_text, headline
from mom_council.records import Usage


def panel(
    accuracies: Sequence[float],
    number: int = 60,
    *,
    seed: int = 0,
    council: str = "majority",
    gold: bool = True,
    sampled: float | None = None,
    kinds: int = 1,
) -> Panel:
    """Members that err on their own, and a council that votes, or says what one of them says."""
    dice = random.Random(seed)
    cases, ours, samples = [], [], []
    members: dict[str, list[EvalRow]] = {f"m{at}": [] for at in range(len(accuracies))}
    for at in range(number):
        key = f"q{at}"
        kind = f"kind {at % kinds}"
        cases.append(Case(id=key, question=key, gold="0" if gold else None, category=kind))
        said = ["0" if dice.random() < p else str(dice.randint(1, 5)) for p in accuracies]
        for name, answer in zip(members, said, strict=True):
            members[name].append(row(key, member(name), answer, gold, calls=1))
        chosen = max(said, key=said.count) if council == "majority" else said[int(council)]
        ours.append(row(key, COUNCIL, chosen, gold, calls=len(said) + 1))
        if sampled is not None:
            answer = "0" if dice.random() < sampled else "9"
            samples.append(row(key, SELF, answer, gold, calls=3))
    weights = dict.fromkeys(members, 1.0)
    return Panel("desk", cases, ours, members, weights, samples)


def row(key: str, system: str, answer: str, gold: bool, *, calls: int) -> EvalRow:
    usage = Usage(calls=calls, usd=0.01 * calls, seconds=1.0)
    ok = gold and answer == "0"
    return EvalRow(
        case=key, system=system, ok=ok, answer=answer, text=answer, usage=usage, seconds=1.0
    )


def test_a_council_of_good_equals_pays_and_its_price_is_said() -> None:
    verdict = judge(panel([0.7] * 7, 100))
    assert verdict.advice == "council"
    assert verdict.gain is not None
    assert verdict.gain.low > 0
    assert verdict.times == pytest.approx(8)
    assert "The council pays" in headline(verdict)
    assert "8.0 times its price" in headline(verdict)


def test_one_model_alone_is_an_answer() -> None:
    verdict = judge(panel([0.35, 0.95, 0.35, 0.35], 60))
    assert (verdict.advice, verdict.member) == ("member", "m1")
    assert headline(verdict).startswith("Ask m1 alone: the council loses")


def test_what_cannot_be_told_comes_first_and_no_advice_is_given() -> None:
    verdict = judge(panel([0.8, 0.8, 0.8], 20, seed=4))
    assert verdict.advice == "undecided"
    text = as_text(verdict)
    assert text.startswith("20 questions cannot tell gains below")
    assert "These questions cannot tell" in text
    assert "can be dropped" not in text
    assert tellable_gain(50) == pytest.approx(0.105, abs=0.01)


def test_the_best_member_is_not_chosen_on_the_questions_it_is_scored_on() -> None:
    # Equals: whoever looks best on all questions does so by luck.
    lucky, fair = [], []
    for seed in range(12):
        made = panel([0.6] * 6, 50, seed=seed)
        verdict = judge(made)
        alone = next(way for way in verdict.ways if way.name == "best member")
        assert alone.accuracy is not None
        fair.append(alone.accuracy.value)
        lucky.append(max(sum(one.ok for one in rows) / 50 for rows in made.members.values()))
    assert sum(lucky) / 12 > 0.65
    assert abs(sum(fair) / 12 - 0.6) < 0.04


def test_a_council_that_says_what_a_member_says_gains_nothing_over_equals() -> None:
    # Each is right on a third: whoever was best on other questions was worst on these.
    made = panel([1.0, 1.0, 1.0], 60, kinds=2)
    for at, name in enumerate(made.members):
        made.members[name][:] = [  # type: ignore[index]
            row(f"q{one}", member(name), "0" if one % 3 == at else f"{at + 1}", True, calls=1)
            for one in range(60)
        ]
    ours = [one.model_copy(update={"system": COUNCIL}) for one in made.members["m0"]]
    verdict = judge(Panel("desk", made.cases, ours, made.members, made.weights))
    assert verdict.advice == "undecided"
    assert verdict.gain is not None
    assert verdict.gain.value == 0
    assert {one.advice for one in verdict.kinds} <= {"undecided", "member"}
    assert "pays" not in headline(verdict)


def test_a_member_that_is_never_right_and_one_without_a_price_are_named() -> None:
    made = panel([0.8, 0.7, 0.0], 40)
    assert "m2 never had a right answer; another model in this place" in as_text(judge(made))
    assert "Nobody was ever right." in as_text(judge(panel([0.0, 0.0], 40)))
    assert "No price is known" not in as_text(judge(made))
    free = [one.model_copy(update={"usage": Usage(calls=1)}) for one in made.members["m1"]]
    text = as_text(judge(replace(made, members={**made.members, "m1": free})))
    assert "No price is known of m1: the prices here leave it out." in text


def test_samples_that_are_better_and_cheaper_are_the_answer() -> None:
    verdict = judge(panel([0.6, 0.7, 0.6], 80, sampled=0.97))
    assert verdict.advice == "samples"
    assert "several times" in headline(verdict)


def test_a_member_that_only_costs_is_dropped_and_a_good_one_never() -> None:
    dropped = []
    for seed in range(6):
        verdict = judge(panel([0.8, 0.75, 0.75, 0.1, 0.8], 80, seed=seed))
        dropped += [one.member for one in verdict.drop]
        assert all(one.gain.value >= 0 and one.won > 0 for one in verdict.drop)
    assert set(dropped) <= {"m3"}
    assert dropped


def test_kinds_have_verdicts_of_their_own_where_they_have_enough_questions() -> None:
    verdict = judge(panel([0.7] * 3, 60, kinds=3))
    assert [one.kind for one in verdict.kinds] == ["kind 0", "kind 1", "kind 2"]
    assert all(one.gain.low <= one.gain.value <= one.gain.high for one in verdict.kinds)
    assert "| kind 0" in as_text(verdict)


def test_without_right_answers_agreement_bounds_what_can_be_gained() -> None:
    same = judge(panel([0.7, 0.5, 0.5], 40, council="0", gold=False))
    assert (same.advice, same.member) == ("member", "m0")
    assert same.cannot_tell is None
    assert "the council can gain 9 points over it at most" in headline(same)
    other = judge(panel([0.5, 0.5, 0.5], 40, gold=False))
    assert other.advice == "undecided"
    for verdict in (same, other):
        assert all(way.accuracy is None and way.gain is None for way in verdict.ways)
        assert "right answers" in as_text(verdict).splitlines()[0]


def test_the_page_needs_nothing_else_and_shows_no_markup_of_others() -> None:
    made = panel([0.7] * 3, 40)
    made.members["<b>m9</b>"] = made.members.pop("m2")
    weights = dict.fromkeys(made.members, 1.0)
    page = as_html(
        judge(Panel("<i>desk</i>", made.cases, made.ours, made.members, weights), ["a < b"])
    )
    assert page.startswith("<!doctype html>")
    for outside in ("http://", "https://", "<script", "<b>m9", "<i>desk", "src="):
        assert outside not in page
    assert "&lt;b&gt;m9&lt;/b&gt;" in page
    assert "a &lt; b" in page


def test_a_single_question_has_a_verdict_too() -> None:
    verdict = judge(panel([1.0, 0.0], 1))
    assert verdict.advice == "undecided"
    assert as_text(verdict)


def test_the_interval_of_a_paired_gain_covers_and_is_never_a_point() -> None:
    assert paired_shares([True] * 20, [True] * 20).high == pytest.approx(0.161, abs=0.01)
    assert gain_interval(0, 0, 50).low == pytest.approx(-0.0713, abs=1e-3)
    assert gain_interval(8, 1, 50).low == pytest.approx(0.0281, abs=1e-3)
    dice, covered = random.Random(3), 0
    for _ in range(400):
        marks = [dice.random() for _ in range(50)]
        won, lost = sum(x < 0.1 for x in marks), sum(0.1 <= x < 0.15 for x in marks)
        interval = gain_interval(won, lost, 50)
        covered += interval.low <= 0.05 <= interval.high
    assert covered >= 0.92 * 400
    with pytest.raises(ValueError, match="cannot be"):
        gain_interval(3, 3, 5)
