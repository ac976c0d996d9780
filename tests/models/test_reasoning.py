"""Thoughts and words come apart, however the reply is cut into pieces."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mom_council.models.stream_parser import ThoughtSplitter

REPLIES = [
    # reply, text, reasoning
    ("42", "42", ""),
    ("", "", ""),
    ("<think>six sevens</think>42", "42", "six sevens"),
    ("\n <think>\nsix\n</think>\n\n42", "42", "\nsix\n"),
    ("<thinking>six</thinking> 42", "42", "six"),
    ("<think></think>42", "42", ""),
    ("<think>cut off", "", "cut off"),
    ("<think>a < b </thin k> </think>c", "c", "a < b </thin k> "),
    ("six sevens</think>\n42", "42", "six sevens"),
    ("a < b and b > a", "a < b and b > a", ""),
    ("ends in </thin", "ends in </thin", ""),
    ("<thin", "<thin", ""),
    ("  spaced", "  spaced", ""),
    ("The tag `</think>` ends it.", "The tag `</think>` ends it.", ""),
    ("Use <think> first.", "Use <think> first.", ""),
    ("<think>a</think>Say <think>b</think>", "Say <think>b</think>", "a"),
    ("<think>one</think>two</think>three", "two</think>three", "one"),
    ("<thinker>42", "<thinker>42", ""),
]


def read(pieces: list[str]) -> tuple[ThoughtSplitter, list[tuple[str, bool]]]:
    told: list[tuple[str, bool]] = []
    thoughts = ThoughtSplitter(lambda piece, thought: told.append((piece, thought)))
    for piece in pieces:
        thoughts.feed(piece)
    thoughts.close()
    return thoughts, told


@pytest.mark.parametrize(("reply", "text", "reasoning"), REPLIES)
def test_a_reply_is_split_in_one_piece_or_letter_by_letter(reply, text, reasoning):
    for pieces in ([reply], list(reply)):
        thoughts, _ = read(pieces)
        assert (thoughts.text, thoughts.reasoning) == (text, reasoning)


@given(st.sampled_from(REPLIES), st.data())
def test_where_it_is_cut_makes_no_difference(case, data):
    reply, text, reasoning = case
    cuts = sorted(data.draw(st.lists(st.integers(0, len(reply)), max_size=6)))
    bounds = [0, *cuts, len(reply)]
    thoughts, _ = read([reply[a:b] for a, b in pairwise(bounds)])
    assert (thoughts.text, thoughts.reasoning) == (text, reasoning)


@given(st.lists(st.text(alphabet="<>/think a`\n", max_size=6), max_size=20))
def test_nothing_is_lost_but_tags_and_blanks_and_all_is_told(pieces):
    thoughts, told = read(pieces)
    assert "".join(piece for piece, _ in told) in (
        thoughts.text,
        thoughts.reasoning + thoughts.text,
    )
    kept = "".join((thoughts.reasoning + thoughts.text).split())
    whole = "".join("".join(pieces).split())
    assert len(whole) - len(kept) in (0, len("</think>"), len("<think>"), len("<think></think>"))


def test_thoughts_of_the_providers_own_come_first():
    thoughts, _ = read([])
    thoughts = ThoughtSplitter()
    thoughts.add_thought("six ")
    thoughts.add_thought("sevens")
    thoughts.feed("42")
    thoughts.close()
    assert (thoughts.text, thoughts.reasoning) == ("42", "six sevens")


def test_text_is_told_at_once_not_when_the_reply_is_over():
    told = []
    thoughts = ThoughtSplitter(lambda piece, _: told.append(piece))
    thoughts.feed("one ")
    assert told == ["one "]


@pytest.mark.parametrize(
    ("pieces", "text"),
    [
        (["a \ud83d", "\ude00 b"], "a \U0001f600 b"),
        (["\ud83d", "", "\ude00"], "\U0001f600"),
        (["a \ud83d b"], "a \ufffd b"),
        (["a \ude00", "\ud83d"], "a \ufffd\ufffd"),
    ],
)
def test_half_a_letter_is_joined_with_its_other_half(pieces: list[str], text: str) -> None:
    split, told = read(pieces)
    assert split.text == text
    assert "".join(piece for piece, _ in told) == text
