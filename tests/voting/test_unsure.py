"""When a council that may decline says that it does not know."""

from __future__ import annotations

import pytest

from mom_council.records import Option, Proposal, Verdict
from mom_council.voting.counting import count
from mom_council.voting.dissent import dissent, is_unsure, most_know_nothing
from mom_council.voting.reading import compared_numbers

IDK = "I do not know that."


def unsure(answers: dict[str, str | None], texts: list[str], question: str = "") -> bool:
    """Whether members A, B, C with these texts are unsure; `answers`: their group's answer."""
    names = "ABC"[: len(texts)]
    proposals = [Proposal(character=n, text=t) for n, t in zip(names, texts, strict=True)]
    groups = [
        Option(members=tuple(members), answer=answer, tally=len(members))
        for members, answer in answers.items()
    ]
    verdict = Verdict(method="answers", options=tuple(groups), leader=groups[0].members[0])
    return is_unsure(verdict, proposals, question)


def test_a_greeting_does_not_win_against_two_who_do_not_know() -> None:
    assert unsure({"B": None, "AC": None}, [IDK, "Hello!", IDK])
    assert unsure({"A": None, "B": "tool", "C": None}, ["Hello!", "tool", IDK])
    assert not unsure({"AB": None, "C": None}, ["Hello!", "Hello!", IDK])


def test_two_of_three_are_not_outweighed_by_one_who_does_not_know() -> None:
    assert not unsure({"AB": "42", "C": None}, ["42", "42", IDK])
    assert unsure({"A": "42", "B": "41", "C": None}, ["42", "41", IDK])


def test_who_does_not_know_does_not_disagree() -> None:
    texts = {"A": "42", "B": "42", "C": IDK, "D": "41"}
    proposals = [Proposal(character=name, text=text) for name, text in texts.items()]
    assert dissent(proposals, count(proposals, method="answers")) == ("D",)
    texts = {"A": "A cat suits it.", "B": IDK, "C": "Take a dog."}
    proposals = [Proposal(character=name, text=text) for name, text in texts.items()]
    options = tuple(Option(members=(name,)) for name in texts)
    assert dissent(proposals, Verdict(method="plurality", options=options, leader="A")) == ("C",)
    unknowing = Verdict(method="plurality", options=options[1:], leader="B")
    assert dissent(proposals[1:], unknowing) == ("C",)


def test_an_open_question_is_answered_although_one_does_not_know() -> None:
    assert not unsure({"A": None, "B": None}, ["Because it melts.", "It is warm."])


def test_where_nobody_knows_the_writer_says_it() -> None:
    assert not unsure({"ABC": None}, [IDK, IDK, IDK])
    assert most_know_nothing([Proposal(character="A", text=IDK)])


@pytest.mark.parametrize(
    ("question", "answer", "is_lost"),
    [
        ("Which is bigger: 45 or 54?", "55", True),
        ("Which is bigger: 45 or 54?", "54", False),
        ("What is larger, 9.9 or 9.11?", "9.90", False),
        ("Which is bigger, 5 or 5?", "5", True),
        ("Which is larger, 3 or 7 times 2?", "14", False),
        ("Which city is larger, Paris or Rome?", "12", False),
        ("Was ist 3 or 4?", "5", False),
    ],
)
def test_of_two_compared_numbers_the_answer_is_one(
    question: str, answer: str, is_lost: bool
) -> None:
    assert unsure({"ABC": answer}, [answer] * 3, question) is is_lost


def test_what_compares_no_two_numbers_compares_none() -> None:
    assert compared_numbers("Welche Zahl ist größer, 3 oder 12?") == ("3", "12")
    for other in ("What is 3 + 4?", "Which is larger, 2 + 3 or 4?", "Is 3 larger than 4?"):
        assert compared_numbers(other) is None
