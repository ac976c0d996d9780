"""Where threads are kept: SQLite by default, PostgreSQL by URL, or memory.

    async with open_checkpointer() as saver:
        graph = build_graph(council).compile(checkpointer=saver)

Every door opens its saver here. What a saver raises is a StorageError, also in the middle of a run.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import aiosqlite
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.memory import InMemorySaver

from mom_council import paths
from mom_council.errors import ProviderNotInstalledError, StorageError
from mom_council.runs.savers import (
    GroupedSqliteSaver,
    PackedSerializer,
    SpokenErrors,
    storage_errors,
)

if TYPE_CHECKING:
    from psycopg_pool import AsyncConnectionPool


MEMORY: Final = "memory:"
# Rows of 1 to 2 kB waste a quarter of a page of 4 kB, and a tenth of this one.
_PAGE_BYTES = 8192
_POOL = 10  # connections: enough for 100 conversations, whose writes are short
_CONNECT_SECONDS = 10
_SETUP_LOCK = 0x6D6F6D
_SETUP_SECONDS = 60
_TRY = "SELECT pg_try_advisory_lock(%s) AS granted"

# Lists threads without reading their checkpoints.
_POSTGRES_TURNS = (
    "CREATE INDEX IF NOT EXISTS checkpoints_turns ON checkpoints (thread_id, checkpoint_id) "
    "WHERE checkpoint_ns = '' AND metadata ->> 'source' = 'input'"
)
_POSTGRES_THREADS = (
    "SELECT t.thread_id, t.turns, t.first, (SELECT max(c.checkpoint_id) FROM checkpoints c "
    "WHERE c.thread_id = t.thread_id AND c.checkpoint_ns = '') AS latest FROM ("
    "SELECT thread_id, count(*) AS turns, min(checkpoint_id) AS first FROM checkpoints "
    "WHERE checkpoint_ns = '' AND metadata ->> 'source' = 'input' GROUP BY thread_id) t "
    "ORDER BY latest DESC LIMIT %s"
)


@asynccontextmanager
async def open_checkpointer(
    url: str | None = None, *, busy_seconds: float = 5.0
) -> AsyncIterator[BaseCheckpointSaver[Any]]:
    """Open the place where threads are kept.

    Args:
        url: `memory:`, `sqlite:///path` or a path, `postgresql://...`; None is the file of
            `models.paths.state_db`, in the user's data directory.
        busy_seconds: how long to wait for another program's lock on a SQLite file.

    Raises:
        StorageError: the place cannot be used: not writable, a folder, damaged, locked, no server.
        ProviderNotInstalledError: PostgreSQL's packages are not installed.
    """
    if url == MEMORY:
        yield InMemorySaver(serde=PackedSerializer())
    elif url is not None and url.startswith(("postgresql://", "postgres://")):
        async with _open_postgres(url) as saver:
            yield saver
    else:
        async with _open_sqlite(_sqlite_path(url), busy_seconds) as saver:
            yield saver


def _sqlite_path(url: str | None) -> Path:
    if url is None:
        paths.ensure(paths.data_dir())
        return paths.state_db()
    scheme, cut, rest = url.partition("://")
    if not cut:
        return Path(url).expanduser()
    if scheme != "sqlite" or not rest.strip("/"):
        raise StorageError(
            f"threads cannot be kept in {scheme + '://'!r}: give 'sqlite:///path', "
            "'postgresql://user@host/name', a path, or 'memory:'"
        )
    # As everywhere: three slashes and a relative path, four and an absolute one.
    return Path(rest.removeprefix("/")).expanduser()


class _SqliteSaver(SpokenErrors, GroupedSqliteSaver):
    """Grouped commits, spoken errors."""


@asynccontextmanager
async def _open_sqlite(path: Path, busy_seconds: float) -> AsyncIterator[BaseCheckpointSaver[Any]]:
    _make_private(path)
    async with aiosqlite.connect(path, timeout=busy_seconds) as conn:
        saver = _SqliteSaver(conn, serde=PackedSerializer(), place=str(path))
        with storage_errors(saver.place):
            await conn.execute(f"PRAGMA page_size = {_PAGE_BYTES}")
            # With a write-ahead log NORMAL never corrupts; a power cut may cost the last step.
            await conn.execute("PRAGMA synchronous = NORMAL")
            await saver.setup()
            # A file that another program holds is found out now, before a model was paid.
            await conn.execute("BEGIN IMMEDIATE")
            await conn.rollback()
        try:
            yield saver
        finally:
            await saver.commits.drain()


def _make_private(path: Path) -> None:
    """Create the file for its owner alone; SQLite gives its log and index the same mode."""
    if path.is_dir():
        raise StorageError(
            f"threads cannot be kept in {str(path)!r}: it is a folder", cure="name a file"
        )
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise StorageError(
            f"threads cannot be kept in {str(path)!r} ({error.strerror}): name a file in a folder "
            f"you can write, or set {paths.VARIABLE} to one"
        ) from error


@asynccontextmanager
async def _open_postgres(url: str) -> AsyncIterator[BaseCheckpointSaver[Any]]:
    try:
        from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
        from psycopg import AsyncConnection
        from psycopg.conninfo import conninfo_to_dict
        from psycopg.rows import dict_row
        from psycopg_pool import AsyncConnectionPool
    except ImportError as error:
        raise ProviderNotInstalledError(
            "threads in PostgreSQL need its packages", cure="pip install 'mom-council[postgres]'"
        ) from error

    class PostgresSaver(SpokenErrors, AsyncPostgresSaver):
        """Spoken errors over LangGraph's own."""

        async def thread_rows(self, limit: int) -> list[tuple[Any, ...]]:
            """Threads, newest first: name, turns, first and latest checkpoint."""
            with storage_errors(self.place):
                async with pool.connection() as conn:
                    rows = await (await conn.execute(_POSTGRES_THREADS, (limit,))).fetchall()
            return [tuple(row.values()) for row in rows]

    with storage_errors("postgresql://"):
        parts = conninfo_to_dict(url)
    place = f"postgresql://{parts.get('host', 'localhost')}/{parts.get('dbname', '')}"
    how: dict[str, Any] = {"autocommit": True, "prepare_threshold": 0, "row_factory": dict_row}
    # The pool would only log why it cannot connect; this says it.
    with storage_errors(place):
        first = await AsyncConnection.connect(url, connect_timeout=_CONNECT_SECONDS, **how)
        async with first:
            saver: Any = PostgresSaver(first, serde=PackedSerializer())
            async with _alone(first):
                await saver.setup()
                await first.execute(_POSTGRES_TURNS)
    pool: AsyncConnectionPool[Any] = AsyncConnectionPool(
        url,
        kwargs=how,
        min_size=1,
        max_size=_POOL,
        open=False,
        check=AsyncConnectionPool.check_connection,
    )
    async with pool:
        saver = PostgresSaver(pool, serde=PackedSerializer())
        saver.place = place
        yield saver


@asynccontextmanager
async def _alone(conn: Any) -> AsyncIterator[None]:
    """Nobody else makes the tables meanwhile: servers that start at once would trip each other.

    The lock is tried, and not waited for: an index that is made concurrently waits for every
    statement under way, so for those that wait for the lock too.
    """
    try:
        async with asyncio.timeout(_SETUP_SECONDS):
            while not await _granted(conn, _TRY):  # noqa: ASYNC110 - nobody would set an event
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise StorageError(
            f"another program has been preparing the database for {_SETUP_SECONDS} s",
            cure="end it, or try again",
        ) from None
    try:
        yield
    finally:
        await _granted(conn, "SELECT pg_advisory_unlock(%s) AS granted")


async def _granted(conn: Any, query: str) -> bool:
    row = await (await conn.execute(query, (_SETUP_LOCK,))).fetchone()
    return bool(row["granted"])
