"""Threads can be listed, read and forgotten without their council."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.base import empty_checkpoint

from mom_council.errors import StorageError
from mom_council.runs.checkpoints import open_checkpointer
from mom_council.runs.page_store import PageStore
from mom_council.runs.threads import delete_thread, list_threads, show_thread, valid_thread
from mom_council.tests.graph.long_talk import long_talk

pytestmark = pytest.mark.slow


def config(thread: str) -> Any:
    return {"configurable": {"thread_id": thread}, "metadata": {"council": "night-shift"}}


def asks(text: Any) -> Any:
    return {"messages": [HumanMessage(text)]}


async def broken(_: Any) -> dict[str, Any]:
    raise ValueError("no")


async def hangs(_: Any) -> dict[str, Any]:
    await asyncio.sleep(60)
    return {}


async def clear(saver: Any) -> None:
    for found in await list_threads(saver):
        await delete_thread(saver, found.id)


async def test_a_list_says_of_each_thread_what_it_is_about(url: str) -> None:
    started = datetime.now(UTC)
    async with open_checkpointer(url) as saver:
        await clear(saver)
        graph = long_talk().compile(checkpointer=saver)
        await graph.ainvoke(asks("Why is the\n  sky blue?"), config("sky"))
        await graph.ainvoke(asks("And at night? " * 20), config("other"))
        await graph.ainvoke(asks("And the sea?"), config("sky"))
        found = await list_threads(saver)
        newest = await list_threads(saver, limit=1)
    assert [(t.id, t.turns, t.state, t.council) for t in found] == [
        ("sky", 2, "answered", "desk"),
        ("other", 1, "answered", "desk"),
    ]
    assert found[0].title == "Why is the sky blue?"
    assert len(found[1].title) <= 72
    assert found[1].title.endswith("…")
    assert started < found[1].updated < found[0].updated < datetime.now(UTC)
    assert newest == found[:1]


async def test_a_run_that_stopped_on_the_way_is_told_from_one_that_failed(url: str) -> None:
    async with open_checkpointer(url) as saver:
        await clear(saver)
        failing = long_talk(synthesizer=broken).compile(checkpointer=saver)
        with pytest.raises(ValueError, match="no"):
            await failing.ainvoke(asks("one"), config("failed"))
        hanging = long_talk(synthesizer=hangs).compile(checkpointer=saver)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(hanging.ainvoke(asks("two"), config("stopped")), 1.5)
        graph = long_talk().compile(checkpointer=saver)
        await graph.ainvoke(asks("three"), config("done"))
        assert {t.id: t.state for t in await list_threads(saver)} == {
            "failed": "failed",
            "stopped": "interrupted",
            "done": "answered",
        }
        told = {t.id: t.council for t in await list_threads(saver)}
        assert told["failed"] == "night-shift", "from the run's metadata, with no status to ask"
        await graph.ainvoke(None, config("failed"))
        view = await show_thread(saver, "failed")
    assert view is not None
    assert view.summary.state == "answered"


async def test_a_thread_is_read_back_word_for_word(url: str) -> None:
    async with open_checkpointer(url) as saver:
        graph = long_talk().compile(checkpointer=saver)
        await clear(saver)
        for turn in range(3):
            told = await graph.ainvoke(asks(f"question {turn}"), config("a"))
        view = await show_thread(saver, "a")
        missing = await show_thread(saver, "b")
    assert view is not None
    assert [m.content for m in view.messages] == [m.content for m in told["messages"]]
    assert view.summary.turns == 3
    assert view.summary.title == "question 0"
    assert view.status == told["status"]
    assert missing is None


async def test_a_question_with_a_picture_has_a_title(url: str) -> None:
    parts = [{"type": "text", "text": "What is this?"}, {"type": "image", "url": "http://x/y.png"}]
    async with open_checkpointer(url) as saver:
        await clear(saver)
        await long_talk().compile(checkpointer=saver).ainvoke(asks(parts), config("a"))
        assert [t.title for t in await list_threads(saver)] == ["What is this?"]


async def test_a_thread_that_no_council_wrote_is_listed_all_the_same(url: str) -> None:
    async with open_checkpointer(url) as saver:
        await clear(saver)
        where: Any = {"configurable": {"thread_id": "odd", "checkpoint_ns": ""}}
        about: Any = {"source": "input", "step": -1, "parents": {}}
        await saver.aput(where, empty_checkpoint(), about, {})
        found = await list_threads(saver)
        view = await show_thread(saver, "odd")
    assert [(t.id, t.title, t.council) for t in found] == [("odd", "", "")]
    assert view is not None
    assert view.messages == ()


async def test_a_deleted_thread_is_gone_and_the_others_stay(url: str) -> None:
    async with open_checkpointer(url) as saver:
        await clear(saver)
        graph = long_talk().compile(checkpointer=saver)
        await graph.ainvoke(asks("keep"), config("keep"))
        await graph.ainvoke(asks("drop"), config("drop"))
        assert await delete_thread(saver, "drop")
        assert not await delete_thread(saver, "drop")
        assert [t.id for t in await list_threads(saver)] == ["keep"]
        assert await show_thread(saver, "drop") is None


async def test_the_words_of_a_deleted_thread_are_not_left_in_the_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOM_DATA_DIR", str(tmp_path))
    page = PageStore()
    page.put("a", reader="ann", title="quixotry", council="demo")
    page.keep_text("a", "What is quixotry?")
    async with open_checkpointer(str(tmp_path / "threads.db")) as saver:
        graph = long_talk().compile(checkpointer=saver)
        await graph.ainvoke(asks("quixotry"), config("a"))  # short: stored as it is
        await delete_thread(saver, "a")
        assert page.find("a") is None
        left = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert b"quixotry" not in left


@pytest.mark.slow
async def test_two_thousand_threads_are_listed_in_a_moment(tmp_path: Path) -> None:
    async with open_checkpointer(str(tmp_path / "threads.db")) as saver:
        graph = long_talk().compile(checkpointer=saver)
        await graph.ainvoke(asks("the model of them all"), config("t"))
        for table, key in (("checkpoints", "thread_id"), ("writes", "thread_id")):
            names = [
                row[1] for row in await saver.conn.execute_fetchall(f"PRAGMA table_info({table})")
            ]
            copied = ", ".join(f"n.v || '-' || {name}" if name == key else name for name in names)
            await saver.conn.execute(
                f"WITH RECURSIVE n(v) AS (SELECT 1 UNION ALL SELECT v + 1 FROM n WHERE v < 2000) "
                f"INSERT INTO {table} ({', '.join(names)}) SELECT {copied} FROM n, {table}"
            )
        await saver.conn.commit()
        began = time.perf_counter()
        assert len(await list_threads(saver, limit=20)) == 20
        assert time.perf_counter() - began < 4
        assert len(await list_threads(saver)) == 2001


@pytest.mark.parametrize("name", ["a", "a" * 128, "über uns", "2026-11-20", "../x", "%s'; --"])
async def test_a_name_of_text_names_a_thread(name: str, url: str) -> None:
    assert valid_thread(name) == name
    async with open_checkpointer(url) as saver:
        assert await show_thread(saver, name) is None
        await long_talk().compile(checkpointer=saver).ainvoke(asks("?"), config(name))
        assert await delete_thread(saver, name)


@pytest.mark.parametrize("name", ["", "  ", "a" * 129, "a\nb", "a\0b", "\x1b[2J", "\ud800"])
async def test_what_is_no_name_is_refused_in_one_line(name: str) -> None:
    async with open_checkpointer("memory:") as saver:
        for ask in (show_thread, delete_thread):
            with pytest.raises(StorageError) as error:
                await ask(saver, name)
            assert str(error.value).isprintable()
