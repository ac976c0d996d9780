"""One writer a thread: who comes second waits, a dead holder's lease ends, a late writer cannot."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from mom_council.deliberation.events import Answered, Noted
from mom_council.errors import StorageError, ThreadBusyError
from mom_council.graph.council import compile_council
from mom_council.runs import leases
from mom_council.runs.ask import OpenCouncil, Run
from mom_council.runs.checkpoints import open_checkpointer
from mom_council.runs.leases import ThreadLease
from mom_council.tests.graph.desk import desk, question, seat, written
from mom_council.tests.stage import Fault, Stage

CONFIG: Any = {"configurable": {"thread_id": "t"}}
QUESTION = [{"role": "user", "content": "What is the best pet?"}]


async def test_a_thread_that_is_held_is_refused_in_one_line_and_free_afterwards(url: str) -> None:
    async with open_checkpointer(url) as saver:
        async with ThreadLease(saver, "t"):
            with pytest.raises(ThreadBusyError, match=rf"by .* \(process {os.getpid()}\) since"):
                async with ThreadLease(saver, "t", wait=0):
                    pass
            async with ThreadLease(saver, "u", wait=0):
                pass
        async with ThreadLease(saver, "t", wait=0) as again:
            assert await again.try_to_take() == ""


@pytest.mark.parametrize("url", ["postgres"], indirect=True)
async def test_a_write_that_has_to_wait_holds_up_no_other_thread(url: str) -> None:
    async with open_checkpointer(url) as saver:
        store: Any = saver
        async with ThreadLease(saver, "t"), ThreadLease(saver, "u"):
            async with store.conn.connection() as conn, conn.transaction():
                await conn.execute("SELECT 1 FROM mom_leases WHERE thread_id = 't' FOR UPDATE")
                held_up = asyncio.create_task(
                    saver.aput_writes(place("t"), [("step", "x")], "task")
                )
                async with asyncio.timeout(60):
                    await saver.aput_writes(place("u"), [("step", "y")], "task")
                assert not held_up.done()
            await held_up


def place(name: str) -> Any:
    return {"configurable": {"thread_id": name, "checkpoint_ns": "", "checkpoint_id": "1"}}


async def written_at(store: Any, name: str) -> list[str]:
    """The tasks of whom something is kept at a place."""
    query = "SELECT task_id FROM checkpoint_writes WHERE thread_id = %s"
    async with store.conn.connection() as conn:
        return [row["task_id"] for row in await (await conn.execute(query, (name,))).fetchall()]


@pytest.mark.parametrize("url", ["postgres"], indirect=True)
async def test_what_many_threads_write_at_once_is_few_transactions(url: str) -> None:
    names = [f"t{number}" for number in range(30)]
    async with open_checkpointer(url) as saver, AsyncExitStack() as stack:
        store: Any = saver
        for name in names:
            await stack.enter_async_context(ThreadLease(saver, name))
        taken: list[object] = []
        connection = store.conn.connection

        def take() -> Any:
            taken.append(connection)
            return connection()

        store.conn.connection = take
        await asyncio.gather(
            *(saver.aput_writes(place(name), [("step", "x")], "task") for name in names)
        )
        store.conn.connection = connection
        assert len(taken) <= 2
        assert [await written_at(store, name) for name in names] == [["task"]] * len(names)


@pytest.mark.parametrize("url", ["postgres"], indirect=True)
async def test_a_value_that_the_database_refuses_costs_no_other_thread(url: str) -> None:
    async with (
        open_checkpointer(url) as saver,
        ThreadLease(saver, "t"),
        ThreadLease(saver, "u"),
    ):
        refused, kept = await asyncio.gather(
            saver.aput_writes(place("t"), [("step", "x")], "no\x00task"),
            saver.aput_writes(place("u"), [("step", "y")], "task"),
            return_exceptions=True,
        )
        assert isinstance(refused, StorageError)
        assert kept is None
        assert await written_at(saver, "t") == []
        assert await written_at(saver, "u") == ["task"]


async def test_a_dead_holder_of_this_machine_is_not_waited_for(url: str) -> None:
    gone = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    born = leases._born(gone.pid)
    gone.communicate()
    dead = {"name": "mom ask", "pid": gone.pid, "born": born, "machine": leases._machine()}
    async with open_checkpointer(url) as saver:
        assert (await saver.take_lease("t", json.dumps(dead), None)).is_mine  # type: ignore[attr-defined]
        async with ThreadLease(saver, "t", wait=0):
            pass


async def test_a_holder_elsewhere_keeps_its_lease_while_its_beat_grows(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "PATIENCE", 0.6)
    elsewhere = json.dumps({"name": "mom serve", "pid": 7, "born": "1", "machine": "another"})
    async with open_checkpointer(url) as saver:
        store: Any = saver
        row = await store.take_lease("t", elsewhere, None)
        second = ThreadLease(saver, "t")
        for _ in range(4):
            assert "mom serve (process 7)" in await second.try_to_take()
            assert await store.renew_lease("t", row.token)
            await asyncio.sleep(0.3)
        async with second:  # the beat has stopped
            pass
        assert not await store.renew_lease("t", row.token)


async def test_a_late_writer_cannot_write(stage: Stage, url: str) -> None:
    """Its lease is taken while a model speaks; what it hears then is not kept."""
    seat(stage)
    stage.scripts["pen"].latency = 1.0
    async with open_checkpointer(url) as saver:
        store: Any = saver
        late = Run(OpenCouncil(desk(stage), saver), QUESTION, thread="t")
        asking = asyncio.create_task(late.finish())
        await asyncio.to_thread(stage.wait_for, 1, 30, started=True, model="pen")
        before = await saver.aget_tuple(CONFIG)
        holder = await store.take_lease("t", "", None)
        other = await store.take_lease("t", "another", (holder.token, holder.beat))
        while not other.is_mine:
            other = await store.take_lease("t", "another", (other.token, other.beat))
        tokens = getattr(saver, "commits", saver)
        for name in ("tokens", "_tokens"):
            if hasattr(tokens, name):  # the store of this process would believe it had both
                getattr(tokens, name)["t"] = other.token - 1
        with pytest.raises(ThreadBusyError, match="was taken over by another program"):
            await asking
        after = await saver.aget_tuple(CONFIG)
        assert before is not None
        assert after is not None
        assert before.checkpoint["id"] == after.checkpoint["id"]


async def test_two_questions_on_a_thread_are_answered_one_after_the_other(
    stage: Stage, url: str
) -> None:
    seat(stage)
    for name in ("ada", "boris", "clara", "pen"):
        stage.scripts[name].latency = 0.1
    async with open_checkpointer(url) as saver:
        opened = OpenCouncil(desk(stage), saver)
        runs = [Run(opened, QUESTION, thread="t") for _ in range(3)]
        notes: list[str] = []

        async def ask(run: Run) -> None:
            notes.extend([one.text async for one in run.events() if isinstance(one, Noted)])

        await asyncio.gather(*map(ask, runs))
        values = (await opened.graph.aget_state(CONFIG)).values
    assert [message.type for message in values["messages"]] == ["human", "ai"] * 3
    assert len(stage.calls_to("pen")) == 3
    assert sum("is being answered by" in note and "waiting for it" in note for note in notes) == 2


async def test_who_wants_to_go_on_with_what_is_being_answered_is_given_the_answer(
    stage: Stage, url: str
) -> None:
    seat(stage)
    stage.scripts["pen"].latency = 0.5
    async with open_checkpointer(url) as saver:
        opened = OpenCouncil(desk(stage), saver)
        first = asyncio.create_task(Run(opened, QUESTION, thread="t").finish())
        await asyncio.to_thread(stage.wait_for, 1, 30, started=True, model="pen")
        events = [event async for event in Run(opened, None, thread="t").events()]
        await first
    assert len(stage.calls_to("pen")) == 1
    [answered] = [event for event in events if isinstance(event, Answered)]
    assert answered.text == "What the council says."
    assert answered.status.spoke == ("Ada", "Boris", "Clara")


async def test_a_graph_that_is_asked_by_a_program_of_its_own_is_one_writer_too(
    stage: Stage, url: str
) -> None:
    """The same thread, asked twice without the command: by the graph alone, and beside a run."""
    seat(stage)
    stage.scripts["pen"].latency = 0.5
    async with AsyncExitStack() as stack:
        saver = await stack.enter_async_context(open_checkpointer(url))
        other = saver
        if url != "memory:":
            other = await stack.enter_async_context(open_checkpointer(url))
        graph = compile_council(desk(stage), saver)
        beside = compile_council(desk(stage), other)
        first = asyncio.create_task(graph.ainvoke(question("One?"), CONFIG))
        await asyncio.to_thread(stage.wait_for, 1, 30, started=True, model="pen")
        with pytest.raises(ThreadBusyError):
            await Run(OpenCouncil(desk(stage), other), QUESTION, thread="t", wait=0).finish()
        second = asyncio.create_task(beside.ainvoke(question("Two?"), CONFIG))
        third = Run(OpenCouncil(desk(stage), saver), QUESTION, thread="t").finish()
        await asyncio.gather(first, second, third)
        held = (await graph.aget_state(CONFIG)).values["messages"]
    assert [message.type for message in held] == ["human", "ai"] * 3
    assert len(stage.calls) == 3 * 7


def ask_apart(stage: Stage, folder: Path, db: str, text: str) -> subprocess.Popen[str]:
    """`mom ask` on the thread `t`, in a process of its own."""
    council = folder / "council.json"
    council.write_text(json.dumps(written(stage)))
    command = [sys.executable, "-c", "from mom_council.cli import main; main()", "ask", "--quiet"]
    command += ["-c", str(council), "--db", db, "--thread", "t", text]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip


@pytest.mark.slow
async def test_who_waits_takes_over_from_a_process_that_was_killed(tmp_path: Path) -> None:
    with Stage() as stage:
        seat(stage)
        stage.scripts["pen"].faults = [Fault.hang()]
        first = ask_apart(stage, tmp_path, str(tmp_path / "t.db"), "First?")
        stage.wait_for(1, 60, started=True, model="pen")
        second = ask_apart(stage, tmp_path, str(tmp_path / "t.db"), "Second?")
        time.sleep(1)
        assert second.poll() is None, "it waits"
        first.send_signal(signal.SIGKILL)
        first.communicate()
        out, err = second.communicate(timeout=60)
        assert (second.returncode, "What the council says." in out) == (0, True), err
        async with open_checkpointer(str(tmp_path / "t.db")) as saver:
            graph = compile_council(desk(stage), saver)
            messages = (await graph.aget_state(CONFIG)).values["messages"]
    assert [message.text for message in messages] == ["First?", "Second?", "What the council says."]


async def test_nothing_is_asked_where_the_thread_is_busy(stage: Stage, url: str) -> None:
    seat(stage)
    async with open_checkpointer(url) as saver, ThreadLease(saver, "t"):
        run = Run(OpenCouncil(desk(stage), saver), question()["messages"], thread="t", wait=0)
        with pytest.raises(ThreadBusyError):
            await run.finish()
    assert stage.calls == []


@pytest.mark.parametrize(
    ("fault", "cure"),
    [("read-only", "it cannot be written"), ("full", "there is no room left")],
)
async def test_a_store_that_cannot_be_written_is_said_in_one_line_and_nothing_is_asked(
    stage: Stage, tmp_path: Path, fault: str, cure: str
) -> None:
    seat(stage)
    async with open_checkpointer(str(tmp_path / "t.db")) as saver:
        await _break(saver, fault)
        run = Run(OpenCouncil(desk(stage), saver), QUESTION, thread="t" * 30_000)
        with pytest.raises(StorageError, match=cure) as raised:
            await run.finish()
        assert "\n" not in str(raised.value)
        assert stage.calls == []
        await _mend(saver)  # nothing is left of the transaction that failed
        await Run(OpenCouncil(desk(stage), saver), QUESTION, thread="t").finish()


async def test_an_answer_is_given_where_the_store_breaks_after_it_and_its_thread_is_free_again(
    stage: Stage, tmp_path: Path
) -> None:
    seat(stage)
    async with open_checkpointer(str(tmp_path / "t.db")) as saver:
        opened = OpenCouncil(desk(stage), saver)
        answers: list[str] = []

        async def ask() -> None:
            async for event in Run(opened, QUESTION, thread="t").events():
                if isinstance(event, Answered):
                    answers.append(event.text)
                    await _break(saver, "read-only")

        with pytest.raises(StorageError, match="it cannot be written"):
            await ask()
        assert answers == ["What the council says."]
        with pytest.raises(StorageError, match="it cannot be written"):
            await ThreadLease(saver, "t", wait=0).try_to_take()
        await _mend(saver)
        async with ThreadLease(saver, "t", wait=0):  # it was ours, and is not waited for
            pass


async def _break(saver: Any, fault: str) -> None:
    if fault == "read-only":
        await saver.conn.execute("PRAGMA query_only = ON")
    else:
        await saver.conn.execute("PRAGMA max_page_count = 1")  # as many as there are


async def _mend(saver: Any) -> None:
    await saver.conn.execute("PRAGMA query_only = OFF")
    await saver.conn.execute("PRAGMA max_page_count = 1000000")
