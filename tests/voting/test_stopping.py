"""A council stops for a reason, and can say it in one sentence."""

from __future__ import annotations

from typing import Any

import pytest

from mom_council.councils.schema import Deliberation, Rounds
from mom_council.records import Ballot, Proposal, StopReason, Verdict
from mom_council.voting.counting import count
from mom_council.voting.methods import METHODS
from mom_council.voting.stopping import explain, repeats, why_stop

RULES = Deliberation(threshold=0.7, rounds=Rounds(min=1, max=3))


def round_of(
    answers: str, votes: str = "", number: int = 1, method: str = "plurality", **more: Any
) -> Verdict:
    proposals = said(answers, number)
    ballots = [
        Ballot(voter=f"v{at}", choice=None if vote == "-" else vote)
        for at, vote in enumerate(votes)
    ]
    return count(proposals, ballots, method=method, **more)


def said(answers: str, number: int = 1) -> list[Proposal]:
    return [
        Proposal(character="abcdef"[at], text=text, round=number) for at, text in enumerate(answers)
    ]


@pytest.mark.parametrize(
    ("answers", "votes", "method", "reason"),
    [
        ("123", "aaa", "plurality", "agreed"),
        ("123", "aab", "plurality", None),
        ("1", "", "plurality", "single"),
        ("123", "", "none", "unvoted"),
        ("111", "", "answers", "agreed"),
        ("12", "ab", "plurality", None),
    ],
)
def test_a_first_round_stops_or_not(
    answers: str, votes: str, method: str, reason: StopReason | None
) -> None:
    assert why_stop([round_of(answers, votes, method=method)], RULES) == reason


def test_the_budget_comes_before_everything() -> None:
    assert why_stop([round_of("1")], RULES, budget_spent=True) == "budget"
    assert why_stop([round_of("111", "aaa")], RULES, too_hot=True) == "heat"


def test_the_least_number_of_rounds_is_kept_even_in_agreement() -> None:
    rules = Deliberation(rounds=Rounds(min=2, max=3))
    verdict = round_of("123", "aaa")
    assert why_stop([verdict], rules) is None
    assert why_stop([verdict, verdict], rules) == "agreed"


def test_no_rounds_left_is_a_reason() -> None:
    one, two, three = round_of("123", "aab"), round_of("123", "abb"), round_of("123", "aab")
    assert why_stop([one, two, three], RULES) == "rounds"


def test_a_round_that_repeats_the_last_one_stalls() -> None:
    verdict = round_of("123", "aab")
    assert (
        why_stop([verdict, verdict], RULES, proposals=said("123"), previous=said("123"))
        == "stalled"
    )


def test_the_same_answers_in_other_mouths_repeat_a_round() -> None:
    before, now = round_of("122", "abb"), round_of("212", "aac")
    assert repeats(before, round_of("212", "bac"), said("122"), said("212"))
    assert not repeats(before, round_of("212", "bbc"), said("122"), said("212"))
    assert now.leader == "a"


def test_a_new_answer_is_no_repetition() -> None:
    assert why_stop([round_of("123", "aab"), round_of("124", "bba")], RULES) is None


def test_a_silent_council_is_asked_twice() -> None:
    silent = round_of("123", "---")
    assert why_stop([silent], RULES) is None
    assert why_stop([silent, silent], RULES) == "no_ballots"
    assert why_stop([silent], Deliberation(rounds=Rounds(max=1))) == "no_ballots"


def test_ballots_that_were_not_needed_are_a_decision() -> None:
    early = round_of("12", "aaa", out={"v3": 1.0}, threshold=0.7)
    assert early.decided
    assert why_stop([early], RULES, out=1) == "decided"
    assert why_stop([early], RULES) == "agreed"


def test_asking_without_a_verdict_is_an_error() -> None:
    with pytest.raises(ValueError, match="count a round"):
        why_stop([], RULES)


@pytest.mark.parametrize(
    ("verdict", "reason", "words"),
    [
        (
            round_of("123", "aab"),
            "rounds",
            "2 of 3 chose '1' (67 %, needed 70 %); no rounds were left",
        ),
        (
            round_of("123", "aaa"),
            "agreed",
            "3 of 3 chose '1' (100 %, needed 70 %)",
        ),
        (
            round_of("112", method="answers"),
            "rounds",
            "2 of 3 chose '1' (67 %, needed 70 %); no rounds were left",
        ),
        (round_of("1"), "single", "there was one proposal, so there was nothing to vote on"),
        (
            round_of("12", method="none"),
            "unvoted",
            "the council does not vote; every proposal went to the synthesizer",
        ),
        (
            round_of("12", "ab"),
            "stalled",
            (
                "1 of 2 chose '1' (50 %, needed 70 %), tied, and put first by the "
                "weight behind it, then by seat; another round would have repeated this one"
            ),
        ),
    ],
)
def test_the_reason_is_said_in_one_sentence(
    verdict: Verdict, reason: StopReason, words: str
) -> None:
    assert explain(verdict.model_copy(update={"stop_reason": reason}), RULES) == words


def test_an_answer_stands_in_the_sentence_as_it_was_written() -> None:
    proposals = [Proposal(character=name, text="Answer: Canberra") for name in ("Idris", "Marta")]
    verdict = count(proposals, method="answers")
    assert explain(verdict, RULES, proposals) == "2 of 2 chose 'Canberra' (100 %, needed 70 %)"


@pytest.mark.parametrize(
    ("text", "answer", "written"),
    [
        ("The answer is one application.", "1 application", "one application"),
        ("Answer: twelve months", "12 months", "twelve months"),
        ("It is **1,000 km**", "1000 km", "1,000 km"),
        ("Answer: $1,000.00", "$1000", "$1,000.00"),
    ],
)
def test_a_number_stands_as_its_words(text: str, answer: str, written: str) -> None:
    verdict = count([Proposal(character="Idris", text=text)], method="answers")
    assert verdict.options[0].answer == answer
    assert verdict.options[0].display_answer == written
    assert repr(written) in explain(verdict, RULES)


LONG = "Once upon a time {} went to sea. It was a long way.\n\nThen came a storm, and all was lost."


def test_whose_proposal_won_is_said_with_what_it_needed() -> None:
    names = ("Idris", "Marta", "Boris")
    proposals = [Proposal(character=name, text=LONG.format(name)) for name in names]
    ballots = [
        Ballot(voter="Marta", ranking=("Idris", "Boris")),
        Ballot(voter="Boris", ranking=("Idris", "Marta")),
    ]
    verdict = count(proposals, ballots, method="borda")
    won = verdict.model_copy(update={"stop_reason": "agreed"})
    assert explain(won, RULES) == "Idris' answer won, 100 % (needed 70 %)"
    strict = Deliberation(threshold=0.7)
    behind = verdict.model_copy(update={"stop_reason": "rounds", "share": 0.5})
    words = "Idris' answer leads, 50 % (needed 70 %); no rounds were left"
    assert explain(behind, strict) == words


@pytest.mark.parametrize("method", METHODS)
def test_every_method_can_be_explained_without_ballots(method: str) -> None:
    assert explain(round_of("12", method=method), RULES)
    assert explain(round_of("", method=method), RULES)
