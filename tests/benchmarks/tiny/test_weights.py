"""The three models as they are shipped, asked through llama.cpp."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from mom_council.benchmarks.tiny.exam import WEIGHTS, Ask, ask_all, asking, majority, read_questions
from mom_council.benchmarks.tiny.words import REFUSAL

pytest.importorskip("xllamacpp")

KNOWN = {
    "What is 17 + 25?": "42",
    "what's 17 plus 25": "42",
    "17+25": "42",
    "2+2": "4",
    "Is a robin alive?": "yes",
    "Which is larger, 17 or 71?": "71",
    "What kind of thing is an oak?": "tree",
    "Hello!": "Hello! How can I help you?",
    "Who are you?": "I am a very small model.",
    "thanks": "You are welcome.",
    "bye": "Good bye!",
}
UNKNOWN = (
    "Why is the sky blue?",
    "What is the capital of France?",
    "Write a poem about love",
    "What is the meaning of life?",
    "Explain quantum computing",
    "12*13",
    "5-8",
)


@pytest.fixture(scope="module")
def council() -> Iterator[list[Ask]]:
    with ExitStack() as stack:
        yield [stack.enter_context(asking(file)) for file in WEIGHTS]


@pytest.mark.parametrize("weights", WEIGHTS, ids=lambda file: file.stem)
def test_the_weights_are_small(weights) -> None:  # type: ignore[no-untyped-def]
    assert weights.stat().st_size <= 1_500_000


@pytest.mark.parametrize(("question", "answer"), KNOWN.items())
def test_the_majority_knows_what_the_documentation_shows(
    council: list[Ask], question: str, answer: str
) -> None:
    assert majority([ask("", question) for ask in council]) == answer


@pytest.mark.parametrize("question", UNKNOWN)
def test_the_majority_says_that_it_does_not_know(council: list[Ask], question: str) -> None:
    assert majority([ask("", question) for ask in council]) == REFUSAL


def test_the_majority_is_above_a_floor_on_the_exam(council: list[Ask]) -> None:
    exam = read_questions()[:60]
    columns = [ask_all(ask, [("", question.text) for question in exam]) for ask in council]
    answers = [majority(row) for row in zip(*columns, strict=True)]
    right = sum(a == q.answer for a, q in zip(answers, exam, strict=True))
    assert right >= 42


def test_a_vote_names_the_answer_and_not_its_letter(council: list[Ask]) -> None:
    from mom_council.prompts import render

    candidates = [{"label": "A", "text": "41"}, {"label": "B", "text": "42"}]
    prompt = render(
        "vote",
        style="tiny",
        name="Ada",
        personality="",
        question="What is 17 + 25?",
        candidates=candidates,
    )
    assert majority([ask(prompt.system, prompt.user) for ask in council]) == "42"


@pytest.mark.parametrize(
    ("question", "answer"),
    {
        "hello": "Hello! How can I help you?",
        "thanks": "You are welcome.",
        "who are you": "I am a very small model.",
        "good bye": "Good bye!",
    }.items(),
)
def test_small_talk_goes_through_the_whole_council(
    council: list[Ask], question: str, answer: str
) -> None:
    from mom_council.prompts import render

    who = {"name": "Ada", "personality": "You are careful.", "question": question}
    candidates = [{"label": label, "text": answer} for label in "AB"]
    proposals = [{"text": answer, "support": f"{n} of 3 votes"} for n in (2, 1, 0)]
    prompts = [
        render("character", style="tiny", earlier=[], **who),
        render("character", style="tiny", earlier=[answer] * 3, **who),
        render("vote", style="tiny", candidates=candidates, **who),
    ]
    for prompt in prompts:
        assert majority([ask(*prompt) for ask in council]) == answer
    merge = render("synthesizer", style="tiny", question=question, proposals=proposals)
    assert council[0](*merge) == answer


def test_the_synthesizer_writes_what_a_proposal_says(council: list[Ask]) -> None:
    from mom_council.prompts import render

    proposals = [
        {"text": text, "support": f"{n} of 1 votes"}
        for text, n in (("36", 0), ("42", 1), ("42", 1))
    ]
    merge = render("synthesizer", style="tiny", question="add 17 to 25", proposals=proposals)
    assert council[0](*merge) == "42"
