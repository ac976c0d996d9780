"""The private parts that we use of LangGraph's stores: the layout of their tables.

Each may change with any release; `tests/seams/test_langgraph.py` compares it with LangGraph's own.

    PrunedMemorySaver       memory, what was written of calls dropped, with leases
    GroupedSqliteSaver      SQLite rows committed together, dead rows dropped, with leases
    PostgresCommits         PostgreSQL rows committed together
    continue_ids            new ids after old ones, whatever the clock says
    ..._LEASE               who may write a thread: one table in each store
    POSTGRES_...            the same list of threads, in PostgreSQL
"""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, nullcontext, suppress
from copy import copy
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, TypeVar

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
from langgraph.checkpoint.base import id as ids
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.checkpoint.serde.types import ERROR, INTERRUPT
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

from mom_council.errors import ThreadBusyError
from mom_council.seams.langgraph import CALL_CHANNEL, WalkSerializer

_LAST_TIME = 2**60 - 2**50
"""Of an id, in steps of 100 ns: some years before its 60 bits are full, in 5236."""


def continue_ids(checkpoint_id: str) -> None:
    """Let the ids of new checkpoints come after this one.

    LangGraph's ids begin with the wall clock's time, and the highest one is the newest checkpoint.
    Where the clock was set back since, new checkpoints would be older than what they go on from.
    """
    with suppress(ValueError):  # an id of somebody else's
        newest = ids.UUID(checkpoint_id)
        if newest.version == 6 and newest.time < _LAST_TIME:
            last = ids._last_v6_timestamp or 0
            ids._last_v6_timestamp = max(newest.time, last)  # type: ignore[assignment]


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
W = TypeVar("W")
"""What a store writes at once of one thread."""
Outcome = Exception | asyncio.Task[Exception | None]
"""Why something was not written, or what writes it alone."""


class CommitGroup(Generic[W]):
    """Writes that wait for the next transaction; all that come during one share the one after."""

    def __init__(self) -> None:
        self.tokens: dict[str, int] = {}
        """Of the threads that are held here."""
        self._waiting: list[tuple[str, W, asyncio.Future[Any]]] = []
        self._next: asyncio.Task[None] | None = None
        self._lock = asyncio.Lock()

    async def put(self, thread: str, write: W) -> None:
        """Write something of a thread; it is committed on return, also for a cancelled caller.

        Raises:
            ThreadBusyError: the thread's lease was taken by another; nothing is written.
        """
        writer = asyncio.get_running_loop().create_future()
        self._waiting.append((thread, write, writer))
        if self._next is None:
            self._next = asyncio.create_task(self._commit())
        error = await writer
        if isinstance(error, asyncio.Future):
            error = await asyncio.shield(error)
        if error is not None:
            raise error

    async def _commit(self) -> None:
        """Write all that waits, and tell each writer what came of it."""
        async with self._lock:
            waiting, self._waiting, self._next = self._waiting, [], None
            failure: BaseException | None = None
            others: Mapping[int, Outcome] = {}
            try:
                others = await self._write_all([(thread, write) for thread, write, _ in waiting])
            except BaseException as error:
                failure = error
                if not isinstance(error, Exception):
                    raise
            finally:
                for number, (_, _, writer) in enumerate(waiting):
                    if not writer.done():  # one that was cancelled does not wait
                        writer.set_result(failure or others.get(number))

    async def _write_all(self, writes: list[tuple[str, W]]) -> Mapping[int, Outcome]:
        """Commit writes of threads together; what came of those that were not written with them."""
        raise NotImplementedError

    async def drain(self) -> None:
        """Wait until nothing is left to write."""
        while self._next is not None:
            await asyncio.wait([self._next])
        async with self._lock:  # the one under way is next no more
            pass


class _SqliteCommits(CommitGroup[Sequence[tuple[str, Row]]]):
    """One visit of the connection's own thread writes it all.

    What a busy loop is at meanwhile does not hold it up, so what was paid is kept within
    milliseconds.
    """

    def __init__(self, conn: aiosqlite.Connection, lock: asyncio.Lock) -> None:
        super().__init__()
        self._conn = conn
        self._lock = lock

    async def _write_all(
        self, writes: list[tuple[str, Sequence[tuple[str, Row]]]]
    ) -> Mapping[int, Outcome]:
        execute: Any = self._conn._execute
        lost = await execute(self._write, writes)
        return {
            number: lease_lost(thread)
            for number, (thread, _) in enumerate(writes)
            if thread in lost
        }

    def _write(self, writes: list[tuple[str, Sequence[tuple[str, Row]]]]) -> set[str]:
        """In the connection's thread; the threads of which nothing is written."""
        conn, lost = self._conn._conn, set()
        of_each: dict[str, list[Row]] = {name: [] for name in _STATEMENTS}
        try:
            for thread in {thread for thread, _ in writes}:
                token = self.tokens.get(thread)
                if token and not conn.execute(RENEW_LEASE, (thread, token)).rowcount:
                    lost.add(thread)
            for thread, rows in writes:
                for name, row in rows if thread not in lost else ():
                    of_each[name].append(row)
            for name, some in of_each.items():
                if some:
                    conn.executemany(_STATEMENTS[name], some)
            conn.commit()
        except BaseException:
            conn.rollback()
            raise
        return lost


