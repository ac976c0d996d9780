"""Threads are kept, whole and small, wherever they are kept; and a failure says its cure."""

from __future__ import annotations

import asyncio
import inspect
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.base import id as ids
from langgraph.types import Overwrite

from mom_council import records
from mom_council.deliberation.state import Seating
from mom_council.errors import MixtureError, StorageError
from mom_council.runs.checkpoints import open_checkpointer, thread_serializer
from mom_council.tests.graph.long_talk import NAMES, Prose, long_talk

pytestmark = pytest.mark.slow


def config(thread: str) -> Any:
    return {"configurable": {"thread_id": thread}, "metadata": {"council": "desk"}}


def asks(text: str) -> Any:
    return {"messages": [HumanMessage(text)]}


def failure(error: pytest.ExceptionInfo[StorageError]) -> str:
    text = str(error.value)
    assert "\n" not in text
    assert "Traceback" not in text
    return text


async def test_a_thread_goes_on_though_the_clock_was_years_ahead_when_it_was_written(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if url == "memory:":
        pytest.skip("ends with its process")
    years_ahead = ids.uuid6().time + 14 * 365 * 86_400 * 10_000_000
    monkeypatch.setattr(ids, "_last_v6_timestamp", years_ahead)
    async with open_checkpointer(url) as saver:
        await long_talk().compile(checkpointer=saver).ainvoke(asks("first"), config("a"))
    monkeypatch.setattr(ids, "_last_v6_timestamp", None)  # a new process, and the clock is right
    async with open_checkpointer(url) as saver:
        graph = long_talk().compile(checkpointer=saver)
        await graph.ainvoke(asks("second"), config("a"))
    monkeypatch.setattr(ids, "_last_v6_timestamp", None)
    async with open_checkpointer(url) as saver:
        graph = long_talk().compile(checkpointer=saver)
        state = await graph.aget_state(config("a"))
        texts = [message.text for message in state.values["messages"]]
        assert texts[0] == "first"
        assert texts[2] == "second"
        assert len(texts) == 4


async def test_what_is_written_is_named_as_langgraph_names_it(url: str) -> None:
    async with open_checkpointer(url) as saver:
        for name in ("aput", "aput_writes", "aget_tuple", "alist", "adelete_thread"):
            needed = inspect.signature(getattr(BaseCheckpointSaver, name)).parameters
            ours = inspect.signature(getattr(type(saver), name)).parameters
            takes_all = any(one.kind is one.VAR_KEYWORD for one in ours.values())
            assert takes_all or set(needed) <= set(ours), name


async def test_a_conversation_comes_back_as_it_was_said(url: str, tmp_path: Path) -> None:
    async with open_checkpointer(url) as saver:
        graph = long_talk().compile(checkpointer=saver)
        for turn in range(12):
            told = await graph.ainvoke(asks(f"question {turn}"), config("a"))
        found = await graph.aget_state(config("a"))
    said = [message.content for message in told["messages"]]
    assert [message.content for message in found.values["messages"]] == said
    assert said[::2] == [f"question {turn}" for turn in range(12)]
    assert [type(p) for p in found.values["proposals"]] == [records.Proposal] * 6
    assert found.values["status"] == told["status"]
    assert isinstance(found.values["seating"], Seating)
    assert isinstance(found.values["verdicts"][0], records.Verdict)


async def test_a_conversation_outlives_the_process_that_held_it(tmp_path: Path) -> None:
    path = tmp_path / "threads.db"
    for turn in range(3):
        async with open_checkpointer(str(path)) as saver:
            told = (
                await long_talk().compile(checkpointer=saver).ainvoke(asks(f"{turn}"), config("a"))
            )
    assert [m.content for m in told["messages"]][::2] == ["0", "1", "2"]


async def test_snapshots_of_long_conversations_lose_nothing(url: str) -> None:
    """Delta channels snapshot every hundredth update; what lies around that seam must stay."""
    async with open_checkpointer(url) as saver:
        graph = long_talk().compile(checkpointer=saver)
        for turn in range(55):
            told = await graph.ainvoke(asks(f"{turn}"), config("long"))
        found = await graph.aget_state(config("long"))
    assert [m.content for m in found.values["messages"]] == [m.content for m in told["messages"]]
    assert len(found.values["messages"]) == 110


@pytest.mark.slow
async def test_a_hundred_turns_of_six_characters_stay_under_five_megabytes(tmp_path: Path) -> None:
    path = tmp_path / "threads.db"
    prose = Prose(2)
    assert len(zlib.compress(prose.say(2500).encode(), 6)) > 1100, "no easier than English"
    sizes: dict[int, int] = {}
    for turns, so_far in ((1, 1), (9, 10), (90, 100)):
        async with open_checkpointer(str(path)) as saver:
            graph = long_talk().compile(checkpointer=saver)
            for _ in range(turns):
                await graph.ainvoke(asks(prose.say(300)), config("a"))
        sizes[so_far] = path.stat().st_size  # closing has moved the log into the file
    assert sizes[100] < 5_000_000, sizes
    assert sizes[100] < 11 * sizes[10], f"grows faster than the conversation: {sizes}"


async def test_every_record_of_the_state_is_allowed_and_comes_back_as_itself() -> None:
    serializer = thread_serializer()
    kept = [
        records.Absence(character="Poet", reason="late", detail="x" * 200),
        records.Verdict(method="borda", options=(records.Option(members=NAMES),)),
        records.Status(council="desk", spoke=NAMES),
        Seating(seated=NAMES),
        Overwrite([]),
        AIMessage("hi", id="1"),
        "short",
        None,
    ]
    for value in kept:
        assert serializer.loads_typed(serializer.dumps_typed(value)) == value


def test_a_value_that_msgpack_cannot_hold_is_never_pickled() -> None:
    with pytest.raises(TypeError):
        thread_serializer().dumps_typed(lambda: None)


def test_what_other_savers_wrote_is_still_read() -> None:
    from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

    written = JsonPlusSerializer().dumps_typed({"text": "x" * 500})
    assert thread_serializer().loads_typed(written) == {"text": "x" * 500}


async def test_the_file_and_its_log_are_for_their_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "threads.db"
    async with open_checkpointer(str(path)) as saver:
        await long_talk().compile(checkpointer=saver).ainvoke(asks("?"), config("a"))
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
        assert modes == {"threads.db": 0o600, "threads.db-wal": 0o600, "threads.db-shm": 0o600}


async def test_many_open_a_new_place_at_once_and_all_of_them_can_use_it(url: str) -> None:
    async def talk(name: str) -> int:
        async with open_checkpointer(url) as saver:
            graph = long_talk().compile(checkpointer=saver)
            await graph.ainvoke(asks("?"), config(name))
            return len([one async for one in saver.alist(config(name))])

    assert all(await asyncio.gather(*(talk(f"t{n}") for n in range(6))))


async def test_without_a_url_threads_lie_in_the_data_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOM_DATA_DIR", str(tmp_path / "mine"))
    async with open_checkpointer():
        assert [file.suffix for file in (tmp_path / "mine").glob("threads.*")]


async def test_a_folder_is_refused_as_a_file_of_threads(tmp_path: Path) -> None:
    with pytest.raises(StorageError) as error:
        async with open_checkpointer(str(tmp_path)):
            pass
    assert "it is a folder; name a file" in failure(error)


@pytest.mark.parametrize("unknown", ["mysql://x/y", "sqlite://", "sqlite:///"])
async def test_an_unknown_url_is_answered_with_the_known_ones(unknown: str) -> None:
    with pytest.raises(StorageError, match="postgresql://"):
        async with open_checkpointer(unknown):
            pass


@pytest.mark.parametrize("junk", [b"this is a shopping list, and no database" * 99, b"\0" * 5000])
async def test_a_file_that_is_no_database_is_left_as_it_is(tmp_path: Path, junk: bytes) -> None:
    path = tmp_path / "threads.db"
    path.write_bytes(junk)
    with pytest.raises(StorageError) as error:
        async with open_checkpointer(str(path)):
            pass
    assert "move it away" in failure(error)
    assert path.read_bytes() == junk


async def test_a_damaged_database_says_how_to_save_what_it_held(tmp_path: Path) -> None:
    path = tmp_path / "threads.db"
    async with open_checkpointer(str(path)) as saver:
        graph = long_talk().compile(checkpointer=saver)
        await graph.ainvoke(asks("?"), config("a"))
    whole = bytearray(path.read_bytes())
    whole[8192:] = os.urandom(len(whole) - 8192)
    path.write_bytes(whole)
    with pytest.raises(StorageError) as error:
        async with open_checkpointer(str(path)) as saver:
            await long_talk().compile(checkpointer=saver).ainvoke(asks("again"), config("a"))
    assert "damaged" in failure(error)


async def test_a_layout_whose_damaged_bytes_are_no_text_is_named_as_damaged(tmp_path: Path) -> None:
    file = tmp_path / "threads.db"
    async with open_checkpointer(str(file)):
        pass
    whole = file.read_bytes()
    damaged = whole.replace(b"tablewriteswrites", b"tablewrite\xaawrites")
    file.write_bytes(damaged.replace(b"CREATE TABLE writes", b"CREATE TABLE (rites"))
    with pytest.raises(StorageError) as error:
        async with open_checkpointer(str(file)):
            pass
    assert "it is damaged: move it away" in failure(error)


async def test_a_pipe_is_refused_as_a_file_of_threads(tmp_path: Path) -> None:
    pipe = tmp_path / "threads.db"
    os.mkfifo(pipe)
    with pytest.raises(StorageError) as error:
        async with open_checkpointer(str(pipe)):
            pass
    assert "it is a pipe; name a file" in failure(error)


async def test_a_full_disk_in_the_middle_of_a_run_is_one_line_and_loses_nothing(
    tmp_path: Path,
) -> None:
    path = str(tmp_path / "threads.db")
    async with open_checkpointer(path) as saver:
        graph = long_talk().compile(checkpointer=saver)
        await graph.ainvoke(asks("first"), config("a"))
        (pages,) = (await saver.conn.execute_fetchall("PRAGMA page_count"))[0]
        await saver.conn.execute(f"PRAGMA max_page_count = {pages + 1}")
        with pytest.raises(StorageError) as error:
            await graph.ainvoke(asks("second"), config("a"))
        assert "no room left" in failure(error)
        await saver.conn.execute("PRAGMA max_page_count = 100000")
        told = await graph.ainvoke(asks("third"), config("a"))
    said = [m.content for m in told["messages"] if isinstance(m, HumanMessage)]
    assert said[0] == "first"
    assert said[-1] == "third"


async def test_a_file_that_another_program_locks_is_waited_for_and_then_named(
    tmp_path: Path,
) -> None:
    path = str(tmp_path / "threads.db")
    async with open_checkpointer(path, busy_seconds=0.2) as saver:
        graph = long_talk().compile(checkpointer=saver)
        await graph.ainvoke(asks("first"), config("a"))
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StorageError) as error:
            await graph.ainvoke(asks("second"), config("a"))
        assert "another program holds it locked" in failure(error)
        other.execute("COMMIT")
        other.close()
        await graph.ainvoke(asks("third"), config("a"))


