"""One odd question in a file of many costs that question at most, whatever reads the file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from mom_council.councils.recording import load_recording
from mom_council.tests.cli.conftest import Mom
from mom_council.tests.cli.test_pays import answering, seat_sums
from mom_council.tests.stage import Stage

ODD = {
    "half a character": "What is 5 + 20? \ud800",
    "a zero byte": "What is 5 + 20? \x00\x1b[2J",
    "one long word": "What is 5 + 20? " + "x" * 60_000,
    "turned writing": "What is 5 + 20? \u202e\u200f\u2066",
    "many braces": "What is 5 + 20? " + "{{[(" * 500 + "{question}%s",
    "a lone n't": "n't What is 5 + 20? n't",
}
NUMBER = 6


@pytest.fixture(params=ODD.values(), ids=ODD.keys())
def data(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Sums, of which the third is odd."""
    monkeypatch.chdir(tmp_path)
    rows = [{"question": f"What is {at} + 20?", "gold": str(at + 20)} for at in range(NUMBER)]
    rows[2] = {"question": request.param, "gold": "25"}
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)) + "\n")
    return path


def test_pays_judges_the_others(
    mom: Mom, stage: Stage, council_file: Callable[..., str], data: Path
) -> None:
    seat_sums(stage, lambda name, right: name == "ada")
    done = mom("pays", str(data), "-c", council_file(**answering()), "--json", "--samples", "2")
    assert done.code == 0, done.err
    assert done.object["verdict"]["questions"] >= NUMBER - 1


def test_eval_scores_the_others(
    mom: Mom, stage: Stage, council_file: Callable[..., str], data: Path
) -> None:
    seat_sums(stage, lambda name, right: name == "ada")
    done = mom("eval", council_file(**answering()), str(data), "--json", "--samples", "2")
    assert done.code == 0, done.err
    assert done.object["questions"] >= NUMBER - 1


def test_record_keeps_the_others_and_tune_reads_them(
    mom: Mom, stage: Stage, council_file: Callable[..., str], data: Path, tmp_path: Path
) -> None:
    seat_sums(stage, lambda name, right: name == "ada")
    out, council = tmp_path / "answers.jsonl", council_file(**answering())
    done = mom("record", council, str(out), "--data", str(data))
    assert done.code == 0, done.err
    assert len(load_recording(out)) >= NUMBER - 1
    tuned = mom("tune", str(out), "-c", council)
    assert "Traceback" not in tuned.err, tuned.err


def test_batch_answers_the_others(
    mom: Mom, stage: Stage, council_file: Callable[..., str], data: Path, tmp_path: Path
) -> None:
    seat_sums(stage, lambda name, right: name == "ada")
    out = tmp_path / "out.jsonl"
    mom("batch", str(data), str(out), "-c", council_file(**answering()))
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert sum(bool(row.get("answer")) for row in rows) >= NUMBER - 1
