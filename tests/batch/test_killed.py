"""A batch that is killed goes on, and asks nothing again whose answer it has."""

from __future__ import annotations

from pathlib import Path

import pytest

from mom_council.tests.batch.killing import (
    asked_again_though_kept,
    council,
    questions,
    repeated,
    run_and_kill,
)
from mom_council.tests.stage import Stage

ROWS, KILLS, CONCURRENCY = 60, 5, 6


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_killed_five_times_every_row_is_answered_once_and_no_finished_call_repeated(
    stage: Stage, tmp_path: Path
) -> None:
    seated = council(stage, tmp_path / "desk.json", latency=0.05)
    source, output = questions(tmp_path / "in.jsonl", ROWS), tmp_path / "out.jsonl"
    found = run_and_kill(
        stage, seated, source, output, kills=KILLS, seed=7, concurrency=CONCURRENCY
    )
    assert found.kills == KILLS
    assert [row["id"] for row in found.rows] == [f"q{n}" for n in range(ROWS)]
    assert {row["answer"] for row in found.rows} == {"What the council says."}
    assert asked_again_though_kept(stage, found) == []
    # Each row takes three answers, three ballots and the synthesis; what was in the air is more.
    expected = ROWS * 7
    assert expected <= len(stage.calls) <= expected + KILLS * CONCURRENCY * 3
    assert all(count <= KILLS + 1 for count in repeated(stage).values())
    assert not output.with_name("out.jsonl.batch").exists()
