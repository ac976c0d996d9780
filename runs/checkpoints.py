"""Where threads are kept: SQLite by default, PostgreSQL by URL, or memory.

    async with open_checkpointer() as saver:
        graph = build_graph(council).compile(checkpointer=saver)

Every door opens its saver here. What a saver raises is a StorageError, also in the middle of a run.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final

import aiosqlite
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    DeltaChannelHistory,
)

from mom_council import paths, records
from mom_council.deliberation import state
from mom_council.errors import (
    UNREADABLE,
    DamagedValueError,
    ProviderNotInstalledError,
    StorageError,
)
from mom_council.paths import refuse_newer
from mom_council.runs.leases import ThreadLease
from mom_council.seams.langgraph import PackedSerializer
from mom_council.seams.stores import (
    LAYOUT_TABLE,
    LEASE_TABLE,
    POSTGRES_PRUNE,
    POSTGRES_THREADS,
    POSTGRES_TURNS_INDEX,
    READ_LAYOUT,
    READ_LEASE,
    RELEASE_LEASE,
    RENEW_LEASE,
    TAKE_LEASE,
    WRITE_LAYOUT,
    GroupedSqliteSaver,
    LeaseRow,
    PostgresCommits,
    PrunedMemorySaver,
    ThreadOutline,
    continue_ids,
    with_recorder,
    write_statement,
)
from mom_council.vendors.profile import install_line

MEMORY: Final = "memory:"
LAYOUT_VERSION: Final = 1
"""Of our tables and of the bytes of values. Version 0.1 wrote none, which is read as 0: the same
values, without leases."""
# Rows of 1 to 2 kB waste a quarter of a page of 4 kB, and a tenth of this one.
_PAGE_BYTES = 8192
_POOL = 10  # connections, each for one write at a time: enough for 100 conversations
_CONNECT_SECONDS = 10
_RECONNECT_SECONDS = 2  # then it counts as gone, until somebody asks for a connection again
_SETUP_LOCK = 0x6D6F6D
_SETUP_SECONDS = 60
_TRY = "SELECT pg_try_advisory_lock(%s) AS granted"


def thread_serializer() -> PackedSerializer:
    """How a thread's values become bytes, for any saver that keeps our threads."""
    return PackedSerializer(
        kind
        for module in (records, state)
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, records.Record)
    )


_FINISHED = "what was finished before is kept"
_LOCKED = f"another program holds it locked: close that one and ask again; {_FINISHED}"
_UNWRITABLE = f"it cannot be written: make it writable, or set {paths.VARIABLE} to a folder that is"

_SQLITE_CURES = {
    sqlite3.SQLITE_FULL: f"there is no room left: free some disk space and ask again; {_FINISHED}",
    sqlite3.SQLITE_IOERR: "reading or writing failed: check the disk's health and free space",
    sqlite3.SQLITE_READONLY: _UNWRITABLE,
    sqlite3.SQLITE_PERM: _UNWRITABLE,
    sqlite3.SQLITE_BUSY: _LOCKED,
    sqlite3.SQLITE_LOCKED: _LOCKED,
    sqlite3.SQLITE_NOTADB: "it is not a SQLite database: move it away, and a new one is made",
    sqlite3.SQLITE_CORRUPT: "it is damaged: move it away, and a new one is made (what it held may "
    "be saved by `sqlite3 FILE .recover`)",
    sqlite3.SQLITE_ERROR: "its tables are not those that this program makes: move it away, and a "
    "new one is made",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened: check that it is a file in a folder you can "
    f"write, or set {paths.VARIABLE} to one",
}