async def test_two_programs_may_write_at_once(tmp_path: Path) -> None:
    path = str(tmp_path / "threads.db")
    async with open_checkpointer(path) as one, open_checkpointer(path) as two:
        graphs = [long_talk().compile(checkpointer=saver) for saver in (one, two)]
        await asyncio.gather(
            *(graphs[at % 2].ainvoke(asks(f"{at}"), config(f"t{at}")) for at in range(8))
        )
        for at in range(8):
            found = await graphs[1 - at % 2].aget_state(config(f"t{at}"))
            assert found.values["messages"][0].content == f"{at}"


READ_ONLY = """
import asyncio, os, sys
path = sys.argv[1]
from mom_council.errors import StorageError
from mom_council.runs.checkpoints import open_checkpointer, thread_serializer
async def main():
    async with open_checkpointer(path):
        pass
if os.geteuid() == 0:
    os.setuid(65534)
try:
    asyncio.run(main())
except StorageError as error:
    print(error)
"""


@pytest.mark.slow
@pytest.mark.parametrize("there", [False, True])
def test_a_place_that_cannot_be_written_is_named_with_its_cure(there: bool) -> None:
    # A superuser may write anywhere, so the asking is left to a program without its rights, and the
    # folder lies where such a program can see it.
    folder = Path(tempfile.mkdtemp())
    path = folder / "threads.db"
    if there:
        path.touch(mode=0o444)
    folder.chmod(0o555)
    told = subprocess.run(
        [sys.executable, "-c", READ_ONLY, str(path)], capture_output=True, text=True, check=False
    )
    folder.chmod(0o700)
    shutil.rmtree(folder)
    assert told.stdout.count("\n") == 1, told.stderr
    assert "MOM_DATA_DIR" in told.stdout


