"""What is stored can be counted, pruned, compacted, exported, checked and repaired."""

from __future__ import annotations

import json
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from langgraph.types import interrupt

from mom_council import paths
from mom_council.deliberation.interrupts import PAUSED
from mom_council.errors import CouncilError, DamagedValueError, StorageError
from mom_council.models import cache
from mom_council.models.ledger import Ledger, Outcome
from mom_council.runs.checkpoints import open_checkpointer, open_pruned_store
from mom_council.runs.leases import ThreadLease
from mom_council.runs.storage import (
    STORES,
    Limits,
    Retention,
    last_pruning,
    prune,
    read_retention,
    report,
    vacuum,
)
from mom_council.runs.storage_check import check, export
from mom_council.runs.threads import list_threads, show_thread
from mom_council.tests.graph.long_talk import long_talk
from mom_council.tracing.store import Span, TraceStore, TraceSummary, TraceView

pytestmark = pytest.mark.slow


PLACES = pytest.mark.parametrize("url", ["sqlite", "postgres"], indirect=True)


def config(thread: str) -> Any:
    return {"configurable": {"thread_id": thread}}


async def talk(saver: Any, *threads: str, **nodes: Any) -> None:
    graph = long_talk(**nodes).compile(checkpointer=saver)
    for thread in threads:
        await graph.ainvoke({"messages": [HumanMessage(f"About {thread}?")]}, config(thread))


async def age(saver: Any, *threads: str, years: str = "1e") -> None:
    """Let threads have been written 14 years ago: the time stands in their checkpoints' ids.

    Ids that begin with 13 are of 1969.
    """
    postgres = saver.place.startswith("postgresql")
    tables = {
        "checkpoints": ("checkpoint_id", "parent_checkpoint_id"),
        ("checkpoint_writes" if postgres else "writes"): ("checkpoint_id",),
    }
    for thread in threads:
        for table, columns in tables.items():
            for column in columns:
                query = (
                    f"UPDATE {table} SET {column} = '{years}' || substr({column}, 3) "
                    f"WHERE thread_id = '{thread}'"
                )
                if postgres:
                    async with saver.conn.connection() as conn:
                        await conn.execute(query)
                else:
                    await saver.conn.execute(query)
                    await saver.conn.commit()


async def names(saver: Any) -> set[str]:
    return {one.id for one in await list_threads(saver)}


def asks_person(_: Any) -> dict[str, Any]:
    interrupt({"kind": "person", "name": "Ann"})
    return {}


def pauses(_: Any) -> dict[str, Any]:
    interrupt({"kind": PAUSED, "error": "QuorumError"})
    return {}


@PLACES
async def test_threads_go_by_age_and_by_size_the_oldest_first(url: str) -> None:
    async with open_checkpointer(url) as saver:
        await talk(saver, "old", "older", "new")
        await age(saver, "old", "older")
        planned = await prune(saver, "threads", Limits(days=1), dry_run=True)
        assert planned.items == 2
        assert await names(saver) == {"old", "older", "new"}
        assert (await prune(saver, "threads", Limits(days=1))).items == 2
        assert await names(saver) == {"new"}
        await talk(saver, "newer")
        sizes = (await report(saver, Retention()))[0]
        one = sizes.bytes / 1e6 / 2
        assert (await prune(saver, "threads", Limits(megabytes=one * 1.5))).items == 1
        assert await names(saver) == {"newer"}


@PLACES
async def test_a_thread_that_is_answered_in_or_waits_for_a_person_is_kept_and_named(
    url: str,
) -> None:
    everything = Limits(days=0, megabytes=0)
    async with open_checkpointer(url) as saver:
        await talk(saver, "free", "held")
        await talk(saver, "person", synthesizer=asks_person)
        await talk(saver, "paused", synthesizer=pauses)
        async with ThreadLease(saver, "held"):
            planned = await prune(saver, "threads", everything, dry_run=True)
            pruned = await prune(saver, "threads", everything)
        assert planned == pruned
        assert pruned.items == 2
        reasons = {one.thread: one.reason for one in pruned.kept}
        assert "it waits for a person" in reasons["person"]
        assert "is being answered" in reasons["held"]
        assert await names(saver) == {"person", "held"}
        pruned = await prune(saver, "threads", everything, waiting=True)
        assert (pruned.items, pruned.kept) == (2, ())
        assert await names(saver) == set()