class storage_errors:  # noqa: N801 - used as a function is, for each row that is written
    """Turn what SQLite and PostgreSQL raise into a StorageError of one line.

    Args:
        place: the file or the server, as a person would name it; never with a password.

    Raises:
        StorageError: what failed, where, and what to do.
    """

    __slots__ = ("_place",)

    def __init__(self, place: str) -> None:
        self._place = place

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Turn the error, where it is one of theirs."""
        if error is None:
            return
        if isinstance(error, sqlite3.Error):
            # The low byte is the kind of failure, the rest says in which system call.
            cure = _SQLITE_CURES.get(getattr(error, "sqlite_errorcode", -1) & 0xFF)
            raise StorageError(f"threads in {self._place!r}: {cure or _one_line(error)}") from error
        # psycopg is an extra, so its errors are known by where they come from.
        if isinstance(error, Exception) and type(error).__module__.startswith("psycopg"):
            raise StorageError(
                f"threads in {self._place!r}: {_one_line(error)}",
                cure="check that the server runs and may be used",
            ) from error


@contextmanager
def thread_errors(place: str, config: RunnableConfig | None) -> Iterator[None]:
    """`storage_errors`, and what reading a damaged value raises, with the thread's name.

    Raises:
        StorageError: as there.
        DamagedValueError: what is stored of the thread cannot be read.
    """
    try:
        with storage_errors(place):
            yield
    except (DamagedValueError, *UNREADABLE) as error:
        thread = config["configurable"]["thread_id"] if config else ""
        cause = error.__cause__ if isinstance(error, DamagedValueError) else error
        raise DamagedValueError(
            f"thread {thread!r} in {place!r} is damaged ({type(cause or error).__name__})",
            cure="`mom storage check --repair` goes back to its last state that can be read",
        ) from error


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__


class _Leases:
    """A store that knows who writes a thread: graphs ask it for the lease themselves."""

    def hold_thread(self, thread: str) -> ThreadLease:
        """The right to write a thread, for as long as it is entered."""
        return ThreadLease(self, thread)


class _MemorySaver(_Leases, PrunedMemorySaver):
    """Threads in memory."""


class StorageErrorsMixin(_Leases, BaseCheckpointSaver[Any]):
    """Laid over a saver: whatever its storage raises in the middle of a run is a StorageError."""

    place: str

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """One checkpoint, the newest where the config names none."""
        with thread_errors(self.place, config):
            newest = await super().aget_tuple(config)
        if newest is not None:
            continue_ids(newest.checkpoint["id"])
        return newest

    async def alist(
        self, config: RunnableConfig | None, **kwargs: Any
    ) -> AsyncIterator[CheckpointTuple]:
        """Checkpoints, newest first."""
        with thread_errors(self.place, config):
            async for checkpoint in super().alist(config, **kwargs):
                yield checkpoint

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Keep a checkpoint."""
        with storage_errors(self.place):
            return await super().aput(config, checkpoint, metadata, new_versions)

    async def aput_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> None:
        """Keep what one node wrote."""
        with storage_errors(self.place):
            await super().aput_writes(config, writes, task_id, task_path)

    async def adelete_thread(self, thread_id: str) -> None:
        """Forget a thread."""
        with storage_errors(self.place):
            await super().adelete_thread(thread_id)

    async def aget_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        """What delta channels are rebuilt from."""
        with thread_errors(self.place, config):
            return await super().aget_delta_channel_history(config=config, channels=channels)


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
        yield _MemorySaver(serde=thread_serializer())
    elif url is not None and url.startswith(("postgresql://", "postgres://")):
        async with _open_postgres(url) as saver:
            yield saver
    else:
        async with _open_sqlite(_sqlite_path(url), busy_seconds) as saver:
            yield saver


@asynccontextmanager
async def open_pruned_store(url: str | None = None) -> AsyncIterator[BaseCheckpointSaver[Any]]:
    """Open the place where threads are kept; while it is open, old data is deleted there.

    Only where the user has said in `storage.yaml` what may go: see `runs.storage`.

    Raises:
        StorageError: as `open_checkpointer`.
        CouncilError: `storage.yaml` is wrong.
        ProviderNotInstalledError: PostgreSQL's packages are not installed.
    """
    async with open_checkpointer(url) as saver:
        if url == MEMORY or not paths.has_storage_limits():
            yield saver
            return
        from mom_council.runs.storage import automatic_pruning

        async with automatic_pruning(saver):
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


