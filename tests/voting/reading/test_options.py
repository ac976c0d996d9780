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


TEN = tuple(f"item {n}" for n in range(10))


def chosen(text: str) -> tuple[str, ...]:
    return read_answer(text, kind="closed", options=TEN).letters


@pytest.mark.parametrize(
    "text",
    [
        "The answer is (B, H).", "The answer is (B,H).", "The answer is (B) and (H).",
        "Answer: B, H",
        "The answer is (H, B).", "The answer is (BH).", "The answer is either (B) or (H).",
        "The answer is a combination of (B) and (H).",
        "The correct answer is the combination of B and H.",
        "The answer is both (B) and (H).", "Final answer: (B; H)", "The answer is (B) & (H).",
    ],
)  # fmt: skip
def test_several_options_are_read_in_every_writing(text: str) -> None:
    assert chosen(text) == ("B", "H")


@pytest.mark.parametrize("letters", [*itertools.combinations("ACEIJ", 3)])
def test_three_options_whatever_letters_they_have(letters: tuple[str, ...]) -> None:
    one, two, three = letters
    for said in (
        f"({one}, {two}, and {three})",
        f"({one}), ({two}), ({three})",
        f"({three}{one}{two})",
    ):
        assert chosen(f"So the answer is {said}.") == letters


@pytest.mark.parametrize(
    "text",
    [
        "It is not listed, but the closest one is (D) $432.35. However, it should be $436.40.",
        "The closest value is 27.2 eV, which corresponds to option (D).\n\nFinal",
        "That leaves one. This is (D). The other options are unrelated to the theory of isolation.",
        "This is option (D). The other options do not directly contribute to it.",
        "The statement that is not true is (D). The Moon takes about 27.3 days to go round.",
        "The value is nearest to (D). The answer",
        "The answer is 8.6km-->D", "The answer is 8.6 km => (D).",
        "We get 4.50.\nFinal answer: D<EOS_TOKEN>\n\n",
        "swer is (D).\n\nNow, let's summarize the answer choices:\n\n1. ",
        "wer is (D).\n\nQuestion:\nThe derivative of x^2 is:\nOptions:\nA. 4x + 3\nB. 4x^2\nC. 4x",
        "(D).\n\nQuestion:\nWhat is the circumference?\nOptions:\nA. 16\nB. 8\nC. 16",
    ],
)  # fmt: skip
def test_the_one_option_that_the_end_points_at(text: str) -> None:
    assert chosen(text) == ("D",)


@pytest.mark.parametrize(
    "text",
    [
        "We saw that option (D) is incorrect.", "It is open. At least (D) is not right. ",
        "If it were (D), the sum would be 4.",
        "It is between (D) and another one. One of (B), (D) it is.",
        "We start with reaction (D) and end with reaction (B), and so on.",
        "The point is (4, 5).", "The derivative of f(J) is f'(J) = 2(J) + 1 = 2(J) + 1",
    ],
)  # fmt: skip
def test_what_points_at_no_option_chooses_none(text: str) -> None:
    assert chosen(text) in [(), ("B", "D")]


FULL = ("−5 > −3.", "Sensory memory", "Quality, concentration, and rate of flow", "2000 - 150x")


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("The statement that is false is A. −5 > −3.", "A"),
        ("The most automatic of the proposed memory systems is B. Sensory memory.", "B"),
        ("It says how much was left after x days: D. 2000 - 150x.", "D"),
        ("Final Answer:\nThe answer is **C. Quality, concentration, and rate of flow**.", "C"),
        ("In the options it is:\n\nD. 2000 - 150x\n\nThis is what was wanted.", "D"),
    ],
)  # fmt: skip
def test_an_option_that_is_named_with_its_text(text: str, label: str) -> None:
    assert read_answer(text, kind="closed", options=FULL).letters == (label,)


def test_a_label_with_another_text_names_no_option() -> None:
    text = "As it was said by D. Hume in his book."
    assert not read_answer(text, kind="closed", options=FULL).letters
