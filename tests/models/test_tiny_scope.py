"""What the shipped models were made for, and in which form they are asked."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from mom_council.benchmarks.tiny.questions import vocabulary
from mom_council.models.providers.embedded import is_shipped
from mom_council.models.weights import SHIPPED
from mom_council.prompts import ask_for_kind, is_made_for


def test_the_words_are_those_of_the_corpus() -> None:
    assert json.loads((SHIPPED / "words.json").read_text("utf-8")) == vocabulary()


@pytest.mark.parametrize(
    "question",
    [
        "What is 17 + 25?",
        "9-4",
        "Take 3 away from 10.",
        "Which is larger, 17 or 71?",
        "Is a robin alive?",
        "Do wolves have fur?",
        "what\u2019s an oak",
        "Hello!",
    ],
)
def test_what_they_were_trained_on_is_theirs(question: str) -> None:
    assert is_made_for(question)


@pytest.mark.parametrize(
    "question",
    [
        "Is a goldfish an animal?",
        "What kind of thing is a crab?",
        "1+2+3",
        "What is 250 + 250?",
        "12*13",
        "6 minus 33 =",
        "Subtract 33 from 6.",
        "Which is larger, -5 or 3?",
        "Which is smaller, 0.3 or 0.25?",
        "What is 5?",
        "Was ist ein Hund?",
        "Is a robin_2 alive?",
        "\u4f60\u597d",
    ],
)
def test_other_words_and_numbers_are_not(question: str) -> None:
    assert not is_made_for(question)


def test_whether_a_thing_is_of_a_kind_is_asked_as_its_kind() -> None:
    assert ask_for_kind("Is a shark a fish?") == ("What kind of thing is a shark?", "fish")
    assert ask_for_kind("are wolves  mammals") == ("What kind of thing are wolves?", "mammal")
    assert ask_for_kind("What is an oak?") == ("What kind of thing is an oak?", "")
    for other in ("Is a shark an animal?", "What is 3 + 4?", "Is a shark alive?", "Hello!"):
        assert ask_for_kind(other) == (other, "")


def test_weights_elsewhere_are_not_shipped(tmp_path: Path) -> None:
    assert is_shipped("tiny-1")
    other = shutil.copy(SHIPPED / "tiny-1.gguf", tmp_path)
    assert not is_shipped(str(other))
