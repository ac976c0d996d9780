"""The table of docs/reading.md is true."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import mom_council
from mom_council import Candidate, read_answer, read_ballot, same_answer

PAGE = (Path(mom_council.__file__).parent / "docs" / "reading.md").read_text("utf-8")
ROW = re.compile(r"^\| `(.*)` \| ([=≠]) \| `(.*)` \|$", re.MULTILINE)


@pytest.mark.parametrize(("one", "sign", "other"), ROW.findall(PAGE))
def test_the_examples_hold(one: str, sign: str, other: str) -> None:
    one, other = one.replace("\\|", "|"), other.replace("\\|", "|")
    assert same_answer(one, other) == (sign == "=")
    assert same_answer(other, one) == (sign == "=")


def test_the_table_is_not_lost() -> None:
    assert len(ROW.findall(PAGE)) > 50


def test_the_page_names_every_type() -> None:
    from mom_council.voting.reading.answer import AnswerType

    listed = PAGE.split("Types:", 1)[1].split("\n\n", 1)[0]
    assert all(name in listed for name in AnswerType.__args__)  # type: ignore[attr-defined]


def test_the_public_functions_work_alone() -> None:
    assert read_answer("So it leaves at 2:30 PM.\nAnswer: 2:30 PM").type == "time"
    shown = [Candidate("A", "Ann", "Paris"), Candidate("B", "Bob", "Rome")]
    assert read_ballot('{"vote": "B"}', shown, "plurality").choice == "Bob"
