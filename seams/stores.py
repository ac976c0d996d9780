"""The private parts that we use of LangGraph's stores: the layout of their tables.

Each may change with any release; `tests/seams/test_langgraph.py` compares it with LangGraph's own.

    PrunedMemorySaver       memory, what was written of calls dropped, with leases
    GroupedSqliteSaver      SQLite rows committed together, dead rows dropped, with leases
    ..._LEASE               who may write a thread: one table in each store
    POSTGRES_...            the same list of threads, in PostgreSQL
"""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from copy import copy
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import aiosqlite
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    WRITES_IDX_MAP,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    DeltaChannelHistory,
    get_checkpoint_metadata,
)
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.checkpoint.serde.types import ERROR, INTERRUPT
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

from mom_council.errors import ThreadBusyError
from mom_council.seams.langgraph import CALL_CHANNEL, WalkSerializer


@dataclass(frozen=True, slots=True)
class LeaseRow:
    """Who may write a thread."""

    token: int
    """Grows with each holder."""
    beat: int
    """Grows while its holder lives."""
    holder: str
    since: float
    """Epoch seconds, for people alone."""
    is_mine: bool = False
    """Whether it was taken just now."""


LEASE_TABLE = (
    "CREATE TABLE IF NOT EXISTS mom_leases (thread_id TEXT PRIMARY KEY, token BIGINT NOT NULL, "
    "beat BIGINT NOT NULL, holder TEXT NOT NULL, since DOUBLE PRECISION NOT NULL)"
)
TAKE_LEASE = (
    "INSERT INTO mom_leases VALUES (?, 1, 1, ?, ?) ON CONFLICT (thread_id) DO UPDATE SET "
    "token = mom_leases.token + 1, beat = mom_leases.beat + 1, holder = excluded.holder, "
    "since = excluded.since WHERE mom_leases.holder = '' "
    "OR (mom_leases.token = ? AND mom_leases.beat = ?) RETURNING token, beat, holder, since"
)
READ_LEASE = "SELECT token, beat, holder, since FROM mom_leases WHERE thread_id = ?"
RENEW_LEASE = "UPDATE mom_leases SET beat = beat + 1 WHERE thread_id = ? AND token = ?"
RELEASE_LEASE = "UPDATE mom_leases SET holder = '' WHERE thread_id = ? AND token = ?"


def lease_lost(thread: str) -> ThreadBusyError:
    """What a writer is told whose lease was taken."""
    return ThreadBusyError(
        f"thread {thread!r} was taken over by another program while this one did not answer",
        cure="ask there, or resume the thread when it is done",
    )


_EPOCH = datetime(1582, 10, 15, tzinfo=UTC)
"""Where the clock of checkpoint ids (UUIDs of version 6) begins."""