@PLACES
async def test_a_report_counts_each_store_and_a_vacuum_gives_space_back(url: str) -> None:
    async with open_checkpointer(url) as saver:
        await talk(saver, *"abcdef")
        before = {one.name: one for one in await report(saver, Retention())}
        assert list(before) == list(STORES)
        assert before["threads"].items == 6
        assert 0 < before["threads"].bytes <= before["threads"].on_disk
        assert before["threads"].oldest is not None
        await prune(saver, "threads", Limits(megabytes=0))
        await vacuum(saver)
        after = (await report(saver, Retention()))[0]
        assert after.items == 0
        if url.startswith("sqlite"):
            assert after.on_disk < before["threads"].on_disk / 4


def view(name: str, started: float, text: str = "") -> TraceView:
    from datetime import UTC, datetime

    summary = TraceSummary(id=name, started=datetime.fromtimestamp(started, UTC), question="Q?")
    return TraceView(summary=summary, spans=(Span(id="1", kind="run", name=text, start=0.0),))


async def test_traces_answers_and_the_ledger_go_by_age_and_size() -> None:
    day, now = 86_400.0, time.time()
    traces = TraceStore()
    for number in range(5):
        traces.write(view(f"t{number}", now - number * 10 * day))
    ledger = Ledger()
    ledger.learn([Outcome("old", "maths", ok=True)], at=now - 100 * day)
    ledger.learn([Outcome("new", "maths", ok=True)], at=now)
    kept = cache.CacheFile(paths.cache_dir())
    for number in range(4):
        kept.keep(f"request {number}", "m", "{}" + " " * 1000, 1e6, 100)
    async with open_checkpointer("memory:") as saver:
        limit = Limits(days=15)
        assert (await prune(saver, "traces", limit, dry_run=True)).items == 3
        assert (await prune(saver, "traces", limit)).items == 3
        assert [one.id for one in traces.summaries()] == ["t0", "t1"]
        assert (await prune(saver, "ledger", limit)).items == 1
        assert [one.model for one in ledger.show()] == ["new"]
        assert (await prune(saver, "cache", limit)).items == 0
        dropped = await prune(saver, "cache", Limits(megabytes=0.0025))
        assert dropped.items == 2
        assert cache.stats().answers == 2
        for name in ("traces", "cache", "ledger"):
            assert (await prune(saver, name, Limits(megabytes=0))).items > 0
        held = {one.name: one.items for one in await report(saver, Retention())}
        assert set(held.values()) == {0}


def write_limits(text: str) -> None:
    file = paths.storage_limits()
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


@PLACES
async def test_where_the_user_has_set_limits_a_door_prunes_by_itself(url: str) -> None:
    async with open_pruned_store(url) as saver:
        await talk(saver, "old", "new", "person")
        await talk(saver, "waits", synthesizer=asks_person)
        await age(saver, "old", "waits")
    assert last_pruning() is None
    write_limits("threads: {days: 30}\ntraces: {megabytes: 100}\n")
    async with open_pruned_store(url) as saver:
        pass
    async with open_checkpointer(url) as saver:
        assert await names(saver) == {"new", "person", "waits"}
        await age(saver, "new")
    told = last_pruning()
    assert told is not None
    [threads] = [one for one in told["stores"] if one["name"] == "threads"]
    assert threads["items"] == 1
    assert threads["kept"] == [{"thread": "waits", "reason": "it waits for a person"}]
    async with open_pruned_store(url) as saver:  # once an hour is enough
        assert "new" in await names(saver)


