"""The learned vote, on panels whose truth is known because it was made."""

from __future__ import annotations

import random

import pytest

from mom_council.voting.calibration import calibration_error, minimise, solve
from mom_council.voting.weights import (
    FoldVote,
    LearnedVote,
    VoteCase,
    choose_pull,
    choose_share,
    grouped,
    learn,
    temper,
    without_light,
)

Row = tuple[tuple[int | None, ...], int]


def panel(accuracies: list[float], number: int, *, seed: int, options: int = 5) -> list[Row]:
    """Voters that err on their own."""
    rng = random.Random(seed)
    rows = []
    for _ in range(number):
        truth = rng.randrange(options)
        wrong = [each for each in range(options) if each != truth]
        said = tuple(truth if rng.random() < p else rng.choice(wrong) for p in accuracies)
        rows.append((said, truth))
    return rows


def cases(rows: list[Row]) -> list[VoteCase]:
    found = []
    for said, truth in rows:
        groups = grouped(said)
        right = list(groups).index(truth) if truth in groups else None
        found.append(VoteCase(tuple(groups.values()), right))
    return found


def share_right(vote, rows: list[Row]) -> float:
    right = 0
    for said, truth in rows:
        chances = vote.probabilities(said)
        right += max(chances, key=chances.__getitem__) == truth
    return right / len(rows)


def test_who_dominates_is_heard_and_nobody_had_to_say_so() -> None:
    train, test = (panel([0.95, 0.3, 0.3, 0.3, 0.3], 400, seed=s) for s in (1, 2))
    alone = sum(said[0] == truth for said, truth in test) / len(test)
    assert share_right(learn(cases(train), 5), test) >= alone - 0.01


def test_equals_are_counted() -> None:
    train, test = (panel([0.6] * 5, 400, seed=s) for s in (3, 4))
    alone = max(sum(said[v] == truth for said, truth in test) for v in range(5)) / len(test)
    assert share_right(learn(cases(train), 5), test) > alone + 0.1


def test_two_that_err_together_share_one_voice() -> None:
    rows = panel([0.7, 0.7, 0.7], 1500, seed=5)
    twins = [((*said, said[2]), truth) for said, truth in rows]
    vote = learn(cases(twins), 4)
    assert vote.weights[2] + vote.weights[3] < 1.35 * vote.weights[0]


def test_its_probabilities_are_calibrated() -> None:
    train, test = (panel([0.8, 0.6, 0.5, 0.4], 2000, seed=s) for s in (6, 7))
    vote = learn(cases(train), 4)
    sure, true = [], []
    for said, truth in test:
        chances = vote.probabilities(said)
        best = max(chances, key=chances.__getitem__)
        sure.append(chances[best])
        true.append(float(best == truth))
    assert calibration_error(sure, true) < 0.04


def test_no_weight_is_negative_even_of_a_liar() -> None:
    vote = learn(cases(panel([0.8, 0.7, 0.02], 500, seed=8)), 3)
    assert min(vote.weights) >= 0
    assert vote.weights[2] == pytest.approx(0, abs=0.2)


def test_with_few_outcomes_it_stays_near_the_start() -> None:
    rows = cases(panel([0.7, 0.7, 0.7], 12, seed=9))
    assert choose_pull(rows, 3) == 300
    weights = learn(rows, 3).weights
    assert max(weights) < 4


def test_voters_are_treated_alike() -> None:
    rows = panel([0.8, 0.6, 0.5], 300, seed=10)
    turned = [(said[::-1], truth) for said, truth in rows]
    one, other = learn(cases(rows), 3), learn(cases(turned), 3)
    assert one.weights == pytest.approx(other.weights[::-1], abs=1e-4)
    assert one.none == pytest.approx(other.none, abs=1e-4)


def test_more_support_never_makes_an_answer_less_likely() -> None:
    vote = learn(cases(panel([0.8, 0.6, 0.5], 300, seed=11)), 3)
    for voter in range(3):
        said = ["a", "b", "b"]
        before = vote.probabilities(said).get("c", 0.0)
        said[voter] = "c"
        assert vote.probabilities(said)["c"] >= before


