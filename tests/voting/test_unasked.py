"""Methods that ask nobody: texts that are alike, and who is surest of itself."""

from __future__ import annotations

import pytest

from mom_council.councils.schema import Deliberation
from mom_council.records import Ballot, Proposal, Verdict
from mom_council.voting.counting import agreed, count
from mom_council.voting.stopping import explain

TREES = "Plant more trees along the river, because they hold the soil when the water rises."
MORE_TREES = "Plant more trees along the river: they hold the soil when the water rises."
MOST_TREES = "Plant trees along the river, because they hold the soil when water rises high."
DAM = "Build a dam in the upper valley and pay the farmers whose fields it drowns."


def counted(method: str, *said: Proposal, ballots: tuple[Ballot, ...] = ()) -> Verdict:
    return count(said, ballots, method=method)


def of(name: str, text: str, **more: object) -> Proposal:
    return Proposal.model_validate({"character": name, "text": text, **more})


def test_texts_that_are_alike_are_one_option_and_its_medoid_leads() -> None:
    verdict = counted(
        "similarity", of("a", DAM), of("b", MOST_TREES), of("c", TREES), of("d", MORE_TREES)
    )
    assert verdict.options[0].members == ("b", "c", "d")
    assert verdict.leader == "c"
    assert verdict.share == pytest.approx(3 / 4)
    assert not verdict.tie
    assert "75 % of the weight said much the same as c's answer" in explain(verdict, Deliberation())


def test_the_heaviest_cluster_leads_not_the_largest() -> None:
    verdict = counted("similarity", of("a", TREES), of("b", MORE_TREES), of("c", DAM, weight=3.0))
    assert verdict.leader == "c"
    assert verdict.share == pytest.approx(3 / 5)


def test_clusters_of_equal_weight_are_a_tie_and_that_is_said() -> None:
    verdict = counted("similarity", of("a", DAM), of("b", TREES))
    assert verdict.tie
    assert verdict.leader == "a"
    assert not agreed(verdict, 0.5)


def test_different_answers_are_never_joined_for_sounding_alike() -> None:
    verdict = counted(
        "similarity",
        of("a", "After adding both numbers together, the answer is 42."),
        of("b", "After adding both numbers together, the answer is 43."),
        of("c", "The answer is 43."),
    )
    assert [option.answer for option in verdict.options] == ["43", "42"]


def test_a_medoid_that_broke_off_does_not_speak() -> None:
    verdict = counted(
        "similarity", of("b", MOST_TREES), of("c", TREES, truncated=True), of("d", MORE_TREES)
    )
    assert verdict.leader in ("b", "d")


def test_the_surest_leads_whatever_the_number_behind_the_others() -> None:
    verdict = counted(
        "best_confidence",
        of("a", "Confidence: 60%\nAnswer: 7"),
        of("b", "Confidence: 60%\nAnswer: 7"),
        of("c", "I am 90 % sure.\nAnswer: 8"),
    )
    assert (verdict.leader, verdict.share, verdict.tie) == ("c", 0.9, False)
    assert "'8' is the surest (90 %, needed 70 %)" in explain(verdict, Deliberation())


def test_an_option_has_the_confidence_of_its_surest_member_who_speaks_for_it() -> None:
    verdict = counted(
        "best_confidence",
        of("a", "Confidence: 60%\nAnswer: 7"),
        of("b", "Confidence: 80%\nAnswer: 7"),
        of("c", "Confidence: 70%\nAnswer: 8"),
    )
    assert (verdict.leader, verdict.share) == ("b", 0.8)


def test_who_states_no_confidence_stands_behind_and_none_is_made_up() -> None:
    verdict = counted(
        "best_confidence", of("a", "Answer: 7", weight=9.0), of("b", "Confidence: 5%\nAnswer: 8")
    )
    assert verdict.leader == "b"
    assert verdict.options[1].share == 0


def test_where_nobody_states_one_it_is_a_tie_without_a_share() -> None:
    verdict = counted("best_confidence", of("a", "Answer: 7"), of("b", "Answer: 8"))
    assert (verdict.leader, verdict.share, verdict.tie) == ("a", 0.0, True)
    assert "nobody is sure" in explain(verdict, Deliberation())


def test_equal_confidence_is_a_tie_and_that_is_said() -> None:
    said = of("a", "Confidence: 80%\nAnswer: 7"), of("b", "Confidence: 80%\nAnswer: 8", weight=2.0)
    verdict = counted("best_confidence", *said)
    assert verdict.tie
    assert verdict.leader == "b"


def test_a_recorded_confidence_counts_before_the_words() -> None:
    verdict = counted(
        "best_confidence",
        of("a", "Confidence: 80%\nAnswer: 7", confidence=0.2),
        of("b", "Answer: 8", confidence=0.3),
    )
    assert verdict.leader == "b"


def test_where_there_are_score_ballots_the_judges_say_how_sure_one_may_be() -> None:
    ballots = (
        Ballot(voter="a", scores={"b": 9, "c": 2}),
        Ballot(voter="b", scores={"a": 4, "c": 4}),
        Ballot(voter="c", choice="a"),
    )
    verdict = counted(
        "best_confidence",
        of("a", "Confidence: 99%\nAnswer: 7"),
        of("b", "Answer: 8"),
        of("c", "Answer: 9"),
        ballots=ballots,
    )
    assert (verdict.leader, verdict.share) == ("b", 0.9)
    assert (verdict.ballots, verdict.abstained) == (2, 0)
    assert verdict.options[1].share == pytest.approx(0.4)


@pytest.mark.parametrize("method", ["similarity", "best_confidence"])
def test_nothing_is_decided_while_a_proposal_may_still_come(method: str) -> None:
    proposals = [of("a", TREES, confidence=0.9), of("b", MORE_TREES, confidence=0.9)]
    assert not count(proposals, method=method, out={"c": 1.0}).decided
    assert count(proposals, method=method).decided
