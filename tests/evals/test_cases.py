"""The questions of an evaluation."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from mom_council.errors import StorageError
from mom_council.evals.cases import read_cases
from mom_council.tests.evals.recorded import kept, sums


def data(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_a_case_is_a_line_and_may_be_named_otherwise(tmp_path: Path):
    one, other = read_cases(
        data(
            tmp_path / "data.jsonl",
            '{"question": "What is 17 + 25?", "gold": 42}',
            "",
            '{"text": "Which is it?", "answer": "B", "choices": ["no", "yes"], "kind": "yes-no"}',
        )
    )
    assert (one.prompt, one.gold, one.kind) == ("What is 17 + 25?", 42, "general")
    assert (other.prompt, other.gold, other.kind) == ("Which is it?\nA. no\nB. yes", "B", "yes-no")
    assert one.key != other.key


def test_a_recording_is_data_by_fold_and_number(tmp_path: Path):
    path = kept(tmp_path / "sums.jsonl.gz", sums(10))
    assert [case.id for case in read_cases(path, fold="cal", limit=2)] == ["sum-1", "sum-3"]


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (['{"question": "What?"}', "{"], "line 2"),
        (['{"question": ""}'], "line 1: question"),
        (['{"gold": "42"}'], "line 1: question"),
        (['{"question": "What?"}', '{"question": "What?"}'], "stands twice"),
        ([""], "holds no question"),
    ],
)
def test_a_file_that_is_no_data_is_refused_by_its_line(tmp_path: Path, lines: list[str], says: str):
    with pytest.raises(StorageError, match=says):
        read_cases(data(tmp_path / "data.jsonl", *lines))


def test_a_missing_or_broken_file_is_named(tmp_path: Path):
    with pytest.raises(StorageError, match=r"nowhere\.jsonl"):
        read_cases(tmp_path / "nowhere.jsonl")
    torn = tmp_path / "torn.jsonl.gz"
    torn.write_bytes(gzip.compress(b'{"question": "What?"}')[:-8])
    with pytest.raises(StorageError, match="cannot be read"):
        read_cases(torn)
