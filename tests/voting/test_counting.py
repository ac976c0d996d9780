"""Counting: equal answers are one option, nobody votes for itself, ties are said."""

from __future__ import annotations

import pytest

from mom_council.records import AnswerKind, Ballot, Proposal
from mom_council.voting.counting import agreed, count, is_decided, missing
from mom_council.voting.dissent import dissent, joined_leader, minority_report
from mom_council.voting.methods import METHODS


def said(**texts: str) -> list[Proposal]:
    return [Proposal(character=name, text=text) for name, text in texts.items()]


def for_(**choices: str | None) -> list[Ballot]:
    return [Ballot(voter=voter, choice=choice) for voter, choice in choices.items()]


def test_equal_answers_are_one_option_and_a_ballot_for_any_of_them_counts() -> None:
    verdict = count(
        said(a="42", b="The answer is 42.", c="43"), for_(x="a", y="b", z="c"), method="plurality"
    )
    assert verdict.options[0].members == ("a", "b")
    assert verdict.options[0].answer == "42"
    assert verdict.leader == "a"
    assert verdict.share == pytest.approx(2 / 3)
    assert verdict.ballots == 3
    assert verdict.decided


def test_equal_answers_to_an_open_question_are_not_merged() -> None:
    verdict = count(said(a="42", b="It is 42."), method="answers", kind="open")
    assert len(verdict.options) == 2
    assert verdict.tie


@pytest.mark.parametrize("kind", ["open", "closed", "unknown"])
def test_the_same_words_are_one_option_whatever_is_asked(kind: AnswerKind) -> None:
    text = "It depends on the light, on the soil and on who waters it."
    proposals = said(
        a=text, b="A cactus needs no water at all, so take one.", c=f" {text.upper()}\n"
    )
    verdict = count(proposals, for_(x="a", y="c", z="b"), method="plurality", kind=kind)
    assert [option.members for option in verdict.options] == [("a", "c"), ("b",)]
    assert verdict.share == pytest.approx(2 / 3)


def test_a_refusal_merges_with_refusals_only_and_never_leads() -> None:
    verdict = count(
        said(
            a="I don't know.", b="I cannot help with that.", c="Plant more trees along the river."
        ),
        method="answers",
        kind="open",
    )
    assert [option.members for option in verdict.options] == [("c",), ("a", "b")]
    assert (verdict.leader, round(verdict.share, 2)) == ("c", 0.33)


@pytest.mark.parametrize("method", [*METHODS])
def test_where_everybody_declines_nobody_leads(method: str) -> None:
    declined = said(a="I don't know.", b="Ich weiß es nicht.", c="我不知道")
    verdict = count(declined, for_(a="b", b="a", c="a"), method=method)
    assert (verdict.leader, verdict.share, verdict.ballots) == (None, 0.0, 0)


def test_a_ballot_for_a_refusal_is_an_abstention() -> None:
    proposals = said(a="I don't know.", b="No idea.", c="42")
    verdict = count(proposals, for_(c="a", b="a", a="c"), method="plurality")
    assert (verdict.leader, verdict.ballots, verdict.abstained) == ("c", 1, 2)


def test_a_reply_that_broke_off_does_not_vote_with_its_last_token() -> None:
    proposals = [
        Proposal(character="a", text="It is 12", truncated=True),
        Proposal(character="b", text="It is 1250."),
        Proposal(character="c", text="So the total is 12."),
    ]
    verdict = count(proposals, method="answers")
    assert [option.members for option in verdict.options] == [("b",), ("c",), ("a",)]
    assert verdict.options[2].answer is None


def test_one_ballot_of_three_is_no_agreement() -> None:
    proposals = said(a="1", b="2", c="3")
    verdict = count(proposals, for_(a="b"), method="plurality")
    assert agreed(verdict, 0.7)
    assert not agreed(verdict.model_copy(update={"asked": 3}), 0.7)


