"""A finished round counted anew says what its ballots say, and no more."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mom_council.councils.schema import Deliberation
from mom_council.records import Ballot, Proposal
from mom_council.voting.counting import count
from mom_council.voting.methods import METHODS
from mom_council.voting.revote import Revote, as_ballot_of, revote

NAMES = ("Ada", "Boris", "Clara")
PROPOSALS = [Proposal(character=name, text=f"The view of {name}.") for name in NAMES]
CHOICES = [
    Ballot(voter="Ada", choice="Boris"),
    Ballot(voter="Boris", choice="Ada"),
    Ballot(voter="Clara", choice="Ada"),
]
RANKINGS = [
    Ballot(voter="Ada", ranking=("Boris", "Clara")),
    Ballot(voter="Boris", ranking=("Ada", "Clara")),
    Ballot(voter="Clara", ranking=("Ada", "Boris")),
]
SCORES = [
    Ballot(voter="Ada", scores={"Boris": 9, "Clara": 2}),
    Ballot(voter="Boris", scores={"Ada": 8, "Clara": 8}),
    Ballot(voter="Clara", scores={"Ada": 7, "Boris": 1}),
]


def again(ballots: Any = CHOICES, method: str = "plurality", **more: Any) -> Revote:
    proposals = more.pop("proposals", PROPOSALS)
    return revote(proposals, ballots, method=method, deliberation=Deliberation(), **more)


def test_the_same_rules_give_the_same_count() -> None:
    assert again().verdict == count(PROPOSALS, CHOICES, method="plurality")
    assert again().notes == ()


def test_other_weights_give_another_leader() -> None:
    made = again(weights={"Ada": 5.0})
    assert (again().verdict.leader, made.verdict.leader) == ("Ada", "Boris")
    assert round(made.verdict.share, 6) == round(5 / 7, 6)


def test_another_threshold_changes_whether_it_is_agreement() -> None:
    assert again(threshold=0.6).agreed
    assert not again(threshold=0.7).agreed
    assert "(67 %, needed 60 %)" in again(threshold=0.6).why


def test_a_ranking_also_says_who_is_best() -> None:
    made = again(RANKINGS, "plurality")
    assert made.verdict.leader == "Ada"
    assert "put first" in made.notes[0]
    assert again(RANKINGS, "ranked_pairs").verdict.leader == "Ada"


def test_points_say_an_order_only_where_none_are_level() -> None:
    made = again(SCORES, "borda")
    assert made.verdict.ballots == 2
    assert made.verdict.abstained == 1
    assert "read as a ranking" in made.notes[0]
    assert "1 ballot is not clear enough" in made.notes[1]


@pytest.mark.parametrize("method", ["borda", "ranked_pairs", "approval", "score"])
def test_a_choice_says_nothing_of_the_others_so_equal_answers_are_counted(method: str) -> None:
    made = again(CHOICES, method)
    assert made.verdict.method == "answers"
    assert "nobody is asked again" in made.notes[0]


def test_equal_answers_are_counted_without_the_ballots_and_that_is_said() -> None:
    proposals = [
        Proposal(character=name, text=f"The answer is {number}.")
        for name, number in zip(NAMES, (4, 5, 5), strict=True)
    ]
    made = again(CHOICES, "answers", proposals=proposals, kind="closed")
    assert set(made.verdict.options[0].members) == {"Boris", "Clara"}
    assert "3 ballots are left aside" in made.notes[0]


def test_points_say_how_sure_the_voters_were() -> None:
    made = again(SCORES, "best_confidence")
    assert made.verdict.method == "best_confidence"
    assert made.verdict.ballots == 3
    assert "read as how sure" in made.notes[0]
    assert "how sure each says it is" in again(CHOICES, "best_confidence").notes[0]
    assert "texts that are alike" in again(CHOICES, "similarity").notes[0]


def test_where_nobody_voted_equal_answers_are_counted() -> None:
    made = again([], "plurality")
    assert made.verdict.method == "answers"
    assert "Nobody cast a ballot" in made.notes[0]


def test_under_no_method_nobody_leads() -> None:
    made = again(method="none")
    assert made.verdict.leader is None
    assert "does not vote" in made.why


def test_one_proposal_needs_no_vote() -> None:
    assert "one proposal" in again([], proposals=PROPOSALS[:1]).why


BALLOTS = st.builds(
    Ballot,
    voter=st.sampled_from(NAMES),
    choice=st.none() | st.sampled_from(NAMES),
    ranking=st.permutations(NAMES).map(tuple) | st.just(()),
    approved=st.lists(st.sampled_from(NAMES), max_size=3).map(tuple),
    scores=st.dictionaries(st.sampled_from(NAMES), st.floats(0, 10)),
    weight=st.floats(0, 10),
)


@given(st.lists(BALLOTS, max_size=5), st.sampled_from([*METHODS]), st.floats(0, 1))
def test_any_ballots_can_be_counted_by_any_method(
    ballots: list[Ballot], method: str, threshold: float
) -> None:
    made = again(ballots, method, threshold=threshold, weights={"Ada": 2.0})
    assert made.why
    assert made.verdict.method in (method, "answers")
    for ballot in ballots:
        read = as_ballot_of(ballot, method)
        assert (read.voter, read.weight) == (ballot.voter, ballot.weight)
        assert ballot.abstained <= read.abstained, "no abstention becomes a vote"