def time_of(checkpoint_id: str) -> datetime:
    """When a checkpoint was made, by its id."""
    number = uuid.UUID(checkpoint_id).int
    ticks = (number >> 80) << 12 | (number >> 64) & 0xFFF  # of 100 ns
    return _EPOCH + timedelta(microseconds=ticks // 10)


@dataclass(frozen=True, slots=True)
class ThreadOutline:
    """What a list says of a thread, without its values."""

    thread: str
    turns: int
    first: tuple[str, bytes]
    """The checkpoint of its first question, as it is stored."""
    latest_id: str
    latest: tuple[str, bytes]
    """Its newest checkpoint, as it is stored."""
    metadata: bytes
    """Of its newest checkpoint: JSON."""
    is_stopped: bool
    """Whether a node raised, or waits for somebody."""


class PrunedMemorySaver(InMemorySaver):
    """InMemorySaver that keeps nothing of calls when the next checkpoint is there, with leases."""

    def __init__(self, *, serde: SerializerProtocol) -> None:
        super().__init__(serde=serde)
        self._leases: dict[str, LeaseRow] = {}
        self._tokens: dict[str, int] = {}

    def _refuse_late_writer(self, thread: str) -> None:
        token = self._tokens.get(thread)
        if token is not None and self._leases[thread].token != token:
            raise lease_lost(thread)

    async def take_lease(self, thread: str, holder: str, seen: tuple[int, int] | None) -> LeaseRow:
        """Take a thread that is free, or whose holder was seen dead; else who holds it."""
        old = self._leases.get(thread)
        if old is not None and old.holder and (old.token, old.beat) != seen:
            return old
        new = LeaseRow(old.token + 1 if old else 1, 1, holder, time.time())
        self._leases[thread] = new
        self._tokens[thread] = new.token
        return replace(new, is_mine=True)

    async def read_lease(self, thread: str) -> LeaseRow | None:
        """Who holds a thread, or held it last."""
        return self._leases.get(thread)

    async def renew_lease(self, thread: str, token: int) -> bool:
        """Say that its holder lives; False where it is another's."""
        row = self._leases[thread]
        if row.token == token:
            self._leases[thread] = replace(row, beat=row.beat + 1)
        return row.token == token

    async def release_lease(self, thread: str, token: int) -> None:
        """Give a thread back."""
        if self._leases[thread].token == token:
            self._leases[thread] = replace(self._leases[thread], holder="")
            del self._tokens[thread]

    async def aput_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> None:
        """Keep what one node wrote."""
        self._refuse_late_writer(config["configurable"]["thread_id"])
        await super().aput_writes(config, writes, task_id, task_path)

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Keep a checkpoint."""
        keys = config["configurable"]
        place = (keys["thread_id"], keys.get("checkpoint_ns", ""), keys.get("checkpoint_id", ""))
        self._refuse_late_writer(keys["thread_id"])
        saved = await super().aput(config, checkpoint, metadata, new_versions)
        writes = self.writes.get(place, {})
        for key in [key for key, write in writes.items() if write[1] == CALL_CHANNEL]:
            del writes[key]
        return saved


_COLUMNS = "thread_id, checkpoint_ns, checkpoint_id, task_id, task_path, idx, channel, type, value"
# Routing rows count only while their superstep is the thread's newest: a replay of an older one
# runs its nodes again. They are half of all rows, so they go when the next checkpoint comes, and
# with them what was written of calls; rows of state channels stay, because delta channels are
# rebuilt from them. Below zero, row ids keep the short-lived rows on pages of their own, which are
# used again; among the others they leave holes.
_ROUTING = "branch:to:"
_STATEMENTS = {  # in the order of a transaction; REPLACE beats IGNORE whichever comes first
    "write": f"INSERT OR IGNORE INTO writes ({_COLUMNS}) "  # noqa: S608
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
    "route": f"INSERT OR IGNORE INTO writes (rowid, {_COLUMNS}) "  # noqa: S608
    "VALUES (-abs(random() / 2), ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    "rewrite": f"INSERT OR REPLACE INTO writes ({_COLUMNS}) "  # noqa: S608
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
    "put": "INSERT OR REPLACE INTO checkpoints (thread_id, checkpoint_ns, checkpoint_id, "
    "parent_checkpoint_id, type, checkpoint, metadata) VALUES (?, ?, ?, ?, ?, ?, ?)",
    "prune": "DELETE FROM writes WHERE thread_id = ? AND checkpoint_ns = ? AND checkpoint_id = ? "  # noqa: S608
    f"AND (substr(channel, 1, {len(_ROUTING)}) = '{_ROUTING}' OR channel = '{CALL_CHANNEL}')",
    "drop writes": "DELETE FROM writes WHERE thread_id = ?",
    "drop": "DELETE FROM checkpoints WHERE thread_id = ?",
}

# Told by an index of their own (`turns`), so that listing reads no checkpoint.
_TURNS_INDEX = (
    "CREATE INDEX IF NOT EXISTS turns ON checkpoints (thread_id, checkpoint_id) "
    "WHERE checkpoint_ns = '' AND instr(metadata, CAST('\"source\": \"input\"' AS BLOB)) > 0"
)
_THREADS = (
    "SELECT t.thread_id, t.turns, t.first, (SELECT max(c.checkpoint_id) FROM checkpoints c "
    "WHERE c.thread_id = t.thread_id AND c.checkpoint_ns = '') AS latest FROM ("
    "SELECT thread_id, count(*) AS turns, min(checkpoint_id) AS first FROM checkpoints "
    "WHERE checkpoint_ns = '' AND instr(metadata, CAST('\"source\": \"input\"' AS BLOB)) > 0 "
    "{one} GROUP BY thread_id) t ORDER BY latest DESC LIMIT ?"
)
_ALL_THREADS, _ONE_THREAD = _THREADS.format(one=""), _THREADS.format(one="AND thread_id = ?")
_OUTLINES = (
    "SELECT r.thread_id, r.turns, f.type, f.checkpoint, r.latest, l.type, l.checkpoint, "  # noqa: S608
    "l.metadata, EXISTS (SELECT 1 FROM writes w WHERE w.thread_id = r.thread_id "
    f"AND w.checkpoint_ns = '' AND w.checkpoint_id = r.latest "
    f"AND w.channel IN ('{ERROR}', '{INTERRUPT}')) "
    f"FROM ({_ALL_THREADS}) r "
    "JOIN checkpoints f ON f.thread_id = r.thread_id AND f.checkpoint_ns = '' "
    "AND f.checkpoint_id = r.first JOIN checkpoints l ON l.thread_id = r.thread_id "
    "AND l.checkpoint_ns = '' AND l.checkpoint_id = r.latest ORDER BY r.latest DESC"
)

Row = tuple[Any, ...]


class _Commits:
    """Rows that wait for the next transaction; all that come during one share the one after."""

    def __init__(self, conn: aiosqlite.Connection, lock: asyncio.Lock) -> None:
        self.tokens: dict[str, int] = {}
        """Of the threads that are held here."""
        self._conn = conn
        self._lock = lock
        self._rows: list[tuple[str, Row]] = []
        self._writers: list[asyncio.Future[set[str]]] = []
        """Who waits for those."""
        self._next: asyncio.Task[None] | None = None

    async def put(self, *rows: tuple[str, Row]) -> None:
        """Write a thread's rows; they are committed on return, also when the caller is cancelled.

        Raises:
            ThreadBusyError: the thread's lease was taken by another; nothing is written.
        """
        self._rows.extend(rows)
        writer = asyncio.get_running_loop().create_future()
        self._writers.append(writer)
        if self._next is None:
            self._next = asyncio.create_task(self._commit())
        if lost := await writer:
            for _, (thread, *_) in rows[:1]:
                if thread in lost:
                    raise lease_lost(thread)

    async def _commit(self) -> None:
        """Write all that waits, and tell the writers which threads' lease another has.

        One visit of the connection's own thread does it all: what a busy loop is at meanwhile does
        not hold it up, so what was paid is kept within milliseconds.
        """
        async with self._lock:
            rows, self._rows = self._rows, []
            writers, self._writers, self._next = self._writers, [], None
            execute: Any = self._conn._execute
            try:
                lost = await execute(self._write, rows)
            except BaseException as error:
                for writer in writers:
                    if not writer.done():
                        writer.set_exception(error)
                if not isinstance(error, Exception):
                    raise
                return
        for writer in writers:
            if not writer.done():  # one that was cancelled does not wait
                writer.set_result(lost)

    def _write(self, rows: list[tuple[str, Row]]) -> set[str]:
        """In the connection's thread; the threads of which nothing is written."""
        conn, lost = self._conn._conn, set()
        of_each: dict[str, list[Row]] = {name: [] for name in _STATEMENTS}
        for name, row in rows:
            of_each[name].append(row)
        try:
            for thread in {row[0] for _, row in rows}:
                token = self.tokens.get(thread)
                if token and not conn.execute(RENEW_LEASE, (thread, token)).rowcount:
                    lost.add(thread)
            for name, some in of_each.items():
                if lost:
                    some = [row for row in some if row[0] not in lost]
                if some:
                    conn.executemany(_STATEMENTS[name], some)
            conn.commit()
        except BaseException:
            conn.rollback()
            raise
        return lost

    async def drain(self) -> None:
        """Wait until nothing is left to write."""
        while self._next is not None:
            await asyncio.wait([self._next])
        async with self._lock:  # the one under way is next no more
            pass


class GroupedSqliteSaver(AsyncSqliteSaver):
    """AsyncSqliteSaver whose rows share transactions, and that keeps no dead routing rows."""

    def __init__(self, conn: aiosqlite.Connection, *, serde: SerializerProtocol) -> None:
        super().__init__(conn, serde=serde)
        self.commits = _Commits(conn, self.lock)
        # What is written of calls is dropped at the next step: packing it would save nothing.
        self._dump_call = getattr(serde, "dumps_plain", serde.dumps_typed)

    async def setup(self) -> None:
        """Make the tables and the index of turns, where they are missing."""
        if self.is_setup:
            return
        await super().setup()
        await self.conn.execute(_TURNS_INDEX)
        await self.conn.execute(LEASE_TABLE)
        await self.conn.commit()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        """What is written within is committed, or nothing of it is left."""
        async with self.lock:
            try:
                yield
                await self.conn.commit()
            except BaseException:
                await self.conn.rollback()
                raise

    async def take_lease(self, thread: str, holder: str, seen: tuple[int, int] | None) -> LeaseRow:
        """Take a thread that is free, or whose holder was seen dead; else who holds it."""
        await self.setup()
        values = (thread, holder, time.time(), *(seen or (0, 0)))
        async with self.transaction():
            rows = [*await self.conn.execute_fetchall(TAKE_LEASE, values)]
            taken = bool(rows)
            rows = rows or [*await self.conn.execute_fetchall(READ_LEASE, (thread,))]
        token, beat, by, since = rows[0]
        row = LeaseRow(token, beat, by, since, is_mine=taken)
        if taken:
            self.commits.tokens[thread] = row.token
        return row

    async def read_lease(self, thread: str) -> LeaseRow | None:
        """Who holds a thread, or held it last."""
        await self.setup()
        async with self.lock:
            rows = [*await self.conn.execute_fetchall(READ_LEASE, (thread,))]
        return LeaseRow(*rows[0]) if rows else None

    async def renew_lease(self, thread: str, token: int) -> bool:
        """Say that its holder lives; False where it is another's."""
        async with self.transaction():
            cursor = await self.conn.execute(RENEW_LEASE, (thread, token))
        return bool(cursor.rowcount)

    async def release_lease(self, thread: str, token: int) -> None:
        """Give a thread back."""
        await self.commits.drain()
        async with self.transaction():
            await self.conn.execute(RELEASE_LEASE, (thread, token))
        if self.commits.tokens.get(thread) == token:
            del self.commits.tokens[thread]

    async def thread_rows(self, limit: int, thread: str | None = None) -> list[Row]:
        """Threads, newest first: name, turns, first and latest checkpoint."""
        await self.setup()
        query, values = (_ALL_THREADS, (limit,)) if thread is None else (_ONE_THREAD, (thread, 1))
        async with self.lock:
            return [tuple(row) for row in await self.conn.execute_fetchall(query, values)]

    async def thread_outlines(self, limit: int) -> AsyncIterator[ThreadOutline]:
        """Threads, newest first, in one read; no record of ours is built for it."""
        await self.setup()
        async with self.lock:
            rows = [*await self.conn.execute_fetchall(_OUTLINES, (limit,))]
        for thread, turns, kind, first, latest_id, last_kind, latest, metadata, stopped in rows:
            yield ThreadOutline(
                *(thread, turns, (kind, first), latest_id, (last_kind, latest), metadata),
                is_stopped=bool(stopped),
            )

    def get_next_version(self, current: Any, channel: None) -> Any:
        """Count in whole numbers: LangGraph's 50-character versions would fill half the file.

        So LangGraph's own saver reads such a thread, but cannot go on with it.
        """
        if isinstance(current, str):  # a thread that another saver began
            return super().get_next_version(current, channel)
        return (current or 0) + 1

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Keep a checkpoint; returns once it is committed."""
        if not self.is_setup:
            await self.setup()
        keys = config["configurable"]
        thread, space = str(keys["thread_id"]), keys.get("checkpoint_ns", "")
        parent = keys.get("checkpoint_id")
        kind, blob = self.serde.dumps_typed(checkpoint)
        about = json.dumps(get_checkpoint_metadata(config, metadata), ensure_ascii=False)
        rows: list[tuple[str, Row]] = [
            (
                "put",
                (
                    *(thread, space, checkpoint["id"], parent),
                    *(kind, blob, about.encode("utf-8", "ignore")),
                ),
            )
        ]
        if parent is not None:
            rows.append(("prune", (thread, space, parent)))
        await self.commits.put(*rows)
        return {
            "configurable": {
                "thread_id": keys["thread_id"],
                "checkpoint_ns": space,
                "checkpoint_id": checkpoint["id"],
            }
        }

    async def aput_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> None:
        """Keep what one node wrote; returns once it is committed."""
        if not self.is_setup:
            await self.setup()
        keys = config["configurable"]
        place = (
            *(str(keys["thread_id"]), str(keys.get("checkpoint_ns", ""))),
            *(str(keys["checkpoint_id"]), task_id, task_path),
        )
        if len(writes) == 1 and writes[0][0] == CALL_CHANNEL:
            [(name, value)] = writes
            await self.commits.put(("route", (*place, 0, name, *self._dump_call(value))))
            return
        special = all(name in WRITES_IDX_MAP for name, _ in writes)
        dump = self.serde.dumps_typed
        rows: list[tuple[str, Row]] = []
        for at, (name, value) in enumerate(writes):
            short_lived = name.startswith(_ROUTING)
            kind = "rewrite" if special else "route" if short_lived else "write"
            rows.append((kind, (*place, WRITES_IDX_MAP.get(name, at), name, *dump(value))))
        await self.commits.put(*rows)

    async def aget_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        """What delta channels are rebuilt from; checkpoints on the way are not built for it."""
        walker = copy(self)
        walker.serde = WalkSerializer(self.serde, channels)
        return await super(GroupedSqliteSaver, walker).aget_delta_channel_history(
            config=config, channels=channels
        )

    async def drop_thread(self, thread_id: str) -> None:
        """Forget a thread without overwriting its text: for files that are deleted as a whole."""
        await self.setup()
        await self.commits.put(("drop writes", (thread_id,)), ("drop", (thread_id,)))

    async def adelete_thread(self, thread_id: str) -> None:
        """Forget a thread, overwriting its text in the file."""
        await self.setup()
        await self.commits.drain()
        await self.conn.execute("PRAGMA secure_delete = ON")
        try:
            await super().adelete_thread(thread_id)
        finally:
            await self.conn.execute("PRAGMA secure_delete = OFF")
        # The write-ahead log still holds the pages as they were.
        await self.conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")


LAYOUT_TABLE = "CREATE TABLE IF NOT EXISTS mom_layout (version INTEGER NOT NULL)"
READ_LAYOUT = "SELECT max(version) AS version FROM mom_layout HAVING max(version) IS NOT NULL"
WRITE_LAYOUT = "INSERT INTO mom_layout VALUES (%s)"
POSTGRES_PRUNE = (
    "DELETE FROM checkpoint_writes WHERE thread_id = %s AND checkpoint_ns = %s "  # noqa: S608
    f"AND checkpoint_id = %s AND channel = '{CALL_CHANNEL}'"
)
# Lists threads without reading their checkpoints.
POSTGRES_TURNS_INDEX = (
    "CREATE INDEX IF NOT EXISTS checkpoints_turns ON checkpoints (thread_id, checkpoint_id) "
    "WHERE checkpoint_ns = '' AND metadata ->> 'source' = 'input'"
)
POSTGRES_THREADS = (
    "SELECT t.thread_id, t.turns, t.first, (SELECT max(c.checkpoint_id) FROM checkpoints c "
    "WHERE c.thread_id = t.thread_id AND c.checkpoint_ns = '') AS latest FROM ("
    "SELECT thread_id, count(*) AS turns, min(checkpoint_id) AS first FROM checkpoints "
    "WHERE checkpoint_ns = '' AND metadata ->> 'source' = 'input' GROUP BY thread_id) t "
    "ORDER BY latest DESC LIMIT %s"
)