def test_who_voted_for_the_leader_does_not_dissent() -> None:
    proposals = said(a="1", b="2", c="3", d="4")
    ballots = for_(a="b", b="a", c="a", d="b")
    verdict = count(proposals, ballots, method="plurality")
    assert verdict.leader == "a"
    assert dissent(proposals, verdict, ballots) == ("d",)
    assert joined_leader(proposals, verdict, ballots) == ("b", "c")


def test_a_vote_for_oneself_is_an_abstention() -> None:
    verdict = count(said(a="1", b="2"), for_(a="a", b="a"), method="plurality")
    assert (verdict.ballots, verdict.abstained, verdict.leader) == (1, 1, "a")


def test_the_own_entry_of_a_ranking_is_passed_over() -> None:
    ballot = Ballot(voter="a", ranking=("a", "b", "c"))
    same = Ballot(voter="a", ranking=("b", "c"))
    proposals = said(a="1", b="2", c="3")
    assert count(proposals, [ballot], method="borda") == count(proposals, [same], method="borda")


def test_weights_multiply() -> None:
    ballots = [
        Ballot(voter="x", choice="a", weight=3),
        Ballot(voter="y", choice="b"),
        Ballot(voter="z", choice="b"),
    ]
    assert count(said(a="1", b="2"), ballots, method="plurality").leader == "a"


def test_decimal_weights_tie_exactly() -> None:
    ballots = [
        Ballot(voter="x", choice="a", weight=0.1),
        Ballot(voter="y", choice="a", weight=0.2),
        Ballot(voter="z", choice="b", weight=0.3),
    ]
    assert count(said(a="1", b="2"), ballots, method="plurality").tie


def test_a_tie_goes_to_the_weight_behind_it_then_to_the_seat_and_says_so() -> None:
    proposals = said(a="1", b="2", c="2")
    verdict = count(proposals, for_(x="a", y="b"), method="plurality")
    assert (verdict.leader, verdict.tie) == ("b", True)
    assert not agreed(verdict, 0.5)
    verdict = count(said(a="1", b="2"), for_(x="a", y="b"), method="plurality")
    assert (verdict.leader, verdict.tie) == ("a", True)


def test_abstentions_count_neither_for_nor_against() -> None:
    verdict = count(said(a="1", b="2"), for_(x="a", y=None, z=None), method="plurality")
    assert (verdict.share, verdict.ballots, verdict.abstained) == (1.0, 1, 2)


def test_a_stranger_on_a_ballot_is_nobody() -> None:
    assert count(said(a="1", b="2"), for_(x="ghost"), method="plurality").abstained == 1


def test_approvals_are_shares_of_the_voters() -> None:
    ballots = [Ballot(voter="x", approved=("a", "b")), Ballot(voter="y", approved=("b",))]
    verdict = count(said(a="1", b="2"), ballots, method="approval")
    assert verdict.leader == "b"
    assert [option.share for option in verdict.options] == [1.0, 0.5]


def test_approving_two_clones_counts_once() -> None:
    ballots = [Ballot(voter="x", approved=("a", "b"))]
    assert count(said(a="1", b="1", c="2"), ballots, method="approval").options[0].tally == 1


def test_borda_gives_two_one_nought() -> None:
    ballots = [
        Ballot(voter="x", ranking=("b", "a", "c")),
        Ballot(voter="y", ranking=("b", "c", "a")),
    ]
    verdict = count(said(a="1", b="2", c="3"), ballots, method="borda")
    assert [(o.members[0], o.tally) for o in verdict.options] == [
        ("b", 4.0),
        ("a", 1.0),
        ("c", 1.0),
    ]
    assert verdict.share == 1.0


def test_unranked_options_share_the_points_that_are_left() -> None:
    verdict = count(said(a="1", b="2", c="3"), [Ballot(voter="x", ranking=("b",))], method="borda")
    assert [(o.members[0], o.tally) for o in verdict.options] == [
        ("b", 2.0),
        ("a", 0.5),
        ("c", 0.5),
    ]


