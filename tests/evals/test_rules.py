"""Rules over recorded answers, on panels whose properties are known."""

from __future__ import annotations

import json
import random
from collections import Counter
from dataclasses import replace

import pytest

from mom_council.evals.rules import (
    WEIGHTED,
    Weigh,
    agreement,
    asking_all,
    best_single,
    blended,
    confident,
    learned,
    learned_exit,
    plain_majority,
    scores,
    stopping,
    weighted,
)
from mom_council.evals.sheet import Sheet, voter_weights
from mom_council.records import Proposal
from mom_council.tests.evals.panels import made_sheet
from mom_council.voting.counting import count
from mom_council.voting.early_exit import calls_until_stop, lossless, lossless_in_order

pytestmark = pytest.mark.slow

EQUALS = [0.65] * 7
MIXED = [0.9, 0.35, 0.35, 0.3, 0.3]


def share(fit, sheet: Sheet) -> float:
    return sum(scores(fit(sheet.fold("cal")), sheet.fold("eval"))) / len(sheet.fold("eval").lines)


def reference(said: tuple[str | None, ...]) -> set[str]:
    votes: dict[str, int] = {}
    for answer in said:
        if answer is None:
            continue
        if answer not in votes:
            votes[answer] = 0
        votes[answer] += 1
    most = max(votes.values(), default=0)
    return {answer for answer in votes if votes[answer] == most}


def test_plain_majority_is_the_ten_line_reference() -> None:
    sheet = made_sheet([0.7, 0.5, 0.4, 0.3, 0.2], silent=0.2)
    rule = plain_majority(sheet)
    for line in sheet.lines:
        assert set(rule(line).answers) == reference(line.said)


def test_plain_majority_is_what_the_council_counts() -> None:
    sheet = made_sheet([0.7, 0.5, 0.4, 0.3, 0.2], 200, silent=0.1)
    rule = plain_majority(sheet)
    for line in sheet.lines:
        proposals = [
            Proposal(character=model, text=json.dumps({"answer": said}))
            for model, said in zip(sheet.models, line.said, strict=True)
            if said is not None
        ]
        verdict = count(proposals, method="answers", kind="closed")
        if verdict.leader is not None:
            first, *others = rule(line).answers
            assert verdict.options[0].answer == first
            assert verdict.tie == bool(others)


def test_a_coin_between_level_answers_is_worth_its_share() -> None:
    sheet = made_sheet([0.5, 0.5], 100)
    rule = plain_majority(sheet)
    levels = {rule(line).score(line) for line in sheet.lines if len(set(line.said)) == 2}
    assert levels == {0.0, 0.5}


def test_equals_together_beat_the_best_of_them() -> None:
    sheet = made_sheet(EQUALS)
    assert share(plain_majority, sheet) > share(best_single, sheet) + 0.1
    assert share(weighted, sheet) >= share(plain_majority, sheet) - 0.005


def test_where_one_dominates_plain_votes_lose_and_the_learned_vote_does_not() -> None:
    sheet = made_sheet(MIXED, 1200, options=3)
    best = max(share(best_single, sheet), share(weighted, sheet))
    assert share(plain_majority, sheet) < best - 0.05
    assert share(learned, sheet) >= best - 0.01


def test_weights_are_never_negative() -> None:
    rng = random.Random(1)
    for seed in range(30):
        sheet = made_sheet([rng.random() for _ in range(4)], 60, seed=seed)
        assert min(voter_weights(sheet)) >= 0


def test_the_names_and_the_order_of_models_do_not_matter() -> None:
    sheet = made_sheet([0.8, 0.6, 0.5, 0.4], 300)
    turned = sheet.of([3, 1, 0, 2])
    for fit in (plain_majority, weighted):
        assert share(fit, sheet) == pytest.approx(share(fit, turned))


def test_the_lossless_exit_saves_calls_and_changes_no_winner() -> None:
    sheet = made_sheet(EQUALS, silent=0.1)
    whole = stopping(lambda _, out: not out)(sheet)
    for exit_rule in (lossless, lossless_in_order):
        early = stopping(exit_rule)(sheet)
        assert all(early(x).answers[:1] == whole(x).answers[:1] for x in sheet.lines)
        assert sum(early(x).asked for x in sheet.lines) < 0.85 * 7 * len(sheet.lines)


