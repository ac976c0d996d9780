"""What makes an answer right."""

from __future__ import annotations

import pytest

from mom_council.evals.cases import Case
from mom_council.evals.scorers import SCORERS, code_in, suits


def case(gold: object = None, **more: object) -> Case:
    return Case(question="What is it?", gold=gold, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("one", "scorer"),
    [
        (case("Paris"), "exact"),
        (case("42"), "numeric"),
        (case(42), "numeric"),
        (case(r"\frac{1}{2}"), "numeric"),
        (case("B", options=("red", "blue")), "choice"),
        (case(check="assert f(1) == 2"), "code"),
    ],
)
def test_a_case_says_by_what_it_has_how_it_is_scored(one: Case, scorer: str):
    assert suits(one) == scorer


@pytest.mark.parametrize(
    ("scorer", "gold", "text", "ok"),
    [
        ("exact", "Paris", "It must be Paris.\n\nAnswer: paris", True),
        ("exact", "Paris", "Answer: Lyon", False),
        ("exact", "[1, 2]", '{"reasoning": "f pops", "answer": "[1, 2]"}', True),
        ("exact", "Paris", "I do not know.", False),
        ("numeric", "42", "17 + 25 = **42**", True),
        ("numeric", "0.5", r"So it is $\boxed{\frac{1}{2}}$.", True),
        ("numeric", "1000", "Answer: 1,000.00", True),
        ("numeric", "0.333333333", "Answer: 1/3", True),
        ("numeric", "42", "Answer: 42.1", False),
        ("numeric", "42", "Answer: many", False),
        ("numeric", "0", "Answer: 0.001", False),
    ],
)
def test_final_answers_are_compared_in_one_form(scorer: str, gold: str, text: str, ok: bool):
    assert SCORERS[scorer](text, case(gold)).ok is ok


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("The answer is (B).", "B"),
        ("Answer: blue", "B"),
        ("Answer: B. blue", "B"),
        ("I weigh both.\nB) blue", "B"),
        ("Answer: A", "A"),
        ("Answer: D", None),
        ("I cannot tell.", None),
    ],
)
def test_a_choice_is_made_by_its_letter_or_its_words(text: str, answer: str | None):
    one = case("blue", options=("red", "blue", "green"))
    mark = SCORERS["choice"](text, one)
    assert mark.answer == answer
    assert mark.ok is (answer == "B")


def test_code_is_right_when_its_check_runs():
    one = case(check="assert double(4) == 8")
    good = "Here it is:\n```python\ndef double(x):\n    return 2 * x\n```\nIt doubles."
    assert SCORERS["code"](good, one).ok
    assert SCORERS["code"](good.replace("2 *", "3 *"), one) == (False, None, "AssertionError:")
    assert not SCORERS["code"]("I would multiply by two.", one).ok
    assert not SCORERS["code"]("```python\nraise SystemExit(0)\n```", one).ok


def test_code_stands_in_fences_or_is_all_there_is():
    assert code_in("```py\nx = 1\n```\nand\n```\ny = 2\n```") == "x = 1\n\ny = 2"
    assert code_in("```bash\npip install x\n```\n") is None
    assert code_in("def f():\n    return 1") == "def f():\n    return 1"
    assert code_in("<think>x = 2</think>```python\nx = 1") == "x = 1"


def test_short_words_are_an_answer_too_and_a_refusal_only_where_it_is_right():
    score = SCORERS["exact"]
    asked = case("I do not know that.")
    assert score("I do not  know that", asked) == (True, "i do not know that", "")
    assert score("I do not know.", case("Paris")).answer is None
    assert score("Either of them would do, so to speak.", case("Paris")).answer is not None
    assert score("word " * 100, case("Paris")).answer is None