class _SqliteSaver(StorageErrorsMixin, GroupedSqliteSaver):
    """Grouped commits, and errors that name the file and the cure."""

    async def thread_rows(self, limit: int, thread: str | None = None) -> list[tuple[Any, ...]]:
        """Threads, newest first: name, turns, first and latest checkpoint."""
        with storage_errors(self.place):
            return await super().thread_rows(limit, thread)

    async def thread_outlines(self, limit: int) -> AsyncIterator[ThreadOutline]:
        """Threads, newest first, in one read."""
        with storage_errors(self.place):
            async for outline in super().thread_outlines(limit):
                yield outline

    async def take_lease(self, thread: str, holder: str, seen: tuple[int, int] | None) -> LeaseRow:
        """Take a thread that is free, or whose holder was seen dead; else who holds it."""
        with storage_errors(self.place):
            return await super().take_lease(thread, holder, seen)

    async def read_lease(self, thread: str) -> LeaseRow | None:
        """Who holds a thread, or held it last."""
        with storage_errors(self.place):
            return await super().read_lease(thread)

    async def renew_lease(self, thread: str, token: int) -> bool:
        """Say that its holder lives; False where it is another's."""
        with storage_errors(self.place):
            return await super().renew_lease(thread, token)

    async def release_lease(self, thread: str, token: int) -> None:
        """Give a thread back."""
        with storage_errors(self.place):
            await super().release_lease(thread, token)

    async def drop_thread(self, thread_id: str) -> None:
        """Forget a thread of a file that is deleted as a whole."""
        with storage_errors(self.place):
            await super().drop_thread(thread_id)


@asynccontextmanager
async def _open_sqlite(path: Path, busy_seconds: float) -> AsyncIterator[BaseCheckpointSaver[Any]]:
    _make_private(path)
    async with _connected(path, busy_seconds) as conn:
        saver = _SqliteSaver(conn, serde=thread_serializer())
        saver.place = str(path)
        # A damaged value that reads as text is found where it is read as bytes.
        conn.text_factory = lambda stored: stored.decode("utf-8", "replace")
        with storage_errors(saver.place), _unreadable_layout():
            await conn.execute(f"PRAGMA page_size = {_PAGE_BYTES}")
            # With a write-ahead log NORMAL never corrupts; a power cut may cost the last step.
            await conn.execute("PRAGMA synchronous = NORMAL")
            [[version]] = await conn.execute_fetchall("PRAGMA user_version")
            refuse_newer(saver.place, version, LAYOUT_VERSION)
            await _write_ahead(conn, busy_seconds)
            await saver.setup()
            # A file that another program holds is found out now, before a model was paid.
            await conn.execute("BEGIN IMMEDIATE")
            if version < LAYOUT_VERSION:
                await conn.execute(f"PRAGMA user_version = {LAYOUT_VERSION}")
            await conn.commit()
        try:
            yield saver
        finally:
            await saver.commits.drain()


@asynccontextmanager
async def _connected(path: Path, busy_seconds: float) -> AsyncIterator[aiosqlite.Connection]:
    with storage_errors(str(path)):
        conn = await aiosqlite.connect(path, timeout=busy_seconds)
    try:
        yield conn
    finally:
        await conn.close()


@contextmanager
def _unreadable_layout() -> Iterator[None]:
    """SQLite repeats damaged bytes of the layout in its message, which Python then cannot read."""
    try:
        yield
    except UnicodeDecodeError as error:
        damaged = sqlite3.DatabaseError("the layout cannot be read")
        damaged.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise damaged from error