async def test_a_database_that_became_read_only_says_so(tmp_path: Path) -> None:
    path = str(tmp_path / "threads.db")
    async with open_checkpointer(path) as saver:
        graph = long_talk().compile(checkpointer=saver)
        await graph.ainvoke(asks("first"), config("a"))
        await saver.conn.execute("PRAGMA query_only = ON")
        with pytest.raises(StorageError) as error:
            await graph.ainvoke(asks("second"), config("a"))
    assert "cannot be written" in failure(error)


async def test_a_server_that_is_not_there_is_named_without_its_password() -> None:
    with pytest.raises(StorageError) as error:
        async with open_checkpointer("postgresql://me:hunter2hunter2@127.0.0.1:1/none"):
            pass
    assert "check that the server runs" in failure(error)
    assert "hunter2" not in failure(error)


def test_postgres_without_its_packages_names_the_extra(tmp_path: Path) -> None:
    blocked = (
        "import asyncio, sys; sys.modules['psycopg'] = None\n"
        "from mom_council.runs.checkpoints import open_checkpointer, thread_serializer\n"
        "from mom_council.errors import ProviderNotInstalledError\n"
        "async def main():\n"
        "    async with open_checkpointer('postgresql://x/y'): pass\n"
        "try: asyncio.run(main())\n"
        "except ProviderNotInstalledError as error: print(error)\n"
    )
    told = subprocess.run(
        [sys.executable, "-c", blocked], capture_output=True, text=True, check=True
    )
    assert "pip install 'mom-council[postgres]'" in told.stdout


