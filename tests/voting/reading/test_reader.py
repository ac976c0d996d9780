"""Answers are read from replies as models write them."""

from __future__ import annotations

import json
import time

import pytest

from mom_council.voting.reading import is_refusal, read_answer, read_value, same_answer

FORTY_TWO = [
    "42",
    "42.",
    "The answer is 42",
    "The answer is 42.",
    "**42**",
    "$42.00$",
    "17 + 25 = 42",
    '{"answer": 42}',
    '```json\n{"reasoning":"x is 41","answer":"42",}\n```',
    "#### 42",
    "\\boxed{42}",
    "So the final answer is **$42**.",
    "forty-two",
    "<think>41</think>42",
    "hmm 43</think>\n42",
    "42 apples",
    "$42 per day",
    "Final Answer:\n\n42",
    "**Final Answer**\n42",
    "\\[ x = 42 \\]",
    "Therefore, the total number of bolts is 42 bolts.",
    "The sum of 17 and 25 is 42.",
    "€42",
    "42 €",
    "I first thought the answer is 41. Actually, the answer is 42.",
    "The answer is 42, not 43.",
    "The answer is 42 because 17+25=42",
    "Answer: 42 apples in the big basket on the table",
    "42%",
    "approximately 42",
    "I'm not sure, but the answer is 42",
    '{"answer": "42", "reasoning": "cut',
    "Reasoning...\n\n**Answer:** 42",
    "<|channel|>analysis 41<|channel|>final<|message|>42",
]
CHOICE_B = [
    "B",
    "(B)",
    "B.",
    "Answer: B",
    "**B**",
    "The correct answer is (B).",
    "The answer is B. Paris",
    "B) Paris",
    "b",
    "(b)",
    "Option B",
    "The answer is **B) Paris**.",
    "$\\boxed{\\text{(B)}}$",
    "The correct option is B because A is wrong",
    '{"answer": "B"}',
]
HALF = [
    "1/2",
    "0.5",
    "\\frac{1}{2}",
    "$\\dfrac12$",
    ".5",
    "1 / 2",
    "½",
    '{"answer": "\\frac{1}{2}"}',
]
LISTS = [
    "[1, 2, 3]",
    "`[1,2,3]`",
    "```python\n[1, 2, 3]\n```",
    "assert f(x) == [1, 2, 3]",
    "[1.0,2,3]",
    '{"answer": "[1, 2, 3]"}',
    '{"answer": [1, 2, 3]}',
    "The output is [1, 2, 3].",
]


@pytest.mark.parametrize("said", FORTY_TWO)
def test_forty_two_is_forty_two_however_it_is_said(said: str) -> None:
    assert same_answer(read_answer(said), "42")
    assert same_answer(read_answer(said, kind="closed"), "42")
    assert read_answer(said).bare == "42"


@pytest.mark.parametrize("said", CHOICE_B)
def test_a_choice_is_its_letter(said: str) -> None:
    assert same_answer(read_answer(said), "B")
    assert read_answer(said).bare == "B"


@pytest.mark.parametrize("said", HALF)
def test_fractions_and_decimals_of_equal_value_are_equal(said: str) -> None:
    assert same_answer(read_answer(said), "0.5")
    assert read_answer(said).bare == "0.5"


@pytest.mark.parametrize("said", LISTS)
def test_python_lists_are_read_as_values(said: str) -> None:
    assert read_answer(said).form == "[1,2,3]"


@pytest.mark.parametrize(
    ("said", "form"),
    [
        ("1,234", "1234"),
        ("−1,234.50", "-1234.5"),
        ("1.5 × 10^3", "1500"),
        ("2.5 million", "2500000"),
        ("2\\frac{1}{2}", "2.5"),
        ("\\frac{\\sqrt{3}}{2}", "sqrt(3)/2"),
        ("2 \\sqrt{3}", "2sqrt(3)"),
        ("y = 2x + 3", "2x+3"),
        ("(1, 2)", "(1,2)"),
        ("(\\frac12, 3)", "(0.5,3)"),
        ("{3,1,2}", "{1,2,3}"),
        ("{'b': 1, 'a': 2}", "{'a':2,'b':1}"),
        ("Yes, because it is.", "yes"),
        ("no", "no"),
        ("True", "true"),
        ("Paris", "paris"),
        ("The capital of France is Paris.", "paris"),
        ("'aB'", "aB"),
        ("E. coli", "e. coli"),
        ("5:30", "5:30"),
        ("90^\\circ", "90"),
        ("1/3", "1/3"),
        ("-0", "0"),
        ("''", "''"),
        ("10^{10}", "10000000000"),
    ],
)
def test_short_answers_have_one_form(said: str, form: str) -> None:
    assert read_answer(said).bare == form


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("5 am", "5 pm"),
        ("3x", "3"),
        ("'001'", "1"),
        ("'Hello'", "'hello'"),
        ("1/3", "0.333"),
        ("-5", "5"),
        ("(1, 2)", "[1, 2]"),
        ("4 July", "4"),
        ("yes", "no"),
        ("'a'", "'A'"),
        ("x = 1 or x = 2", "2"),
        ("1e999999", "1"),
        ("2024-10-15", "1999"),
        ("2 hours 30 minutes", "2 hours"),
    ],
)
def test_different_answers_stay_apart(one: str, other: str) -> None:
    assert not same_answer(read_answer(one), read_answer(other))


