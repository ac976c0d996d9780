"""Going on with what was killed, or had no quorum."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver

from mom_council.deliberation.context import CouncilContext
from mom_council.deliberation.interrupts import paused_error
from mom_council.errors import BudgetError, MixtureError, QuorumError, StorageError
from mom_council.graph.council import compile_council
from mom_council.runs.checkpoints import open_checkpointer
from mom_council.runs.follow import follow, is_open, resume
from mom_council.tests.graph.desk import (
    candidates,
    desk,
    others,
    question,
    said,
    seat,
    speaking,
    voting,
    written,
)
from mom_council.tests.stage import Fault, Stage

CONFIG: Any = {"configurable": {"thread_id": "t"}}
NAMES = ("Ada", "Boris", "Clara")


async def paused(graph: Any, asked: Any) -> MixtureError:
    """What a question waits for that cannot go on by itself."""
    [waiting] = (await graph.ainvoke(asked, CONFIG))["__interrupt__"]
    return paused_error(waiting.value)


async def test_when_all_are_dead_it_names_each_and_can_be_resumed(stage: Stage) -> None:
    seat(stage)
    for name in NAMES:
        stage.scripts[name.lower()].faults = [Fault.status(500)]
    graph = compile_council(desk(stage), InMemorySaver())
    error = await paused(graph, question())
    assert isinstance(error, QuorumError)
    assert (error.answered, error.needed) == (0, 1)
    assert [a.character for a in error.absences] == list(NAMES)
    assert all(repr(name) in str(error) for name in NAMES)
    stage.clear()
    result = await resume(graph, CONFIG)
    assert result["messages"][-1].text == "What the council says."
    assert result["status"].spoke == NAMES
    assert not result["status"].absent
    assert result["status"].rounds == 1
    assert len(speaking(stage.calls)) == 3 + 1


async def test_a_missed_quorum_is_resumed_in_another_sitting(stage: Stage, tmp_path: Path) -> None:
    seat(stage)
    for name in NAMES:
        stage.scripts[name.lower()].faults = [Fault.status(500)]
    threads = str(tmp_path / "threads.db")
    async with open_checkpointer(threads) as saver:
        graph = compile_council(desk(stage), saver)
        assert isinstance(await paused(graph, question()), QuorumError)
    stage.clear()
    async with open_checkpointer(threads) as saver:
        result = await resume(compile_council(desk(stage), saver), CONFIG)
    assert result["status"].spoke == NAMES
    assert len(speaking(stage.calls)) == 3 + 1


async def test_a_run_stopped_before_its_quorum_asks_nobody_again(stage: Stage) -> None:
    seat(stage)
    stage.model("clara", always=Fault.status(500))
    graph = compile_council(desk(stage), InMemorySaver())
    await graph.ainvoke(question(), CONFIG, interrupt_before=["quorum"])
    assert len(stage.calls) == 3
    result = await resume(graph, CONFIG)
    assert [a.character for a in result["status"].absent] == ["Clara"]
    assert sorted(call.model for call in stage.calls) == ["ada", "boris", "clara", "pen"]


async def test_a_resume_that_fails_again_says_so_again(stage: Stage) -> None:
    seat(stage)
    for name in NAMES:
        stage.scripts[name.lower()].faults = [Fault.status(500), Fault.status(500)]
    graph = compile_council(desk(stage), InMemorySaver())
    error = await paused(graph, question())
    assert isinstance(error, QuorumError)
    with pytest.raises(QuorumError):
        await resume(graph, CONFIG)
    assert len(stage.calls) == 6
    assert (await resume(graph, CONFIG))["status"].spoke == NAMES


async def test_only_the_absent_are_asked_again(stage: Stage) -> None:
    seat(stage)
    stage.scripts["clara"].faults = [Fault.status(500)]
    graph = compile_council(desk(stage, deliberation={"minimum": 3}), InMemorySaver())
    error = await paused(graph, question())
    assert isinstance(error, QuorumError)
    assert "2 of 3 answered and 3 must" in str(error)
    assert (error.answered, error.needed) == (2, 3)
    stage.clear()
    await resume(graph, CONFIG)
    assert [call.model for call in speaking(stage.calls)] == ["clara", "pen"]


async def test_a_failed_first_layer_is_asked_again_before_the_last(stage: Stage) -> None:
    seat(stage)
    for name in NAMES:
        stage.scripts[name.lower()].faults = [Fault.status(500)]
    layers = [["Ada"], ["Boris", "Clara"]]
    graph = compile_council(desk(stage, layers=layers), InMemorySaver())
    error = await paused(graph, question())
    assert isinstance(error, QuorumError)
    stage.clear()
    await resume(graph, CONFIG)
    assert stage.calls[0].model == "ada"
    assert others(stage.calls_to("boris")[0].body) == ["The view of You count twice."]


async def test_a_thread_with_nothing_open_says_so(stage: Stage) -> None:
    seat(stage)
    graph = compile_council(desk(stage), InMemorySaver())
    with pytest.raises(StorageError, match="no thread 't'"):
        await resume(graph, CONFIG)
    await graph.ainvoke(question(), CONFIG)
    with pytest.raises(StorageError, match="nothing in it is open"):
        await resume(graph, CONFIG)


async def test_a_budget_that_was_spent_can_be_raised_for_the_resume(stage: Stage) -> None:
    seat(stage)
    graph = compile_council(desk(stage, budget={"calls": 1}), InMemorySaver())
    error = await paused(graph, question())
    assert isinstance(error, BudgetError)
    assert not stage.calls
    result = await resume(graph, CONFIG, context=CouncilContext(max_calls=20))
    assert result["status"].spoke == NAMES


async def test_time_asleep_is_not_charged(stage: Stage) -> None:
    seat(stage)
    graph = compile_council(desk(stage, budget={"calls": 1, "seconds": 30}), InMemorySaver())
    error = await paused(graph, question())
    assert isinstance(error, BudgetError)
    await graph.aupdate_state(CONFIG, {"asked_at": time.time() - 3600}, as_node="annotator")
    result = await resume(graph, CONFIG, context=CouncilContext(max_calls=20))
    assert result["status"].spoke == NAMES
    assert not result["status"].degraded


async def test_a_new_question_after_a_failure_is_a_new_question(stage: Stage) -> None:
    seat(stage)
    for name in NAMES:
        stage.scripts[name.lower()].faults = [Fault.status(500)]
    graph = compile_council(desk(stage), InMemorySaver())
    error = await paused(graph, question("First?"))
    assert isinstance(error, QuorumError)
    result = await graph.ainvoke(question("Second?"), CONFIG)
    assert not result["status"].absent
    assert result["status"].spoke == NAMES
    assert "Second?" in said(stage.calls_to("pen")[0].body)


@pytest.mark.slow
async def test_killed_while_they_speak_no_finished_call_is_made_again(tmp_path: Path) -> None:
    with Stage(log=tmp_path / "log") as stage:
        seat(stage)
        stage.scripts["clara"].latency = 60
        _kill_when(stage, tmp_path, lambda: _kept(tmp_path, "quorum") == 2)
        stage.scripts["clara"].latency = 0
        stage.clear()
        assert _run(stage, tmp_path, "resume") == "What the council says."
        assert [call.model for call in speaking(stage.calls)] == ["clara", "pen"]
        assert len(voting(stage.calls)) == 3


@pytest.mark.slow
async def test_killed_while_they_vote_no_finished_call_is_made_again(tmp_path: Path) -> None:
    with Stage(log=tmp_path / "log") as stage:
        seat(stage)
        views: Any = stage.scripts["clara"].reply

        def slow_to_vote(body: dict[str, Any]) -> Any:
            stage.scripts["clara"].latency = 60 if candidates(body) else 0
            return views(body)

        stage.scripts["clara"].reply = slow_to_vote
        _kill_when(stage, tmp_path, lambda: _kept(tmp_path, "consensus") == 2)
        stage.scripts["clara"].reply = views
        stage.scripts["clara"].latency = 0
        stage.clear()
        assert _run(stage, tmp_path, "resume") == "What the council says."
        assert [call.model for call in stage.calls] == ["clara", "pen"]
        async with open_checkpointer(str(tmp_path / "threads.db")) as saver:
            found = await compile_council(desk(stage), saver).aget_state(CONFIG)
        assert found.values["status"].verdict.ballots == 3


def _command(stage: Stage, folder: Path, what: str) -> list[str]:
    council = folder / "council.json"
    council.write_text(json.dumps(written(stage)))
    module = "mom_council.tests.graph.sitting"
    return [sys.executable, "-m", module, str(council), str(folder / "threads.db"), what]


def _run(stage: Stage, folder: Path, what: str) -> str:
    done = subprocess.run(
        _command(stage, folder, what), capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout.strip()


def _kill_when(stage: Stage, folder: Path, ready: Callable[[], bool]) -> None:
    sitting = subprocess.Popen(_command(stage, folder, "ask"))
    try:
        ends = time.monotonic() + 30
        while not ready():
            assert sitting.poll() is None, "it ended before it could be killed"
            assert time.monotonic() < ends, "it never came so far"
            time.sleep(0.02)
    finally:
        sitting.kill()
        sitting.wait()


def _kept(folder: Path, following: str) -> int:
    """How many calls before a node are finished, and safe on disk."""
    path = folder / "threads.db"
    if not path.exists():
        return 0
    with closing(sqlite3.connect(path)) as threads:
        try:
            rows = threads.execute(
                "SELECT count(*) FROM writes WHERE channel = ?", [f"branch:to:{following}"]
            )
            return int(rows.fetchone()[0])
        except sqlite3.OperationalError:
            return 0


class _Full(InMemorySaver):
    """A store that has no room for what comes after the votes."""

    full = True

    async def aput(self, config: Any, checkpoint: Any, metadata: Any, versions: Any) -> Any:
        if self.full and "consensus" in str(checkpoint["channel_values"]):
            raise StorageError("there is no room left")
        return await super().aput(config, checkpoint, metadata, versions)


async def test_a_step_that_is_finished_and_not_yet_put_together_is_still_open(
    stage: Stage,
) -> None:
    seat(stage)
    saver = _Full()
    graph = compile_council(desk(stage), saver)
    with pytest.raises(StorageError):
        await graph.ainvoke(question(), CONFIG, durability="sync")
    snapshot = await graph.aget_state(CONFIG)
    assert snapshot.next == ()
    assert is_open(snapshot)
    assert len(stage.calls) == 6
    saver.full = False
    result = await resume(graph, CONFIG)
    assert result["messages"][-1].text == "What the council says."
    assert len(stage.calls) == 7
    assert not is_open(await graph.aget_state(CONFIG))


class _Slow(InMemorySaver):
    """A store on a slow disk, which notes whatever is kept of a step before the step itself."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: set[str] = set()
        self.orphans: list[str] = []

    async def aput(self, config: Any, checkpoint: Any, metadata: Any, versions: Any) -> Any:
        await asyncio.sleep(0.05)
        self.steps.add(checkpoint["id"])
        return await super().aput(config, checkpoint, metadata, versions)

    async def aput_writes(self, config: Any, writes: Any, *of: Any, **task: Any) -> None:
        if config["configurable"]["checkpoint_id"] not in self.steps:
            self.orphans += [channel for channel, _ in writes]
        await super().aput_writes(config, writes, *of, **task)


async def test_an_answer_is_never_kept_before_the_step_it_belongs_to(stage: Stage) -> None:
    seat(stage)
    saver = _Slow()
    graph = compile_council(desk(stage), saver)
    kinds = [event.kind async for event in follow(graph, question(), CONFIG)]
    assert "answered" in kinds
    # The question itself may be: nobody has been asked by then.
    assert {*saver.orphans} <= {"messages", "branch:to:classifier"}