def test_scores_are_weighted_means_and_the_best_member_speaks_for_its_option() -> None:
    ballots = [
        Ballot(voter="x", scores={"a": 8, "b": 2, "c": 6}, weight=3),
        Ballot(voter="y", scores={"a": 4, "c": 6}),
    ]
    verdict = count(said(a="1", b="1", c="2"), ballots, method="score")
    assert [option.tally for option in verdict.options] == [7.0, 6.0]
    assert verdict.share == pytest.approx(0.7)


def test_answers_need_no_ballots() -> None:
    proposals = [Proposal(character="a", text="1", weight=2.5), *said(b="2", c="2")]
    verdict = count(proposals, for_(x="b"), method="answers")
    assert (verdict.leader, verdict.ballots) == ("a", 0)
    assert verdict.share == pytest.approx(2.5 / 4.5)


def test_without_ballots_the_weight_behind_an_answer_leads_with_no_share() -> None:
    verdict = count(said(a="1", b="2", c="2"), method="plurality")
    assert (verdict.leader, verdict.share, verdict.tie) == ("b", 0.0, True)


def test_a_whole_text_speaks_for_its_option_before_a_truncated_one() -> None:
    proposals = [
        Proposal(character="a", text="42", truncated=True),
        Proposal(character="b", text="42"),
    ]
    assert count(proposals, method="answers").leader == "b"


def test_the_method_none_makes_nobody_leader() -> None:
    assert count(said(a="1", b="2"), method="none").leader is None


def test_nothing_proposed_is_nothing_led() -> None:
    for method in METHODS:
        verdict = count([], for_(x="a"), method=method)
        assert (verdict.leader, verdict.options, verdict.decided) == (None, (), False)


def test_the_last_ballot_of_a_voter_counts() -> None:
    ballots = [Ballot(voter="x", choice="a"), Ballot(voter="x", choice="b")]
    verdict = count(said(a="1", b="2"), ballots, method="plurality")
    assert (verdict.leader, verdict.ballots) == ("b", 1)


def test_a_ballot_of_another_shape_abstains() -> None:
    assert count(said(a="1", b="2"), for_(x="a"), method="score").abstained == 1


def test_two_of_three_are_enough_to_decide_but_not_to_settle_a_high_threshold() -> None:
    proposals, ballots = said(a="1", b="2"), for_(x="a", y="a")
    assert is_decided(proposals, ballots, method="plurality", out={"z": 1})
    assert not is_decided(proposals, ballots, method="plurality", out={"z": 1}, threshold=0.7)
    assert is_decided(proposals, ballots, method="plurality", out={"z": 1}, threshold=0.6)


def test_one_who_is_out_and_cannot_vote_for_the_rival_cannot_change_the_lead() -> None:
    proposals, ballots = said(a="1", b="2"), for_(x="a")
    assert is_decided(proposals, ballots, method="plurality", out={"b": 5})
    assert not is_decided(proposals, ballots, method="plurality", out={"y": 5})


def test_answers_still_out_may_say_something_new() -> None:
    assert not is_decided(said(a="1"), method="answers", out={"b": 1})
    assert is_decided(said(a="1", b="1"), method="answers", out={"c": 1})


def test_missing_voters_are_named() -> None:
    assert missing(for_(x="a"), ["x", "y"]) == ("y",)


def test_the_strongest_dissent_is_the_minority_report() -> None:
    proposals = said(a="1", b="1", c="2", d="3", e="I don't know.")
    verdict = count(proposals, for_(x="a", y="a", z="d"), method="plurality")
    assert dissent(proposals, verdict) == ("c", "d")
    report = minority_report(proposals, verdict)
    assert report is not None
    assert report.character == "d"


def test_where_all_agree_there_is_no_minority_report() -> None:
    proposals = said(a="1", b="1")
    assert minority_report(proposals, count(proposals, method="answers")) is None
