"""The options that a question lists, and answers that choose among them."""

from __future__ import annotations

import itertools
import time

import pytest

from mom_council.voting.reading import find_options, read_answer, same_answer

TEXTS = (
    "Paris", "Rome", "12 km", "x^2 + 1", "none of these", "the red one", "Oslo", "7:15 PM",
    *(f"item {n}" for n in range(18)),
)  # fmt: skip
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
FORMS = {
    "parentheses": "({label}) {text}",
    "closing parenthesis": "{label}) {text}",
    "full stop": "{label}. {text}",
    "colon": "{label}: {text}",
    "bold": "**{label}.** {text}",
    "bold parentheses": "**({label})** {text}",
    "brackets": "[{label}] {text}",
    "dash": "{label} - {text}",
    "bullets": "- {label}) {text}",
    "word": "Option {label}: {text}",
    "indented": "    {label}. {text}",
    "table": "| {label} | {text} |",
    "wide": "{label}．{text}",
    "Chinese": "{label}、{text}",
    "LaTeX": "\\textbf{{({label})}}\\ {text}",
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("number", [2, 3, 4, 5, 10, 26])
def test_a_list_in_lines_is_found_in_every_form(form: str, number: int) -> None:
    listed = dict(zip(LETTERS, TEXTS[:number], strict=False))
    lines = [FORMS[form].format(label=label, text=text) for label, text in listed.items()]
    for head, tail in itertools.product(
        ("Which of these is it?", "The capital of France is"), ("", "\n\nAnswer with one letter.")
    ):
        assert find_options("\n".join([head, *lines]) + tail) == listed


@pytest.mark.parametrize("form", ["parentheses", "closing parenthesis", "full stop", "LaTeX"])
@pytest.mark.parametrize("between", [" ", ", ", "; ", " \\qquad "])
def test_a_list_in_one_line_is_found(form: str, between: str) -> None:
    listed = {"A": "red", "B": "green", "C": "blue"}
    line = between.join(
        FORMS[form].format(label=label, text=text) for label, text in listed.items()
    )
    assert find_options(f"Which is it? {line}") == listed
    assert find_options(f"Which is it? {line}. Answer with the letter alone.") == listed


@pytest.mark.parametrize("labels", ["abcd", "1234"])
@pytest.mark.parametrize("form", ["({label}) {text}", "{label}) {text}", "{label}. {text}"])
@pytest.mark.parametrize(
    "asks",
    [
        "Which city is it?",
        "Choose one:",
        "Welche Stadt ist es?",
        "Quelle ville est-ce ?",
        "¿Cuál es?",
        "Qual é?",
        "Какой это город?",
        "下列哪个正确？",
        "どれですか？",
        "어느 것입니까?",
        "कौन सा शहर?",
        "أي مدينة؟",
    ],
)
def test_small_letters_and_numbers_are_options_where_a_choice_is_asked_for(
    labels: str, form: str, asks: str
) -> None:
    texts = ["Paris", "Rome", "Oslo", "Bern"]
    lines = [form.format(label=label, text=text) for label, text in zip(labels, texts, strict=True)]
    expected = dict(zip(labels.upper(), texts, strict=True))
    assert find_options("\n".join([asks, *lines])) == expected


@pytest.mark.parametrize(
    "question",
    [
        "What is 17 + 25?",
        "",
        "(a) Find x. (b) Find y.",
        "A. Find x.\nB. Compute y.\nC. Prove it.",
        "A) What is 2 + 2?\nB) What is 3 + 3?",
        "Solve it like this: 1. add 2. multiply",
        "Add these:\n1. 12\n2. 15",
        "Who wrote it, C. S. Lewis or A. B. Smith?",
        "Let (A) be true and (B) be false.",
        "How many of these are true?\n(A) x > 1\n(B) x > 2",
        "Rank these:\nA. tea\nB. milk",
        "Put these in chronological order:\nA. Rome\nB. Troy",
        "A. only one",
        "A. one\nC. three",
        "Which?\nA. u\nB. v\nWhich?\nA. w\nB. z",
        "Vitamin A: 5 mg. What else?",
    ],
)
def test_what_is_no_list_to_choose_from_gives_no_options(question: str) -> None:
    assert find_options(question) == {}


def test_of_examples_with_their_answers_the_last_list_counts() -> None:
    question = "Sky?\nA. red\nB. blue\nAnswer: B\n\nGrass?\nA. green\nB. black\nAnswer:"
    assert find_options(question) == {"A": "green", "B": "black"}


def test_a_choice_by_number_by_words_and_by_text_is_the_same() -> None:
    options = {"1": "Paris", "2": "Rome", "3": "12 km"}
    for reply in ("2", "(2)", "2) Rome", "Option 2", "Answer: 2", "**Rome**", "So it is Rome."):
        assert read_answer(reply, kind="closed", options=options).form == "2", reply
    assert same_answer("Answer: 3", "Answer: 12 km", options=options)
    assert not read_answer("Answer: 62", options=options)
    assert not read_answer("Answer: 4", options=options)


def test_where_only_letters_can_be_answers_a_cut_off_reply_is_no_number() -> None:
    options = find_options("How many?\n(A) 620\n(B) 62\n(C) 6.2\n(D) 0.62")
    cut = "First we add the parts. Then there are 60 and 62"
    assert not read_answer(cut, options=options)
    assert not read_answer("So we get 61.", kind="closed", options=options)
    assert read_answer("Answer: 62", options=options).form == "B"


@pytest.mark.parametrize("piece", ["A. ", "(A) ", "A. x\nB. y\n", "1) ", "**A** ", "| A ", "[A]\n"])
def test_looping_questions_cost_linear_time(piece: str) -> None:
    begun = time.process_time()
    find_options(piece * (19_000 // len(piece)))
    assert time.process_time() - begun < 2
