"""The size of each thread in LangGraph's tables, without reading its values.

Each may change with any release; `tests/seams/test_langgraph.py` compares it with LangGraph's own.
Works on the savers that `open_checkpointer` opens; of a memory that ends with its program nothing
is counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from langgraph.checkpoint.serde.types import INTERRUPT

from mom_council.seams.langgraph import CALL_CHANNEL
from mom_council.seams.stores import GroupedSqliteSaver, time_of


@dataclass(frozen=True, slots=True)
class ThreadSize:
    """What a thread takes."""

    thread: str
    bytes: int
    updated: datetime
    """When its newest checkpoint was made, UTC."""
    is_stopped: bool
    """Whether a node of it waits for somebody."""
    call_lines: int
    """Lines that were written down of calls of an open question."""


_SIZES = (
    "SELECT c.thread_id, c.bytes + coalesce(w.bytes, 0) + coalesce(b.bytes, 0) AS bytes, "  # noqa: S608
    "c.latest, EXISTS (SELECT 1 FROM {writes} s WHERE s.thread_id = c.thread_id "
    f"AND s.checkpoint_ns = '' AND s.checkpoint_id = c.latest AND s.channel = '{INTERRUPT}') "
    "AS is_stopped, coalesce(w.lines, 0) AS lines FROM "
    "(SELECT thread_id, sum({checkpoint}) AS bytes, "
    "max(CASE WHEN checkpoint_ns = '' THEN checkpoint_id END) AS latest "
    "FROM checkpoints GROUP BY thread_id) c LEFT JOIN "
    "(SELECT thread_id, sum(length({value})) AS bytes, "
    f"sum(CASE WHEN channel = '{CALL_CHANNEL}' THEN 1 ELSE 0 END) AS lines "
    "FROM {writes} GROUP BY thread_id) w ON w.thread_id = c.thread_id LEFT JOIN "
    "({blobs}) b ON b.thread_id = c.thread_id ORDER BY c.latest"
)
_SQLITE_SIZES = _SIZES.format(
    writes="writes",
    checkpoint="length(checkpoint) + length(metadata)",
    value="value",
    blobs="SELECT NULL AS thread_id, 0 AS bytes WHERE 0",
)
_POSTGRES_SIZES = _SIZES.format(
    writes="checkpoint_writes",
    checkpoint="pg_column_size(checkpoint) + pg_column_size(metadata)",
    value="blob",
    blobs="SELECT thread_id, sum(coalesce(length(blob), 0)) AS bytes FROM checkpoint_blobs "
    "GROUP BY thread_id",
)
_DROP_LINES = f"DELETE FROM {{writes}} WHERE thread_id = {{mark}} AND channel = '{CALL_CHANNEL}'"  # noqa: S608
_CALL_LINES = (
    "SELECT task_id, type, {value} FROM {writes} WHERE thread_id = {mark} "  # noqa: S608
    f"AND channel = '{CALL_CHANNEL}' ORDER BY task_id"
)
_POSTGRES_TABLES = ("checkpoints", "checkpoint_blobs", "checkpoint_writes", "mom_leases")
_FREE_LEASES = (
    "DELETE FROM mom_leases WHERE holder = '' AND since < {mark} AND NOT EXISTS "
    "(SELECT 1 FROM checkpoints c WHERE c.thread_id = mom_leases.thread_id)"
)


async def thread_sizes(saver: Any) -> list[ThreadSize]:
    """What each thread takes, the one that was used longest ago first."""
    is_sqlite = isinstance(saver, GroupedSqliteSaver)
    rows = await _rows(saver, _SQLITE_SIZES if is_sqlite else _POSTGRES_SIZES)
    return [
        ThreadSize(thread, int(size), time_of(latest), bool(stopped), int(lines))
        for thread, size, latest, stopped, lines in rows
        if latest is not None
    ]


async def checkpoint_ids(saver: Any, thread: str) -> list[str]:
    """The thread's checkpoints, newest first; none where the store does not say."""
    query = (
        "SELECT checkpoint_id FROM checkpoints WHERE thread_id = {mark} AND checkpoint_ns = '' "
        "ORDER BY checkpoint_id DESC"
    )
    return [str(row[0]) for row in await _rows(saver, query, (thread,))]


async def drop_checkpoint(saver: Any, thread: str, checkpoint_id: str) -> None:
    """Forget one checkpoint, and what was written at it."""
    for table in ("{writes}", "checkpoints"):
        query = (
            f"DELETE FROM {table} WHERE thread_id = {{mark}} AND checkpoint_ns = '' "  # noqa: S608
            "AND checkpoint_id = {mark}"
        )
        await _rows(saver, query, (thread, checkpoint_id))


async def drop_call_lines(saver: Any, thread: str) -> None:
    """Forget what was written down of a thread's open calls."""
    await _rows(saver, _DROP_LINES, (thread,))


async def call_lines(saver: Any, thread: str) -> list[tuple[str, Any]]:
    """What was written down of a thread's open calls: the call's name, and the line."""
    rows = await _rows(saver, _CALL_LINES, (thread,))
    return [(task, saver.serde.loads_typed((kind, bytes(value)))) for task, kind, value in rows]


async def stored_bytes(saver: Any) -> tuple[int, int]:
    """What the whole store takes on its disk, and how much of it is free for new rows.

    PostgreSQL does not say how much of it is free: then that is 0.
    """
    if isinstance(saver, GroupedSqliteSaver):
        async with saver.lock:
            query = (
                "SELECT page_count * page_size, freelist_count * page_size "
                "FROM pragma_page_count, pragma_freelist_count, pragma_page_size"
            )
            [(stored, free)] = await saver.conn.execute_fetchall(query)
        return int(stored), int(free)
    if not hasattr(saver, "thread_rows"):
        return 0, 0
    sums = " + ".join(f"pg_total_relation_size('{table}')" for table in _POSTGRES_TABLES)
    [(stored,)] = await _rows(saver, f"SELECT {sums}")
    return int(stored), 0


async def vacuum(saver: Any, leases_before: float) -> None:
    """Give free space back, and forget who once wrote threads that are gone.

    SQLite gives it back to the disk. PostgreSQL uses it again and locks nobody out meanwhile.

    Args:
        saver: the store.
        leases_before: epoch seconds; a younger lease of a thread that is gone stays, so that a
            writer who slept meanwhile is still refused.
    """
    await _rows(saver, _FREE_LEASES, (leases_before,))
    if isinstance(saver, GroupedSqliteSaver):
        await saver.commits.drain()
        async with saver.lock:
            await saver.conn.execute("VACUUM")
            await saver.conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    elif hasattr(saver, "thread_rows"):
        async with saver.conn.connection() as conn:
            for table in _POSTGRES_TABLES:
                await conn.execute(f"VACUUM (ANALYZE) {table}")


async def _rows(saver: Any, query: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Run a statement, in either store's words; the rows that it gives, none in memory."""
    if isinstance(saver, GroupedSqliteSaver):
        await saver.setup()
        query = query.format(writes="writes", value="value", mark="?")
        async with saver.lock, saver.conn.execute(query, values) as cursor:
            rows = [tuple(row) for row in await cursor.fetchall()]
            await saver.conn.commit()
        return rows
    if not hasattr(saver, "thread_rows"):
        return []
    query = query.format(writes="checkpoint_writes", value="blob", mark="%s")
    async with saver.conn.connection() as conn:
        cursor = await conn.execute(query, values)
        return (
            [tuple(row.values()) for row in await cursor.fetchall()] if cursor.description else []
        )