async def _write_ahead(conn: aiosqlite.Connection, busy_seconds: float) -> None:
    """Have the file write ahead; SQLite itself does not wait while others read it meanwhile."""
    deadline = time.monotonic() + busy_seconds
    while True:
        try:
            await conn.execute_fetchall("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            is_busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
            if not is_busy or time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.01)
        else:
            return


def _make_private(path: Path) -> None:
    """Create the file for its owner alone; SQLite gives its log and index the same mode."""
    if path.is_dir() or path.is_fifo():
        kind = "a folder" if path.is_dir() else "a pipe"
        raise StorageError(
            f"threads cannot be kept in {str(path)!r}: it is {kind}", cure="name a file"
        )
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise StorageError(
            f"threads cannot be kept in {str(path)!r} ({error.strerror}): name a file in a folder "
            f"you can write, or set {paths.VARIABLE} to one"
        ) from error


class _PostgresParts(StorageErrorsMixin):
    """LangGraph's own, with leases, errors in words, and all that is written at once committed so.

    Nothing is kept of calls that are over.
    """

    conn: Any
    """The pool."""

    commits: PostgresCommits

    async def take_lease(self, thread: str, holder: str, seen: tuple[int, int] | None) -> LeaseRow:
        """Take a thread that is free, or whose holder was seen dead; else who holds it."""
        values = (thread, holder, time.time(), *(seen or (0, 0)))
        with storage_errors(self.place):
            async with self.conn.connection() as conn:
                row = await (await conn.execute(to_postgres(TAKE_LEASE), values)).fetchone()
                is_mine = row is not None
                if row is None:
                    row = await (await conn.execute(to_postgres(READ_LEASE), (thread,))).fetchone()
        lease = LeaseRow(**row, is_mine=is_mine)
        if is_mine:
            self.commits.tokens[thread] = lease.token
        return lease

    async def read_lease(self, thread: str) -> LeaseRow | None:
        """Who holds a thread, or held it last."""
        with storage_errors(self.place):
            async with self.conn.connection() as conn:
                row = await (await conn.execute(to_postgres(READ_LEASE), (thread,))).fetchone()
        return None if row is None else LeaseRow(**row)

    async def renew_lease(self, thread: str, token: int) -> bool:
        """Say that its holder lives; False where it is another's."""
        with storage_errors(self.place):
            async with self.conn.connection() as conn:
                renewed = await conn.execute(to_postgres(RENEW_LEASE), (thread, token))
        return bool(renewed.rowcount)

    async def release_lease(self, thread: str, token: int) -> None:
        """Give a thread back."""
        await self.commits.drain()
        with storage_errors(self.place):
            async with self.conn.connection() as conn:
                await conn.execute(to_postgres(RELEASE_LEASE), (thread, token))
        if self.commits.tokens.get(thread) == token:
            del self.commits.tokens[thread]

    async def aput_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> None:
        """Keep what one node wrote; returns once it is committed."""
        with storage_errors(self.place):
            statement = write_statement(self, config, writes, task_id, task_path)
            await self.commits.put(str(config["configurable"]["thread_id"]), [statement])

    async def aput(
        self,
        config: Any,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Keep a checkpoint, and drop what was written of calls at the one before it."""
        keys = config["configurable"]
        thread = str(keys["thread_id"])
        with storage_errors(self.place):
            writer, recorder = with_recorder(self)
            saved: RunnableConfig = await super(_PostgresParts, writer).aput(
                config, checkpoint, metadata, new_versions
            )
            if parent := keys.get("checkpoint_id"):
                place = (thread, keys.get("checkpoint_ns", ""), parent)
                await recorder.execute(POSTGRES_PRUNE, place)
            await self.commits.put(thread, recorder.statements)
        return saved

    async def thread_rows(self, limit: int) -> list[tuple[Any, ...]]:
        """Threads, newest first: name, turns, first and latest checkpoint."""
        with storage_errors(self.place):
            async with self.conn.connection() as conn:
                rows = await (await conn.execute(POSTGRES_THREADS, (limit,))).fetchall()
        return [tuple(row.values()) for row in rows]


@asynccontextmanager
async def _open_postgres(url: str) -> AsyncIterator[BaseCheckpointSaver[Any]]:
    try:
        from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
        from psycopg import (
            AsyncConnection,
            DataError,
            IntegrityError,
            NotSupportedError,
            ProgrammingError,
        )
        from psycopg.conninfo import conninfo_to_dict
        from psycopg.rows import dict_row

        how: dict[str, Any] = {
            "autocommit": True,
            "connect_timeout": _CONNECT_SECONDS,
            "prepare_threshold": 0,
            "row_factory": dict_row,
        }
        pool = _new_pool(url, how)
    except ImportError as error:
        raise ProviderNotInstalledError(
            "threads in PostgreSQL need its packages", cure=install_line("postgres")
        ) from error

    class PostgresSaver(_PostgresParts, AsyncPostgresSaver):
        """LangGraph's own, with ours before it."""

    with storage_errors("postgresql://"):
        parts = conninfo_to_dict(url)
    place = f"postgresql://{parts.get('host', 'localhost')}/{parts.get('dbname', '')}"
    # The pool would only log why it cannot connect; this says it.
    with storage_errors(place):
        first = await AsyncConnection.connect(url, **how)
        async with first:
            saver: Any = PostgresSaver(first, serde=thread_serializer())
            async with _alone(first):
                await saver.setup()
                await first.execute(POSTGRES_TURNS_INDEX)
                await first.execute(LEASE_TABLE)
                await first.execute(LAYOUT_TABLE)
                row = await (await first.execute(READ_LAYOUT)).fetchone()
                refuse_newer(place, row["version"] if row else 0, LAYOUT_VERSION)
                if row is None:
                    await first.execute(WRITE_LAYOUT, (LAYOUT_VERSION,))
    async with pool:
        saver = PostgresSaver(pool, serde=thread_serializer())
        saver.place = place
        of_values = (DataError, IntegrityError, NotSupportedError, ProgrammingError)
        saver.commits = PostgresCommits(pool, lambda error: isinstance(error, of_values))
        try:
            yield saver
        finally:
            await saver.commits.drain()


def _new_pool(url: str, how: Mapping[str, Any]) -> Any:
    """A pool of connections that is not open yet."""
    from psycopg_pool import AsyncConnectionPool, PoolTimeout

    class Pool(AsyncConnectionPool[Any]):
        """Waits long for a turn where many write, and not for a database that is gone.

        psycopg's own goes on trying to connect for minutes, at longer and longer intervals: nobody
        would be told, and a database that is back would be found late.
        """

        is_lost = False

        async def getconn(self, timeout: float | None = None) -> Any:  # noqa: ASYNC109 - psycopg's
            """A connection, as soon as one is free.

            Raises:
                PoolTimeout: none came in time, or nobody can connect.
            """
            whole = self.timeout if timeout is None else timeout
            first = min(whole, _RECONNECT_SECONDS if self.is_lost else _CONNECT_SECONDS)
            try:
                return await super().getconn(timeout=first)
            except PoolTimeout:
                if self.is_lost or first == whole:
                    raise
            return await super().getconn(timeout=whole - first)

    async def know_that_it_is_there(_: Any) -> None:
        pool.is_lost = False

    def know_that_it_is_lost(_: Any) -> None:
        pool.is_lost = True

    pool = Pool(
        url,
        kwargs=dict(how),
        min_size=1,
        max_size=_POOL,
        open=False,
        check=Pool.check_connection,
        configure=know_that_it_is_there,
        reconnect_timeout=_RECONNECT_SECONDS,
        reconnect_failed=know_that_it_is_lost,
    )
    return pool


def to_postgres(statement: str) -> str:
    """A statement of SQLite's, as psycopg takes it."""
    return statement.replace("?", "%s")


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