class GroupedSqliteSaver(AsyncSqliteSaver):
    """AsyncSqliteSaver whose rows share transactions, and that keeps no dead routing rows."""

    def __init__(self, conn: aiosqlite.Connection, *, serde: SerializerProtocol) -> None:
        super().__init__(conn, serde=serde)
        self.commits = _SqliteCommits(conn, self.lock)
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
        await self.commits.put(thread, rows)
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
        thread = str(keys["thread_id"])
        place = (
            *(thread, str(keys.get("checkpoint_ns", ""))),
            *(str(keys["checkpoint_id"]), task_id, task_path),
        )
        if len(writes) == 1 and writes[0][0] == CALL_CHANNEL:
            [(name, value)] = writes
            row = (*place, 0, name, *self._dump_call(value))
            await self.commits.put(thread, [("route", row)])
            return
        special = all(name in WRITES_IDX_MAP for name, _ in writes)
        dump = self.serde.dumps_typed
        rows: list[tuple[str, Row]] = []
        for at, (name, value) in enumerate(writes):
            short_lived = name.startswith(_ROUTING)
            kind = "rewrite" if special else "route" if short_lived else "write"
            rows.append((kind, (*place, WRITES_IDX_MAP.get(name, at), name, *dump(value))))
        await self.commits.put(thread, rows)

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
        rows = [("drop writes", (thread_id,)), ("drop", (thread_id,))]
        await self.commits.put(thread_id, rows)

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


Statement = tuple[str, Sequence[Any]]
"""For PostgreSQL: what is executed, with the values of each time."""


class StatementRecorder:
    """Stands for the cursor of LangGraph's own saver, and takes down what it would execute."""

    def __init__(self) -> None:
        self.statements: list[Statement] = []

    async def execute(self, statement: str, values: Any) -> None:
        """Take down a statement."""
        self.statements.append((statement, [values]))

    async def executemany(self, statement: str, rows: Sequence[Any]) -> None:
        """Take down a statement with rows."""
        self.statements.append((statement, rows))


def with_recorder(saver: Any) -> tuple[Any, StatementRecorder]:
    """A saver of LangGraph's that only takes down what it would write, and what it took down."""
    writer, recorder = copy(saver), StatementRecorder()
    writer._cursor = lambda **_: nullcontext(recorder)
    return writer, recorder


def write_statement(
    saver: Any,
    config: RunnableConfig,
    writes: Sequence[tuple[str, Any]],
    task_id: str,
    task_path: str,
) -> Statement:
    """What LangGraph's saver executes for what one node wrote; it visits a thread for it."""
    keys = config["configurable"]
    special = all(name in WRITES_IDX_MAP for name, _ in writes)
    place = (str(keys["thread_id"]), str(keys["checkpoint_ns"]), str(keys["checkpoint_id"]))
    return (
        saver.UPSERT_CHECKPOINT_WRITES_SQL if special else saver.INSERT_CHECKPOINT_WRITES_SQL,
        saver._dump_writes(*place, task_id, task_path, writes),
    )


_WAIT_FOR_LEASES = (
    "SELECT thread_id FROM mom_leases WHERE (thread_id, token) IN "
    "(SELECT * FROM unnest(%s::text[], %s::bigint[])) FOR SHARE"
)
_FREE_LEASES = f"{_WAIT_FOR_LEASES} SKIP LOCKED"
"""Without those that somebody is just taking: to wait for one would hold up the others."""


class PostgresCommits(CommitGroup[Sequence[Statement]]):
    """One transaction on one connection of a pool, in two round trips to the server."""

    def __init__(self, pool: Any, is_of_values: Callable[[Exception], bool]) -> None:
        """Write over a pool's connections.

        Args:
            pool: psycopg's.
            is_of_values: whether an error comes of what is written, and so is one thread's alone.
        """
        super().__init__()
        self._pool = pool
        self._is_of_values = is_of_values

    async def _write_all(
        self, writes: list[tuple[str, Sequence[Statement]]]
    ) -> Mapping[int, Outcome]:
        try:
            alone = await self._write_together(writes)
        except Exception as error:
            if len(writes) == 1 or not self._is_of_values(error):
                raise
            alone = {thread for thread, _ in writes}
        return {
            number: asyncio.create_task(self._write_alone(thread, statements))
            for number, (thread, statements) in enumerate(writes)
            if thread in alone
        }

    async def _write_alone(self, thread: str, statements: Sequence[Statement]) -> Exception | None:
        """Write what would hold up or spoil the others; why not, where that fails."""
        try:
            lost = await self._write_together([(thread, statements)], _WAIT_FOR_LEASES)
        except Exception as error:
            return error
        return lease_lost(thread) if lost else None

    async def _write_together(
        self, writes: list[tuple[str, Sequence[Statement]]], leases: str = _FREE_LEASES
    ) -> set[str]:
        """Commit what is of threads whose leases `leases` finds here; the others."""
        held = {thread: self.tokens[thread] for thread, _ in writes if thread in self.tokens}
        async with self._pool.connection() as conn, conn.pipeline(), conn.transaction():
            others = set(held)
            if held:  # within the transaction nobody takes these threads
                leased = await conn.execute(leases, ([*held], [*held.values()]))
                others -= {row["thread_id"] for row in await leased.fetchall()}
            together: dict[str, list[Any]] = {}
            for thread, statements in writes:
                for statement, rows in statements if thread not in others else ():
                    together.setdefault(statement, []).extend(rows)
            together[POSTGRES_PRUNE] = together.pop(POSTGRES_PRUNE, [])  # after what it drops
            async with conn.cursor(binary=True) as cursor:
                for statement, rows in together.items():
                    if rows:
                        await cursor.executemany(statement, rows)
        return others


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