def test_nobody_says_anything() -> None:
    vote = learn(cases(panel([0.8, 0.6], 50, seed=12)), 2)
    assert vote.probabilities([None, None]) == {}


def test_tempering_keeps_the_proportions() -> None:
    vote = temper(cases(panel([0.8, 0.6, 0.5], 500, seed=13)), [3.0, 2.0, 1.0])
    assert vote.weights[0] == pytest.approx(3 * vote.weights[2])
    assert vote.weights[1] == pytest.approx(2 * vote.weights[2])


def in_folds(rows: list[Row], voters: int) -> list[FoldVote]:
    found = []
    for fold in range(5):
        kept = cases([row for at, row in enumerate(rows) if at % 5 != fold])
        found.append(FoldVote(learn(kept, voters, pull=300), kept, cases(rows[fold::5])))
    return found


def test_lowered_weights_keep_their_order_and_end_at_zero() -> None:
    rows = cases(panel([0.9, 0.6, 0.5], 300, seed=14))
    vote = learn(rows, 3)
    lowered = without_light(vote, 0.5, rows)
    assert lowered.weights[0] > lowered.weights[1] >= lowered.weights[2] == 0
    assert without_light(vote, 0.0, rows) is vote


def test_whom_nobody_needs_is_left_out() -> None:
    rows, test = (panel([0.85, 0.6, 0.3, 0.3], 400, seed=s) for s in (15, 16))
    vote = learn(cases(rows), 4)
    share = choose_share(vote, cases(rows), in_folds(rows, 4))
    lowered = without_light(vote, share, cases(rows))
    assert vote.weights[0] < sum(vote.weights[1:])
    assert lowered.weights[0] > sum(lowered.weights[1:])  # it settles the vote alone
    assert share_right(lowered, test) >= share_right(vote, test) - 0.005


@pytest.mark.parametrize("seed", range(17, 21))
def test_whom_the_vote_needs_is_kept(seed: int) -> None:
    rows, test = (panel([0.62] * 5, 600, seed=s) for s in (seed, seed + 100))
    vote = learn(cases(rows), 5)
    share = choose_share(vote, cases(rows), in_folds(rows, 5))
    lowered = without_light(vote, share, cases(rows))
    assert min(lowered.weights) > 0
    assert share_right(lowered, test) >= share_right(vote, test) - 0.01


def test_few_cases_lower_no_weight() -> None:
    rows = panel([0.9, 0.3], 9, seed=22)
    assert choose_share(learn(cases(rows), 2), cases(rows), in_folds(rows, 2)) == 0.0


def test_the_leader_of_a_case_and_how_right_it_is() -> None:
    vote = LearnedVote((1.0, 1.0, 0.5), 0.0)
    level = VoteCase(((0,), (1,)), 1)
    assert vote.leader(level)[1] == 0.5
    assert vote.leader(VoteCase(((0, 2), (1,)), 0)) == pytest.approx((0.546549, 1.0), abs=1e-4)
    assert vote.leader(VoteCase((), None)) == (0.0, 0.0)


def test_nothing_is_learned_from_nothing() -> None:
    with pytest.raises(ValueError, match="empty"):
        learn([], 3)


def test_equations_are_solved_with_pivots() -> None:
    assert solve([[0, 1], [2, 0]], [3, 4]) == [2, 3]
    with pytest.raises(ZeroDivisionError):
        solve([[1, 1], [1, 1]], [1, 2])


def test_what_is_floored_stops_at_zero() -> None:
    def bowl(at):
        return [2 * (at[0] + 1), 2 * (at[1] - 3)], [[2.0, 0.0], [0.0, 2.0]]

    assert minimise(bowl, [1.0, 0.0], floored={0}) == pytest.approx([0, 3])
    assert minimise(bowl, [1.0, 0.0]) == pytest.approx([-1, 3])