@pytest.mark.parametrize(
    "said",
    [
        "",
        "   ",
        "<think>the answer is 42",
        "A man walks into a bar and orders a drink.",
        "It depends on many things. " + "One has to weigh each of them with care. " * 5,
        "The answer is simple. " + "One has to look at the whole of the economy. " * 5,
        "I don't know",
        "I'm sorry, but I can't help with that.",
    ],
)
def test_long_open_texts_and_refusals_have_no_answer(said: str) -> None:
    assert not read_answer(said)


def test_an_open_question_has_no_canonical_answers() -> None:
    assert not read_answer("42", kind="open")


def test_a_closed_question_is_read_to_the_end_of_the_reply() -> None:
    long = (
        "We count the eggs. " * 20
        + "She sells 9 eggs at $2 each, so she makes 9 * 2 = $18 per day."
    )
    assert same_answer(long, "18")


@pytest.mark.parametrize(
    "said",
    [
        "I don't know.",
        "I do not know the answer",
        "I cannot help with that.",
        "I'm unable to answer this.",
        "As an AI language model, I cannot say.",
        "I have no idea",
        "unknown",
        "Sorry, I can't answer that.",
        "I'm not sure.",
    ],
)
def test_refusals_are_recognised(said: str) -> None:
    assert is_refusal(said)


@pytest.mark.parametrize(
    "said",
    [
        "42",
        "",
        "I can help: it is 42",
        "I am not sure, but the answer is 42",
        "I can't believe it: 42",
        "Nobody can know the future, yet some signs are clear.",
    ],
)
def test_answers_are_no_refusals(said: str) -> None:
    assert not is_refusal(said)


@pytest.mark.parametrize(
    "said",
    [
        "(" * 20000,
        "[{" * 10000,
        "\\boxed{" * 5000,
        "answer is " * 4000,
        "\\frac" * 5000,
        "9" * 20000,
        '{"a":' * 5000,
        "='" * 9000,
        "*" * 20000,
        "-" * 20000,
        "1e99 " * 5000,
        "or x10^354",
        "2^(2^(2^99))",
    ],
)
def test_hostile_text_is_read_in_bounded_time(said: str) -> None:
    start = time.process_time()
    read_answer(said, kind="closed")
    assert time.process_time() - start < 2.0


@pytest.mark.parametrize("scrap", ["`", "{", '"}', "``", "}\n```"])
def test_what_is_left_of_a_fence_or_of_json_is_no_answer(scrap: str) -> None:
    assert not read_value(scrap)


def test_a_sign_alone_can_be_an_answer() -> None:
    assert read_answer("The answer is <", kind="closed").form == "<"


@pytest.mark.parametrize("marks", [".", "--", "   $", "!", "?!", "..."])
@pytest.mark.parametrize("quote", ["'", '"', "`"])
def test_marks_that_json_holds_in_quotation_marks_are_a_text(marks: str, quote: str) -> None:
    text = read_answer(json.dumps({"reasoning": "As is.", "answer": f"{quote}{marks}{quote}"}))
    assert text.type == "text"
    assert str(text.form).strip("'\"` ") == marks.strip()
    assert not read_answer(json.dumps({"answer": marks.strip(" $!")}))  # a place left blank


def test_reading_twice_reads_the_same_and_long_replies_too() -> None:
    for text in ("The answer is 42.", "So it goes on and on. " * 500 + "The answer is 42."):
        assert [read_answer(text).form for _ in range(3)] == ["42"] * 3
