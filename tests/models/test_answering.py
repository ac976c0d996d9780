"""The answer in a streamed JSON reply, however it is cut."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mom_council.models.stream_parser import AnswerReader


def heard(pieces: list[str]) -> str:
    told: list[str] = []
    answering = AnswerReader(lambda piece, _: told.append(piece))
    for piece in pieces:
        answering(piece, False)
    return "".join(told)


TEXT = st.text(st.characters(exclude_categories=["Cs"]))


@given(TEXT, st.integers(1, 7), st.booleans(), st.sampled_from(["", "```json\n", "  \n"]))
def test_it_is_heard_whole(answer: str, size: int, ascii_only: bool, before: str) -> None:
    written = before + json.dumps({"answer": answer}, ensure_ascii=ascii_only) + "\n```"
    pieces = [written[at : at + size] for at in range(0, len(written), size)]
    assert heard(pieces) == answer


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("Plain prose, {really}.", "Plain prose, {really}."),
        ('{"tool": "add", "arguments": {"answer": "no"}}', ""),
        ('{"answer": "cut \\u00', "cut "),
        ('{"answer": "a"} {"answer": "b"}', "a"),
        ("", ""),
    ],
)
@pytest.mark.parametrize("size", [1, 3, 100])
def test_prose_passes_and_calls_do_not(written: str, said: str, size: int) -> None:
    assert heard([written[at : at + size] for at in range(0, len(written), size)]) == said
