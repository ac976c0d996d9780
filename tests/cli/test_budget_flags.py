"""`--calls`, `--tokens`, `--usd`, `--seconds` of `mom eval`, `probe`, `record`, `keeps` hold."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from mom_council.cli import evals, models
from mom_council.councils.loader import to_yaml
from mom_council.councils.recording import load_recording
from mom_council.errors import BudgetError, MixtureError
from mom_council.evals.sheet import SHIPPED
from mom_council.runs.words import counted
from mom_council.tests.graph.desk import desk, seat
from mom_council.tests.stage import Fault, Stage

app = typer.Typer(rich_markup_mode=None)
app.command("eval")(evals.evaluate)
app.command("probe")(models.probe)
app.command("record")(evals.record)
app.command("keeps")(evals.fact_retention)


def mom(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(one) for one in arguments], catch_exceptions=False)


@pytest.fixture
def council(stage: Stage, tmp_path: Path) -> Path:
    seat(stage, dict.fromkeys(("Ada", "Boris", "Clara"), "Answer: 42"))
    path = tmp_path / "desk.yaml"
    path.write_text(to_yaml(desk(stage, deliberation={"method": "answers"})))
    return path


@pytest.mark.parametrize(("calls", "abreast"), [(9, 1), (17, 2), (30, 4)])
def test_an_evaluation_makes_no_more_calls_and_goes_on_later(
    stage: Stage, council: Path, tmp_path: Path, calls: int, abreast: int
) -> None:
    rows = tmp_path / "rows.jsonl"
    given = ("eval", council, "shipped", "--limit", "12", "--samples", "2", "--out", rows)
    called = mom(*given, "--calls", str(calls), "--concurrency", str(abreast))
    assert called.exit_code == 5
    assert len(stage.calls) <= calls
    assert f"the budget of {calls} calls is spent" in called.stderr
    assert "Stopped by its budget" in called.stdout
    kept = {json.loads(line).get("case") for line in rows.read_text().splitlines()} - {None}
    assert 1 <= len(kept) < 12
    before = len(stage.calls)
    assert mom(*given).exit_code == 0
    assert len(stage.calls) - before <= 4 * (12 - len(kept)) + 2 * 12, "finished ones are kept"


def test_a_budget_for_nothing_ends_in_one_line(stage: Stage, council: Path) -> None:
    with pytest.raises(MixtureError, match="no question is finished"):
        mom("eval", council, "shipped", "--limit", "3", "--calls", "1")
    assert len(stage.calls) <= 1


def test_tokens_are_bounded(stage: Stage, council: Path) -> None:
    called = mom("eval", council, "shipped", "--limit", "20", "--tokens", "20000")
    assert called.exit_code == 5
    assert all("max_tokens" in json.dumps(call.body) for call in stage.calls)


def test_dollars_need_prices(stage: Stage, council: Path) -> None:
    with pytest.raises(MixtureError, match="no price is known"):
        mom("eval", council, "shipped", "--limit", "3", "--usd", "1")
    with pytest.raises(MixtureError, match="no price is known"):
        mom("probe", "-c", council, "ada", "--usd", "1")
    assert not stage.calls


def test_seconds_end_an_evaluation(stage: Stage, council: Path) -> None:
    for name in ("ada", "boris", "clara", "pen"):
        stage.scripts[name].latency = 0.3
    given = ("eval", council, "shipped", "--limit", "200", "--samples", "0", "--seconds", "4")
    try:
        called = mom(*given)
    except BudgetError:
        return  # on a busy machine not even one question is finished
    assert called.exit_code == 5
    assert "the budget of 4 seconds is spent" in called.stderr


def test_a_probe_makes_no_more_calls(stage: Stage, council: Path) -> None:
    called = mom("probe", "-c", council, "ada", "boris", "--calls", "7", "--no-keep", "--json")
    assert called.exit_code == 5
    assert len(stage.calls) == 7
    report: Any = json.loads(called.stdout)
    assert report["complete"] is False
    assert "leaves no further call" in called.stderr


def _answers(path: Path) -> dict[str, set[str]]:
    return {one.id: set(one.models) for one in load_recording(path)}


@pytest.mark.parametrize(("calls", "abreast"), [(1, 1), (7, 1), (8, 2), (17, 4)])
def test_a_recording_makes_no_more_calls_and_no_call_twice(
    stage: Stage, council: Path, tmp_path: Path, calls: int, abreast: int
) -> None:
    path = tmp_path / "recording.jsonl"
    given = ("record", council, path, "--data", SHIPPED, "--limit", "6")
    called = mom(*given, "--calls", str(calls), "--concurrency", str(abreast))
    assert called.exit_code == (5 if calls < 18 else 0)
    assert f"the budget of {calls} calls is spent" in called.stderr
    assert len(stage.calls) == calls
    kept = _answers(path)
    assert sum(map(len, kept.values())) == calls, "every answer that was paid is kept"
    assert f"{counted(len(kept), 'question')} in " in called.stdout
    assert mom(*given).exit_code == 0
    assert len(stage.calls) == 18, "it goes on with the members that have not answered"
    assert [*_answers(path).values()] == [{"Ada", "Boris", "Clara"}] * 6


def test_tokens_of_a_recording_are_bounded(stage: Stage, council: Path, tmp_path: Path) -> None:
    given = ("--data", SHIPPED, "--limit", "40", "--tokens", "9000")
    called = mom("record", council, tmp_path / "recording.jsonl", *given)
    assert called.exit_code == 5
    assert stage.calls
    assert all("max_tokens" in json.dumps(call.body) for call in stage.calls)


def test_seconds_end_a_recording(stage: Stage, council: Path, tmp_path: Path) -> None:
    for name in ("ada", "boris", "clara"):
        stage.scripts[name].always = Fault.hang()
    given = ("--data", SHIPPED, "--limit", "40", "--seconds", "0.5")
    with pytest.raises(BudgetError, match="no question is finished"):
        mom("record", council, tmp_path / "recording.jsonl", *given)
    assert len(stage.calls) <= 4 * 3, "what came after the end was not asked"


@pytest.mark.parametrize("calls", [1, 5, 11])
def test_keeps_makes_no_more_calls(stage: Stage, council: Path, calls: int) -> None:
    called = mom("keeps", council, "--number", "12", "--calls", str(calls), "--json")
    assert called.exit_code == 5
    assert len(stage.calls) == calls, "planted answers are no calls"
    assert f"the budget of {calls} calls is spent" in called.stderr
    assert json.loads(called.stdout)["questions"] == calls


def test_dollars_of_recordings_and_keeps_need_prices(
    stage: Stage, council: Path, tmp_path: Path
) -> None:
    with pytest.raises(MixtureError, match="no price is known"):
        mom("record", council, tmp_path / "r.jsonl", "--data", SHIPPED, "--usd", "1")
    with pytest.raises(MixtureError, match="no price is known"):
        mom("keeps", council, "--usd", "1")
    assert not stage.calls