def test_in_a_hundred_thousand_random_votes_no_exit_in_order_flips_the_winner() -> None:
    rng = random.Random(11)
    for _ in range(100_000):
        answers = rng.choices("aaabbcd\0", k=rng.randint(1, 9))
        said = [None if each == "\0" else each for each in answers]
        seen = said[: calls_until_stop(said, lossless_in_order)]
        early, late = (Counter(filter(None, each)).most_common(1) for each in (seen, said))
        assert early[:1] and early[0][0] == late[0][0] if late else not early


def test_an_exit_in_order_stops_no_later_than_one_that_fears_ties() -> None:
    rng = random.Random(12)
    for _ in range(3000):
        said = rng.choices("aabc", k=7)
        assert calls_until_stop(said, lossless_in_order) <= calls_until_stop(said, lossless)


@pytest.mark.parametrize("weigh", WEIGHTED.values(), ids=WEIGHTED)
@pytest.mark.parametrize("accuracies", [EQUALS, MIXED, [0.4] * 5])
def test_the_lossless_exit_of_weighted_votes_changes_no_winner(
    weigh: Weigh, accuracies: list[float]
) -> None:
    sheet = made_sheet(accuracies, 600, silent=0.05)
    cal, held = sheet.fold("cal"), sheet.fold("eval")
    early, whole = stopping(lossless_in_order, weigh=weigh)(cal), asking_all(weigh)(cal)
    assert all(early(x).answers == whole(x).answers for x in held.lines)
    assert sum(early(x).asked for x in held.lines) < len(accuracies) * len(held.lines)


def test_a_fitted_council_asks_few_and_loses_nothing() -> None:
    sheet = made_sheet([0.9, 0.9, 0.85, 0.85, 0.8, 0.8, 0.8], 1000)
    cal, held = sheet.fold("cal"), sheet.fold("eval")
    rule = learned_exit(cal)
    assert sum(rule(x).asked for x in held.lines) < 0.7 * 7 * len(held.lines)
    assert sum(scores(rule, held)) >= sum(scores(weighted(cal), held)) - 0.01 * len(held.lines)


def test_level_answers_fall_to_the_stronger_voter() -> None:
    sheet = made_sheet([0.6, 0.9], 400, prices=[1e-5, 1e-2])
    rule = stopping(lossless_in_order)(sheet)
    assert {rule(x).answers for x in sheet.lines} == {(x.said[1],) for x in sheet.lines}


def test_agreement_finds_the_one_that_dominates_without_any_gold_answer() -> None:
    sheet = made_sheet([0.9, 0.55, 0.5, 0.5, 0.45], 1200, options=3)
    blind = replace(sheet, lines=tuple(replace(x, right=frozenset()) for x in sheet.lines))
    rule = agreement(blind.fold("cal"))
    held = sheet.fold("eval")
    plain = sum(scores(plain_majority(sheet), held))
    assert sum(scores(rule, held)) > plain + 0.02 * len(held.lines)


def test_twenty_labels_are_between_none_and_all() -> None:
    sheet = made_sheet(MIXED, 1200, options=3)
    few = sum(share(blended(20, seed=seed), sheet) for seed in range(5)) / 5
    assert few >= share(agreement, sheet) - 0.003
    assert few >= share(learned, sheet) - 0.03


def test_reported_confidence_is_calibrated() -> None:
    sheet = made_sheet([0.8, 0.6, 0.5, 0.4], 3000)
    rule = confident(sheet.fold("cal"))
    held = sheet.fold("eval").lines
    sure = sum(rule(x).confidence or 0.0 for x in held) / len(held)
    assert sure == pytest.approx(sum(rule(x).score(x) for x in held) / len(held), abs=0.03)


def test_a_panel_that_says_nothing_is_wrong_and_breaks_nothing() -> None:
    sheet = made_sheet([0.8, 0.8], 40, silent=1.0)
    for fit in (best_single, plain_majority, weighted, learned, learned_exit, agreement, confident):
        assert share(fit, sheet) == 0