async def test_what_finished_before_a_kill_is_not_run_again(url: str) -> None:
    calls: list[str] = []

    async def character(_: Any) -> dict[str, Any]:
        calls.append("character")
        return {"proposals": [records.Proposal(character="Poet", text="x")]}

    async def broken(_: Any) -> dict[str, Any]:
        raise MixtureError("the power went")

    async with open_checkpointer(url) as saver:
        stopped = long_talk(synthesizer=broken, characters=character).compile(checkpointer=saver)
        with pytest.raises(MixtureError):
            await stopped.ainvoke(asks("?"), config("kill"))
        assert len(calls) == 6
        graph = long_talk(characters=character).compile(checkpointer=saver)
        told = await graph.ainvoke(None, config("kill"))
    assert len(calls) == 6
    assert isinstance(told["messages"][-1], AIMessage)


async def test_an_older_step_can_be_run_again(url: str) -> None:
    """Routing rows of past steps are dropped; time travel must not need them."""
    async with open_checkpointer(url) as saver:
        graph = long_talk().compile(checkpointer=saver)
        await graph.ainvoke(asks("?"), config("travel"))
        steps = [step async for step in graph.aget_state_history(config("travel"))]
        fan_out = next(step for step in steps if set(step.next) == set(NAMES))
        told = await graph.ainvoke(None, fan_out.config)
        assert len(told["messages"]) == 2
        found = await graph.aget_state(config("travel"))
        assert len(found.values["proposals"]) == 6


async def test_writes_of_many_conversations_share_transactions(tmp_path: Path) -> None:
    async with open_checkpointer(str(tmp_path / "threads.db")) as saver:
        commits = 0

        def count(sql: str) -> None:
            nonlocal commits
            commits += sql.upper().startswith("COMMIT")

        await saver.conn.set_trace_callback(count)
        graph = long_talk().compile(checkpointer=saver)
        await asyncio.gather(*(graph.ainvoke(asks("?"), config(f"t{at}")) for at in range(30)))
        await saver.conn.set_trace_callback(None)
    assert commits < 30 * 33 / 4, "33 is what one conversation makes of puts by itself"


async def test_a_cancelled_run_keeps_what_it_had_put(tmp_path: Path) -> None:
    path = str(tmp_path / "threads.db")

    async def hangs(_: Any) -> dict[str, Any]:
        await asyncio.sleep(60)
        return {}

    async with open_checkpointer(path) as saver:
        graph = long_talk(synthesizer=hangs).compile(checkpointer=saver)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(graph.ainvoke(asks("?"), config("a")), 1.5)
    async with open_checkpointer(path) as saver:
        found = await long_talk().compile(checkpointer=saver).aget_state(config("a"))
    assert found.next == ("synthesizer",)
    assert len(found.values["proposals"]) == 6
