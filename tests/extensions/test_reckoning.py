"""Exact results without a model."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mom_council.extensions.documents import WordIndex
from mom_council.extensions.facts import evaluated, worked_out

TODAY = date(2026, 11, 25)


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("What is 17 + 25?", ["17 + 25 = 42"]),
        ("Is (3+4)*1,000 more than 2^10?", ["(3+4)*1,000 = 7000", "2^10 = 1024"]),
        ("0.1 + 0.2", ["0.1 + 0.2 = 0.3"]),
        ("what's 1/3?", ["1/3 = about 0.333333333333"]),
        ("15% of 80 and 5 percent of 2.5", ["15 % of 80 = 12", "5 % of 2.5 = 0.125"]),
        ("How far is 5 miles in km?", ["5 miles = 8.04672 km"]),
        ("72 °F in celsius", ["72 F = about 22.2222222222 celsius"]),
        ("How many minutes are 3 hours?", ["3 hours = 180 minutes"]),
        ("Is 2026-12-25 a holiday?", ["2026-12-25 is a Friday, 30 days from today"]),
        (
            "From 2024-02-28 to 2024-03-01?",
            [
                "2024-02-28 is a Wednesday, 1001 days before today",
                "2024-03-01 is a Friday, 999 days before today",
                "from 2024-02-28 to 2024-03-01 it is 2 days",
            ],
        ),
        ("What is the best pet?", []),
        ("My number is 555-1234 or v1.2.3, 24/7, in 2020-2025, on 2026-13-45", []),
        ("What is 555-1234?", ["555-1234 = -679"]),
        ("24/7", ["24/7 = about 3.42857142857"]),
        ("1/0 or 9**99999 or 2**100**100", []),
        ("5 apples in oranges, 3 kg in miles", []),
    ],
)
def test_what_can_be_worked_out_is(text: str, lines: list[str]) -> None:
    assert worked_out(text, TODAY) == lines


@given(st.text(alphabet="0123456789+-*/^(). ,%kmof-", max_size=80))
def test_no_text_breaks_it(text: str) -> None:
    assert len(worked_out(text, TODAY)) <= 10


@given(st.integers(0, 10**6), st.integers(1, 10**6), st.sampled_from("+-*"))
def test_sums_are_what_python_says(a: int, b: int, sign: str) -> None:
    assert evaluated(f"{a} {sign} {b}") == eval(f"{a} {sign} {b}")


@pytest.mark.parametrize(
    "text", ["__import__('os')", "(1).real", "'a' * 3", "1 if 2 else 3", "[1]"]
)
def test_only_sums_are_evaluated(text: str) -> None:
    assert evaluated(text) is None


def test_words_find_the_passage_that_fits() -> None:
    texts = ["The cat sleeps all day.", "Dogs like walks.", "Fish swim.", "Cats and dogs quarrel."]
    lexicon = WordIndex(texts)
    assert lexicon.best("Do dogs like to walk with you?", 2) == [1, 3]
    assert lexicon.best("Why do they quarrel?", 4) == [3]
    assert lexicon.best("What is it?", 4) == []
    assert WordIndex([]).best("cat", 3) == []
    assert WordIndex(["Das Café ist zu."]).best("cafe", 1) == [0]
