"""The journal: a call that was paid is not made again, whichever node made it, however it ended."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.memory import InMemorySaver

from mom_council.errors import StorageError
from mom_council.extensions import At, Extension
from mom_council.graph.council import compile_council
from mom_council.models.journal import STOPPED, CallRecord
from mom_council.runs.checkpoints import open_checkpointer
from mom_council.runs.follow import resume
from mom_council.seams.langgraph import CALL_CHANNEL
from mom_council.tests.deliberation.test_asking_with_tools import Till, armed, calling
from mom_council.tests.graph.desk import desk, question, seat, voice, written
from mom_council.tests.nodes.test_painter import pictures_in, studio
from mom_council.tests.stage import Fault, Stage

CONFIG: Any = {"configurable": {"thread_id": "t"}}


async def stop_when(stage: Stage, calls: int, graph: Any, asks: Any = None) -> None:
    """Ask, and stop the run when so many calls have begun."""
    running = asyncio.create_task(graph.ainvoke(asks or question(), CONFIG, durability="sync"))
    await asyncio.to_thread(stage.wait_for, calls, 30, started=True)
    await asyncio.sleep(0.05)
    running.cancel()
    await asyncio.wait({running})


@asynccontextmanager
async def store(kind: str, folder: Path) -> AsyncIterator[Any]:
    """A store that is opened anew for each run, but for memory."""
    if kind == "memory":
        yield MEMORIES.setdefault(str(folder), InMemorySaver())
    else:
        async with open_checkpointer(str(folder / "t.db")) as saver:
            yield saver


MEMORIES: dict[str, InMemorySaver] = {}
ONE_ROUND = {"method": "none", "rounds": {"min": 1, "max": 1}}


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
async def test_the_first_of_a_nodes_two_calls_is_not_paid_twice(
    stage: Stage, tmp_path: Path, kind: str
) -> None:
    """The synthesizer contradicts the council, and is stopped as it writes once more."""
    seat(stage, dict.fromkeys(("Ada", "Boris", "Clara"), "The answer is 4."))
    stage.model("pen", reply=["The answer is 5.", "The answer is 4."], faults=[None, Fault.hang()])
    sitting = desk(stage)
    asks = {"messages": [("user", "What is 2 + 2?")]}
    async with store(kind, tmp_path) as saver:
        await stop_when(stage, 5, compile_council(sitting, saver), asks)
    async with store(kind, tmp_path) as saver:
        result = await resume(compile_council(sitting, saver), CONFIG)
    assert result["messages"][-1].text == "The answer is 4."
    assert len(stage.calls_to("pen")) == 3, "the first was paid, the second was cut off"
    assert result["status"].usage.calls == len(stage.calls)


async def test_the_painters_prompt_is_not_written_twice(stage: Stage, tmp_path: Path) -> None:
    sitting = studio(stage)
    stage.model("brush", faults=[Fault.hang()])
    asks = {"messages": [("user", "/image a fox")]}
    async with store("sqlite", tmp_path) as saver:
        await stop_when(stage, 2, compile_council(sitting, saver), asks)
    async with store("sqlite", tmp_path) as saver:
        result = await resume(compile_council(sitting, saver), CONFIG)
    assert [call.model for call in stage.calls] == ["pen", "brush", "brush"]
    assert pictures_in(result["messages"][-1].content)
    assert result["status"].usage.calls == 3


async def test_a_picture_that_has_come_is_not_drawn_twice(stage: Stage) -> None:
    """The store fails between the picture's last byte and the node's end."""

    class Full(InMemorySaver):
        full = True

        async def aput_writes(self, config: Any, writes: Any, *task: Any) -> None:
            if Full.full and any(channel == "status" and value for channel, value in writes):
                raise StorageError("there is no room left")
            await super().aput_writes(config, writes, *task)

    graph = compile_council(studio(stage), Full())
    with pytest.raises(StorageError):
        await graph.ainvoke({"messages": [("user", "/image a fox")]}, CONFIG, durability="sync")
    assert len(stage.calls) == 2
    Full.full = False
    result = await resume(graph, CONFIG)
    assert len(stage.calls) == 2
    assert pictures_in(result["messages"][-1].content)
    assert result["status"].usage.calls == 2


async def test_what_was_cut_off_is_counted_with_its_tries(stage: Stage) -> None:
    seat(stage)
    faults = [Fault.status(503), Fault.hang()]
    stage.model("ada", reply="Done.", faults=faults)
    sitting = desk(stage, deliberation=ONE_ROUND)
    models = {k: m.model_copy(update={"retries": 2}) for k, m in sitting.models.items()}
    graph = compile_council(sitting.model_copy(update={"models": models}), InMemorySaver())
    await stop_when(stage, 4, graph)
    stage.wait_for(2)
    result = await resume(graph, CONFIG)
    assert len(stage.calls_to("ada")) == 3
    assert result["status"].usage.calls == len(stage.calls)
    [ada] = [s for s in (await graph.aget_state(CONFIG)).values["segments"] if s.name == "Ada"]
    assert [one.error for one in ada.attempts][1:] == [STOPPED, None]
    assert ada.usage.calls == 3


async def test_an_extension_pays_neither_of_its_calls_twice(stage: Stage) -> None:
    seat(stage)
    stage.model("scout", reply=["One.", "Two."], faults=[None, Fault.hang()])

    class Asks(Extension):
        nodes = ("annotator",)

        async def before(self, at: At) -> None:
            self.heard = [await at.ask("scout", [HumanMessage("Where?")]) for _ in range(2)]

    models = {**written(stage)["models"], "scout": voice(stage, "scout")}
    asking = Asks({})
    sitting = desk(stage, models=models, extensions=[{"use": "asks", "timeout": 60}])
    graph = compile_council(sitting, InMemorySaver(), extensions={"asks": asking})
    await stop_when(stage, 2, graph)
    result = await resume(graph, CONFIG)
    assert asking.heard == ["One.", "Two."]
    assert len(stage.calls_to("scout")) == 3
    assert result["status"].usage.calls == len(stage.calls)


@pytest.mark.parametrize("repeatable", [False, True])
async def test_a_tool_that_was_cut_off_is_called_again_only_if_it_changes_nothing(
    stage: Stage, repeatable: bool
) -> None:
    seat(stage)
    stage.model("ada", reply=[calling("look"), "Done."])
    begun, release = asyncio.Event(), asyncio.Event()
    looked: list[int] = []

    async def look() -> str:
        """Look what is in the till."""
        looked.append(1)
        begun.set()
        await release.wait()
        return "100 in the till"

    given: Any = {"pay": Till().pay, "look": look}
    if repeatable:
        from langchain_core.tools import StructuredTool

        given["look"] = StructuredTool.from_function(
            coroutine=look, name="look", metadata={"readOnlyHint": True}
        )
    graph = compile_council(armed(stage), InMemorySaver(), tools=given)
    running = asyncio.create_task(graph.ainvoke(question(), CONFIG))
    await asyncio.wait_for(begun.wait(), 30)
    running.cancel()
    await asyncio.wait({running})
    release.set()
    result = await resume(graph, CONFIG)
    assert result["status"].spoke == ("Ada", "Boris", "Clara")
    said = str(stage.calls_to("ada")[-1].body)
    assert (len(looked), "It may have taken effect" in said) == (1 + repeatable, not repeatable)


async def test_nothing_of_the_journal_stays_when_a_question_is_answered(
    stage: Stage, tmp_path: Path
) -> None:
    seat(stage)
    async with open_checkpointer(str(tmp_path / "t.db")) as saver:
        await compile_council(desk(stage), saver).ainvoke(question(), CONFIG)
        rows = await saver.conn.execute_fetchall(  # type: ignore[attr-defined]
            "SELECT count(*) FROM writes WHERE channel = ?", (CALL_CHANNEL,)
        )
    assert rows[0][0] == 0


async def test_a_record_counts_what_was_under_way_and_forgets_it_when_it_is_put_back() -> None:
    lines: list[Any] = []

    async def write(number: int, line: Any) -> None:
        lines.append(line)

    record = CallRecord(write)
    await record.begin("ada")
    cut = CallRecord(write, lines)
    assert (cut.was_begun, cut.spent.calls, cut.result) == (True, 1, None)
    await record.put_back()
    assert not CallRecord(write, lines).was_begun
    await record.finish({"text": "x"})
    done = CallRecord(write, lines)
    assert (done.was_begun, done.spent.calls, done.result) == (False, 0, {"text": "x"})
