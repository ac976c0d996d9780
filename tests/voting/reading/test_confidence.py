"""Reading how sure a reply says it is: what is stated with a scale, and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mom_council.voting.reading import read_answer, stated_confidence


@pytest.mark.parametrize(
    ("text", "sure"),
    [
        ("Paris.\nConfidence: 80%", 0.8),
        ("Paris.\n**Confidence:** 80 %", 0.8),
        ("My confidence level is about 95 percent.", 0.95),
        ("I am 80 % sure that it is Paris.", 0.8),
        ("I'm 99.5% certain.", 0.995),
        ("With 70% confidence, it is Paris.", 0.7),
        ("Confidence: 0.8", 0.8),
        ("Confidence: 0,85", 0.85),
        ("Confidence: 8/10", 0.8),
        ("Confidence: 9 out of 10", 0.9),
        ("Confidence: 80", 0.8),
        ("Confidence: 0", 0.0),
        ('{"answer": "Paris", "confidence": 0.9}', 0.9),
        ('```json\n{"answer": 3, "Confidence": "75%"}\n```', 0.75),
        ('{"confidence": 1.0}', 1.0),
        ("Confidence: 90%. On reflection, confidence: 60%", 0.6),
        ("<think>Confidence: 10%</think>Confidence: 90%", 0.9),
    ],
)
def test_a_confidence_is_read_in_the_forms_that_models_use(text: str, sure: float) -> None:
    assert stated_confidence(text) == pytest.approx(sure)


@pytest.mark.parametrize(
    "text",
    [
        "Paris.",
        "Confidence: high",
        "Confidence: 8",
        "Confidence: 1",
        "Confidence: 120%",
        "Confidence: 70-80%",
        "I am 70-80% sure.",
        "I am not 100% sure.",
        "I can't be 100 % certain.",
        "I am less than 50 % sure.",
        "80% of the budget is spent.",
        "The confidence interval is wide: 95 % of the samples.",
        '{"confidence": true}',
        '{"confidence": "very"}',
        '{"confidence": -0.5}',
        "",
    ],
)
def test_a_confidence_that_is_not_stated_is_not_made_up(text: str) -> None:
    assert stated_confidence(text) is None


@given(st.text(st.sampled_from("confidence sure0123456789%./-:{}\"'\n"), max_size=200))
def test_whatever_stands_there_a_confidence_is_a_share_or_none(text: str) -> None:
    sure = stated_confidence(text)
    assert sure is None or 0 <= sure <= 1


@pytest.mark.parametrize("line", ["Confidence: 80%", "**Confidence:** 80 %", "Confidence: 0.8"])
def test_the_line_that_says_how_sure_it_is_holds_no_answer(line: str) -> None:
    assert read_answer(f"It is 42.\n{line}", kind="closed").form == "42"
    assert read_answer(f"{line}\nAnswer: 42").form == "42"
    assert read_answer(f"42\n\n{line}").form == "42"
