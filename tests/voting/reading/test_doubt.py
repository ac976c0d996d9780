"""Which unlike answers a model is asked about."""

from __future__ import annotations

import pytest

from mom_council.voting.reading import may_be_same, read_answer


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Dr. Marie Curie", "Marie Curie"),
        ("Curie", "Marie Curie"),
        ("King Charles", "Charles"),
        ("J. Austen", "Jane Austen"),
        ("UK", "United Kingdom"),
        ("Dostoevsky", "Dostoyevsky"),
        ("1/3", "0.33"),
        ("3.14", "3.1416"),
        ("5 January, as always", "5 January"),
    ],
)
def test_these_may_be_the_same(one: str, other: str) -> None:
    first, second = (read_answer(f"Answer: {text}", kind="closed") for text in (one, other))
    assert first
    assert second
    assert may_be_same(first, second)
    assert may_be_same(second, first)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Paris", "Rome"),
        ("2:30 PM", "2:45 PM"),
        ("42", "41"),
        ("5 m", "5 cm"),
        ("A", "B"),
        ("yes", "no"),
        ("Apollo 11", "Apollo 12"),
        ("January 5", "January 6"),
        ("5:3", "3:5"),
        ("0.5", "0.4"),
        ("J. Austen", "J. Conrad"),
    ],
)
def test_these_are_different_without_a_doubt(one: str, other: str) -> None:
    first, second = (read_answer(f"Answer: {text}", kind="closed") for text in (one, other))
    assert not may_be_same(first, second)
    assert not may_be_same(second, first)


@pytest.mark.parametrize("text", ["$2.4M", "5 January", "x = 8", "Lisbon"])
def test_what_is_the_same_already_leaves_no_doubt(text: str) -> None:
    answer = read_answer(f"Answer: {text}")
    assert not may_be_same(answer, answer)
    assert not may_be_same(answer, read_answer("I don't know."))
