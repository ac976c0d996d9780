"""Somebody's own questions, in the forms in which people have them."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from mom_council.errors import StorageError
from mom_council.evals.cases import read_cases
from mom_council.evals.logs import read_logs


def written(path: Path, *rows: Any) -> Path:
    path.write_text("\n".join(json.dumps(row) for row in rows) + "\n")
    return path


CHAT = [
    {"role": "system", "content": "You are brief."},
    {"role": "user", "content": "What is 17 + 25?"},
    {"role": "assistant", "content": "42"},
    {"role": "user", "content": "And half of it?"},
]


@pytest.mark.parametrize(
    "row",
    [
        {"question": "What is 17 + 25?"},
        {"Prompt": "What is 17 + 25?", "response": "41"},
        {"query": "What is 17 + 25?", "completion": "41"},
        {"messages": CHAT},
        {"conversations": [{"from": "human", "value": "What is 17 + 25?"}]},
        {"request": {"model": "x", "messages": CHAT}, "response": {"id": "1"}},
        {"body": {"input": [{"role": "user", "content": CHAT[1]["content"]}]}},
        {"input": [{"role": "user", "content": [{"type": "text", "text": "What is 17 + 25?"}]}]},
        {"inputs": {"question": "What is 17 + 25?"}, "outputs": {"answer": "41"}},
        "What is 17 + 25?",
    ],
)
def test_a_question_is_found_wherever_it_stands(row: Any, tmp_path: Path) -> None:
    (case,) = read_logs(written(tmp_path / "logs.jsonl", row)).cases
    assert case.question == "What is 17 + 25?"
    assert case.gold is None


@pytest.mark.parametrize(
    ("row", "gold"),
    [
        ({"answer": 42}, "42"),
        ({"ideal": ["42", "forty-two"]}, "42"),
        ({"Ground Truth": " 42 "}, "42"),
        ({"answer": "17 + 25 = 42\n#### 42"}, "42"),
        ({"answer": 1, "choices": ["41", "42"]}, "B"),
        ({"answerKey": "B", "choices": {"text": ["41", "42"], "label": ["A", "B"]}}, "B"),
        ({"A": "41", "B": "42", "label": "B"}, "B"),
        ({"expected": True}, "yes"),
        ({"answer": ""}, None),
        ({"answer": "41", "stop_reason": "decided", "degraded": False}, None),
    ],
)
def test_a_right_answer_is_found_and_what_was_answered_once_is_none(
    row: dict[str, Any], gold: str | None, tmp_path: Path
) -> None:
    path = written(tmp_path / "logs.jsonl", {"question": "What is 17 + 25?", **row})
    (case,) = read_logs(path).cases
    assert case.gold == gold
    if "choices" in row or "A" in row:
        assert case.options == ("41", "42")


def test_csv_tsv_and_lists_are_read_and_columns_can_be_named(tmp_path: Path) -> None:
    csv = tmp_path / "logs.csv"
    csv.write_text('\ufeffTicket;Right;topic\n"What is\n1 + 1?";2;sums\nWhat is 2 + 2?;4;sums\n')
    read = read_logs(csv, question="Ticket", gold="Right")
    assert [(case.question, case.gold, case.kind) for case in read.cases] == [
        ("What is\n1 + 1?", "2", "sums"),
        ("What is 2 + 2?", "4", "sums"),
    ]
    packed = tmp_path / "logs.tsv.gz"
    packed.write_bytes(gzip.compress(b"question\tanswer\nWhat is 1 + 1?\t2\n"))
    assert read_logs(packed).cases[0].gold == "2"
    assert read_logs(packed, gold="none").cases[0].gold is None
    listed = tmp_path / "logs.json"
    listed.write_text(json.dumps([{"question": "What is 1 + 1?"}, {"question": "And 2 + 2?"}]))
    assert len(read_logs(listed).cases) == 2


def test_what_is_left_out_is_said(tmp_path: Path) -> None:
    path = tmp_path / "logs.jsonl"
    long = " ".join(["word"] * 60)
    rows = [{"question": "What is 1 + 1?"}, {"question": "Explain it.", "answer": long}]
    written(path, *rows, rows[0], {"nothing": 1})
    with path.open("a") as file:
        file.write("{broken\n")
    read = read_logs(path)
    assert [case.gold for case in read.cases] == [None, None]
    said = " ".join(read.notes)
    assert "Left out: 1 row that cannot be read." in said
    assert "Left out: 1 row without a question." in said
    assert "Left out: 1 row whose question stands there twice." in said
    assert "1 right answers are long texts" in said
    some = read_logs(path, limit=1)
    assert len(some.cases) == 1
    assert some == read_logs(path, limit=1)


def test_a_file_without_questions_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="has no question"):
        read_logs(written(tmp_path / "logs.jsonl", {"nothing": 1}))
    with pytest.raises(StorageError, match="cannot be read"):
        read_logs(tmp_path / "nowhere.jsonl")


def test_raw_rows_of_published_sets_are_read_as_an_evaluation_reads_them(tmp_path: Path) -> None:
    rows = [
        {"problem": "What is 17 + 25?", "solution": "So it is $\\boxed{42}$.", "level": "1"},
        {"task_id": "t/1", "prompt": "def f():\n", "test": "def check(c): ...", "entry_point": "f"},
        {"task_id": 7, "text": "Write f.", "test_list": ["assert f() == 1"], "code": "no"},
        {"question": "Which?", "options": ["a", "b"], "answer": "B", "answer_index": 1},
    ]
    path = written(tmp_path / "logs.jsonl", *rows)
    cases, same = read_logs(path).cases, read_cases(path)
    for case, other in zip(cases, same, strict=True):
        for field in ("question", "gold", "options", "check", "stub"):
            assert getattr(case, field) == getattr(other, field), field
    assert cases[1].check
    assert cases[2].check
    assert read_logs(path, gold="none").cases[0].gold is None