@PLACES
async def test_a_clock_that_jumped_ahead_deletes_nothing_by_itself(url: str) -> None:
    async with open_checkpointer(url) as saver:
        await talk(saver, "one", "two")
        await age(saver, "one", "two")  # as a clock has it that is 14 years ahead
    write_limits("threads: {days: 30}\n")
    pruned = paths.data_dir() / "pruned.json"
    for hours, left in (
        (0, {"one", "two"}),
        (1, {"one", "two"}),
        (-5, {"one", "two"}),
        (13, set()),
    ):
        if hours:
            pruned.write_text(json.dumps({"doubted": time.time() - hours * 3600}))
        async with open_pruned_store(url) as saver:
            pass
        async with open_checkpointer(url) as saver:
            assert await names(saver) == left, hours
        assert (last_pruning() is None) == bool(left)


@PLACES
async def test_a_thread_of_a_clock_that_was_ahead_proves_nothing_of_the_next_jump(url: str) -> None:
    async with open_checkpointer(url) as saver:
        await talk(saver, "one", "ahead")
        await age(saver, "one")  # the clock is years ahead again, as when `ahead` was written
    write_limits("threads: {days: 30}\n")
    pruned = paths.ensure(paths.data_dir()) / "pruned.json"
    pruned.write_text(json.dumps({"at": time.time() - 5000 * 86_400}))
    async with open_pruned_store(url) as saver:
        pass
    async with open_checkpointer(url) as saver:
        assert await names(saver) == {"one", "ahead"}
    assert "doubted" in json.loads(pruned.read_text())


@PLACES
async def test_what_a_clock_of_1970_wrote_is_not_old(url: str) -> None:
    async with open_checkpointer(url) as saver:
        await talk(saver, "new", "then")
        await age(saver, "then", years="13")
        pruned = await prune(saver, "threads", Limits(days=30))
        assert (pruned.items, await names(saver)) == (0, {"new", "then"})
        pruned = await prune(saver, "threads", Limits(megabytes=0))
        assert pruned.items == 2


def test_wrong_limits_are_refused_with_their_place() -> None:
    assert read_retention() == Retention()
    for text, part in (
        ("thread: {days: 3}", "thread"),
        ("threads: {days: -1}", "threads.days"),
        ("threads: {weeks: 1}", "threads.weeks"),
        ("[]", "is no mapping"),
        ("threads: {days: 1", "storage.yaml"),
    ):
        write_limits(text)
        with pytest.raises(CouncilError, match=part):
            read_retention()


@PLACES
async def test_an_export_holds_every_store_and_never_writes_over_a_file(
    url: str, tmp_path: Path
) -> None:
    TraceStore().write(view("t1", time.time()))
    Ledger().learn([Outcome("m", "maths", ok=True)])
    async with open_checkpointer(url) as saver:
        await talk(saver, "cats", "dogs")
        written = await export(saver, tmp_path / "out")
        assert written == {"threads": 2, "journal": 0, "traces": 1, "cache": 0, "ledger": 1}
        lines = (tmp_path / "out" / "threads.jsonl").read_text("utf-8").splitlines()
        head, *rows = [json.loads(line) for line in lines]
        assert head == {"export": "threads", "version": 1}
        assert {row["summary"]["id"] for row in rows} == {"cats", "dogs"}
        assert rows[0]["messages"][0]["content"].startswith("About ")
        assert (tmp_path / "out" / "threads.jsonl").stat().st_mode & 0o077 == 0
        with pytest.raises(StorageError, match="is there already"):
            await export(saver, tmp_path / "out")


def spoil(file: Path, query: str, *values: Any) -> None:
    with closing(sqlite3.connect(file)) as db, db:
        assert db.execute(query, values).rowcount > 0


SPOILT = {
    "cut short": "substr({column}, 1, length({column}) / 2)",
    "overwritten": "zeroblob(length({column}))",
    "empty": "x''",
    "not text": "x'fffefd' || {column}",
}


