"""`mom batch`: progress and report on stderr, the answers in their file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from mom_council.tests.batch.killing import questions
from mom_council.tests.cli.conftest import Mom
from mom_council.tests.graph.desk import seat
from mom_council.tests.stage import Stage

Council = Callable[..., str]
NO_VOTE = {"deliberation": {"method": "none"}}


def test_a_file_of_questions_becomes_a_file_of_answers(
    mom: Mom, stage: Stage, council_file: Council, tmp_path: Path
) -> None:
    seat(stage)
    source, output = questions(tmp_path / "in.jsonl", 3), tmp_path / "out.csv"
    called = mom("batch", str(source), str(output), "-c", council_file(**NO_VOTE))
    assert (called.code, called.out) == (0, "")
    assert "3 of 3 rows" in called.err.splitlines()[-1]
    assert "12 calls" in called.err
    assert output.read_text("utf-8").count("What the council says.") == 3


def test_a_spent_budget_ends_with_its_own_code_and_the_same_command_goes_on(
    mom: Mom, stage: Stage, council_file: Council, tmp_path: Path
) -> None:
    seat(stage)
    source, output = questions(tmp_path / "in.jsonl", 3), tmp_path / "out.jsonl"
    command = ["batch", str(source), str(output), "-c", council_file(**NO_VOTE)]
    stopped = mom(*command, "--calls", "4", "--json")
    assert stopped.code == 5
    told = stopped.object
    assert (told["done"], told["rows"], told["stopped"]) == (1, 3, "4 calls")
    assert "2 rows to go" in mom(*command, "--calls", "4").err
    assert mom(*command).code == 0
    assert len(stage.calls) == 12
    mom(*command).refuses(1, "is there already")


def test_a_batch_ends_when_its_seconds_are_over_and_goes_on(
    mom: Mom, stage: Stage, council_file: Council, tmp_path: Path
) -> None:
    seat(stage, latency=0.3)
    source, output = questions(tmp_path / "in.jsonl", 40), tmp_path / "out.jsonl"
    command = ["batch", str(source), str(output), "-c", council_file(**NO_VOTE), "--json"]
    stopped = mom(*command, "--seconds", "3", "--concurrency", "1")
    assert stopped.code == 5
    assert stopped.object["stopped"] == "3 seconds"
    done = stopped.object["done"]
    assert done < 40
    finished = mom(*command, "--concurrency", "8")
    assert (finished.code, finished.object["done"]) == (0, 40)


def test_another_column_and_a_row_without_one(
    mom: Mom, stage: Stage, council_file: Council, tmp_path: Path
) -> None:
    seat(stage)
    source, output = tmp_path / "in.csv", tmp_path / "out.jsonl"
    source.write_text("id,ask\n1,Why?\n2,\n", encoding="utf-8")
    command = ["batch", str(source), str(output), "-c", council_file(**NO_VOTE)]
    called = mom(*command, "--question", "ask")
    assert called.code == 0
    assert "1 row failed; --retry runs failed rows again" in called.err
    rows = [json.loads(line) for line in output.read_text("utf-8").splitlines()]
    assert [bool(row["answer"]) for row in rows] == [True, False]
    assert rows[1]["error"] == "column 'ask' holds no text"


def test_a_column_that_no_row_has_is_refused_before_anybody_is_asked(
    mom: Mom, stage: Stage, council_file: Council, tmp_path: Path
) -> None:
    source, output = tmp_path / "in.csv", tmp_path / "out.jsonl"
    source.write_text("id,ask\n1,Why?\n2,When?\n", encoding="utf-8")
    called = mom("batch", str(source), str(output), "-c", council_file())
    called.refuses(1, "no row has a column 'question'", "'id', 'ask'", "--question")
    assert not stage.calls
    assert not output.exists()


def test_a_missing_file_is_refused_before_anybody_is_asked(
    mom: Mom, stage: Stage, council_file: Council, tmp_path: Path
) -> None:
    called = mom("batch", str(tmp_path / "no.jsonl"), str(tmp_path / "o.csv"), "-c", council_file())
    called.refuses(1, "no.jsonl cannot be read", "No such file")
    assert not stage.calls