@pytest.mark.parametrize("how", SPOILT.values(), ids=SPOILT)
async def test_a_damaged_thread_is_named_and_goes_back_to_what_can_be_read(
    tmp_path: Path, how: str
) -> None:
    file = tmp_path / "threads.db"
    async with open_checkpointer(str(file)) as saver:
        await talk(saver, "sound", "hurt")
    newest = "(SELECT max(checkpoint_id) FROM checkpoints WHERE thread_id = 'hurt')"
    spoil(
        file,
        f"UPDATE checkpoints SET checkpoint = {how.format(column='checkpoint')} "
        f"WHERE thread_id = 'hurt' AND checkpoint_id = {newest}",
    )
    async with open_checkpointer(str(file)) as saver:
        states = {one.id: one.state for one in await list_threads(saver)}
        assert states == {"sound": "answered", "hurt": "damaged"}
        with pytest.raises(DamagedValueError, match="thread 'hurt'") as caught:
            await show_thread(saver, "hurt")
        assert "mom storage check --repair" in caught.value.cure
        assert "\n" not in str(caught.value)
        [found] = await check(saver)
        assert (found.store, found.name) == ("threads", "hurt")
        assert len(await check(saver)) == 1, "to look changes nothing"
        [repaired] = await check(saver, repair=True)
        assert repaired.repair == "went back 1 step"
        assert await check(saver) == []
        view = await show_thread(saver, "hurt")
        assert view is not None
        assert view.messages[0].text == "About hurt?"
        # What was lost is its last step: it can be gone on with.
        assert view.summary.state == "interrupted"
        await long_talk().compile(checkpointer=saver).ainvoke(None, config("hurt"))
        assert {one.state for one in await list_threads(saver)} == {"answered"}


async def test_a_thread_of_which_nothing_can_be_read_can_be_deleted(tmp_path: Path) -> None:
    from mom_council.runs.threads import delete_thread

    file = tmp_path / "threads.db"
    async with open_checkpointer(str(file)) as saver:
        await talk(saver, "gone", "lost")
    spoil(file, "UPDATE checkpoints SET checkpoint = x'00', metadata = x'ff'")
    async with open_checkpointer(str(file)) as saver:
        assert {one.state for one in await list_threads(saver)} == set()
        assert await delete_thread(saver, "gone")
        [found] = await check(saver, repair=True)
        assert found.repair == "deleted: no state of it could be read"
        assert await check(saver) == []


@pytest.mark.parametrize("url", ["postgres"], indirect=True)
async def test_a_damaged_value_in_postgres_is_named_too(url: str) -> None:
    async with open_checkpointer(url) as saver:
        await talk(saver, "hurt")
        async with saver.conn.connection() as conn:  # type: ignore[attr-defined]
            await conn.execute("UPDATE checkpoint_blobs SET blob = substr(blob, 1, 9)")
        with pytest.raises(DamagedValueError, match="thread 'hurt'"):
            await show_thread(saver, "hurt")
        [found] = await check(saver)
        assert found.name == "hurt"


async def test_damage_in_traces_answers_and_the_ledger_is_named_and_deleted() -> None:
    TraceStore().write(view("good", time.time()))
    TraceStore().write(view("bad", time.time()))
    spoil(paths.traces_dir() / "traces.db", "UPDATE traces SET tree = x'00ff' WHERE id = 'bad'")
    Ledger().observe(["a", "b"], ["1", "2"], "maths")
    spoil(paths.data_dir() / "ledger.db", "UPDATE agreement SET pattern = '[0, '")
    kept = cache.CacheFile(paths.cache_dir())
    kept.keep("request", "m", "{}", 1e6, 100)
    spoil(paths.cache_dir() / "answers.db", "UPDATE answers SET answer = '{\"a\"'")
    with pytest.raises(DamagedValueError, match="trace 'bad' is damaged"):
        TraceStore().load("bad")
    assert {one.id for one in TraceStore().summaries()} == {"good", "bad"}
    with pytest.raises(DamagedValueError, match="the ledger in"):
        Ledger().agreement_rows(["a", "b"], "maths")
    async with open_checkpointer("memory:") as saver:
        found = await check(saver)
        assert [one.store for one in found] == ["traces", "cache", "ledger"]
        assert await check(saver, repair=True) == found
        assert await check(saver) == []
    assert TraceStore().load("good") is not None
    assert TraceStore().load("bad") is None
