"""What is stored on this machine: its size, what may be deleted, and how to export it.

    threads     conversations, in the store that a door opens (SQLite or PostgreSQL)
    journal     what was written down of the calls of open questions; it lies in their threads
    traces      local traces
    cache       answers to identical requests
    ledger      how often each model was right

`storage.yaml` in the configuration folder says what may stay, and for how long::

    threads: {days: 365, megabytes: 2000}
    traces: {days: 30}

Where it says something, doors that keep threads delete what is beyond it by themselves, once an
hour at the most. A thread is never deleted while somebody answers in it, nor while it waits for a
person, unless that was asked for; each that was kept is named with the reason.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, get_args

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.serde.types import INTERRUPT
from pydantic import Field, TypeAdapter

from mom_council import paths
from mom_council.councils.schema import Section
from mom_council.councils.yaml import read_settings
from mom_council.deliberation.interrupts import is_pause
from mom_council.errors import DamagedValueError, MixtureError, StorageError, ThreadBusyError
from mom_council.models import cache, ledger
from mom_council.paths import count_rows, open_database, prune_rows
from mom_council.records import Record
from mom_council.redaction import logger
from mom_council.runs.leases import ThreadLease
from mom_council.runs.threads import delete_thread
from mom_council.seams import thread_sizes as threads
from mom_council.seams.thread_sizes import ThreadSize
from mom_council.tracing import store as traces

StoreName = Literal["threads", "journal", "traces", "cache", "ledger"]
STORES: tuple[StoreName, ...] = get_args(StoreName)

_log = logger(__name__)
_HOUR = 3600.0
_DAY = 86_400.0
_FIRST = 946_684_800.0
"""Epoch seconds of the year 2000: what is older was written by a clock that was wrong."""
_LONG = 6 * _HOUR
"""Since the last pruning, or else the newest thread: nobody was here, or the clock is wrong."""
_DOUBT = 12 * _HOUR
"""How long nothing is deleted by itself where that is in doubt: time to set the clock right."""
_GRACE = 2.0
"""Seconds that a door which closes gives the deletion under way."""


class Limits(Section):
    """What of one store may stay."""

    days: float | None = Field(default=None, ge=0, description="older ones are deleted")
    megabytes: float | None = Field(
        default=None, ge=0, description="the newest ones that fit in it stay"
    )

    @property
    def is_set(self) -> bool:
        """Whether anything is limited."""
        return self.days is not None or self.megabytes is not None

    @property
    def most_bytes(self) -> int | None:
        """The megabytes as bytes."""
        return None if self.megabytes is None else int(self.megabytes * 1e6)

    def before(self) -> float | None:
        """Epoch seconds; what is older goes."""
        return None if self.days is None else time.time() - self.days * _DAY


class Retention(Section):
    """What may stay of each store; a store that is left out keeps what it holds."""

    threads: Limits = Limits()
    journal: Limits = Limits()
    traces: Limits = Limits()
    cache: Limits = Limits()
    ledger: Limits = Limits()

    def of(self, name: StoreName) -> Limits:
        """The limits of one store."""
        limits: Limits = getattr(self, name)
        return limits


class StoreReport(Record):
    """How much one store holds."""

    name: StoreName
    place: str
    items: int = 0
    bytes: int = Field(default=0, description="of what may be pruned")
    on_disk: int = Field(default=0, description="of the whole file or database")
    free: int = Field(default=0, description="of those, free for new rows; vacuum gives them back")
    oldest: datetime | None = None
    days: float | None = Field(default=None, description="limit from storage.yaml")
    megabytes: float | None = Field(default=None, description="limit from storage.yaml")
    error: str = Field(default="", description="why it cannot be read")


class KeptThread(Record):
    """A thread that is beyond the limits and was not deleted."""

    thread: str
    reason: str


class Pruned(Record):
    """What was deleted from one store, or would be."""

    name: StoreName
    items: int = 0
    bytes: int = 0
    kept: tuple[KeptThread, ...] = ()


def read_retention() -> Retention:
    """The limits that the user wrote; none where there is no such file.

    Raises:
        CouncilError: the file is wrong.
    """
    if not paths.has_storage_limits():
        return Retention()
    file = paths.storage_limits()
    return read_settings(file, TypeAdapter(Retention), "stores and their limits", Retention)


def file_of(name: StoreName) -> Path:
    """The file of a store that is one SQLite file."""
    if name == "traces":
        return paths.traces_dir() / traces.FILE
    return paths.cache_dir() / cache.FILE if name == "cache" else paths.data_dir() / ledger.FILE


@contextmanager
def open_file(name: StoreName, *, write: bool = False) -> Iterator[sqlite3.Connection]:
    """Open such a store.

    Raises:
        StorageError: it cannot be read or written.
    """
    if name == "cache":
        with cache.cache_errors() as file, file.open() as db:
            yield db
    else:
        layout = traces.LAYOUT if name == "traces" else ledger.LAYOUT
        with open_database(file_of(name), layout, write=write) as db:
            yield db


DATED: dict[StoreName, tuple[tuple[str, str], ...]] = {
    "traces": traces.LAYOUT.dated,
    "cache": cache.DATED,
    "ledger": ledger.LAYOUT.dated,
}


async def report(saver: BaseCheckpointSaver[Any], limits: Retention) -> list[StoreReport]:
    """How much each store holds; one that cannot be read says why."""
    reports = []
    for name in STORES:
        limit = limits.of(name).model_dump()
        try:
            if name in ("threads", "journal"):
                reports.append(StoreReport(**await _report_threads(saver, name), **limit))
            else:
                reports.append(StoreReport(**await asyncio.to_thread(_report_file, name), **limit))
        except MixtureError as error:
            reports.append(StoreReport(name=name, place="", error=str(error), **limit))
    return reports


async def _report_threads(saver: Any, name: StoreName) -> dict[str, Any]:
    sizes = await threads.thread_sizes(saver)
    place = getattr(saver, "place", "memory")
    if name == "journal":
        open_threads = [one for one in sizes if one.call_lines]
        oldest = min((one.updated for one in open_threads), default=None)
        lines = sum(one.call_lines for one in open_threads)
        return {"name": name, "place": place, "items": lines, "oldest": oldest}
    on_disk, free = await threads.stored_bytes(saver)
    return {
        "name": name,
        "place": place,
        "items": len(sizes),
        "bytes": sum(one.bytes for one in sizes),
        "on_disk": on_disk,
        "free": free,
        "oldest": min((one.updated for one in sizes), default=None),
    }


def _report_file(name: StoreName) -> dict[str, Any]:
    path = file_of(name)
    if not path.exists():
        return {"name": name, "place": str(path)}
    with open_file(name) as db:
        counted = count_rows(db, DATED[name])
        [(free,)] = db.execute(
            "SELECT freelist_count * page_size FROM pragma_freelist_count, pragma_page_size"
        )
    oldest = None if counted.oldest is None else datetime.fromtimestamp(counted.oldest, UTC)
    sizes = {"bytes": counted.bytes, "on_disk": path.stat().st_size, "free": free}
    return {"name": name, "place": str(path), "items": counted.rows, "oldest": oldest, **sizes}


async def prune(
    saver: BaseCheckpointSaver[Any],
    name: StoreName,
    limits: Limits,
    *,
    waiting: bool = False,
    dry_run: bool = False,
) -> Pruned:
    """Delete what is beyond the limits, the oldest first.

    Args:
        saver: where threads are kept.
        name: the store.
        limits: what may stay.
        waiting: delete threads, too, that wait for a person.
        dry_run: only say what would be deleted.

    Raises:
        StorageError: the store cannot be read or written.
    """
    if not limits.is_set:
        return Pruned(name=name)
    if name == "threads":
        return await _prune_threads(saver, limits, waiting=waiting, dry_run=dry_run)
    if name == "journal":
        return await _prune_journal(saver, limits, dry_run=dry_run)
    return await asyncio.to_thread(_prune_file, name, limits, dry_run=dry_run)


def _prune_file(name: StoreName, limits: Limits, *, dry_run: bool) -> Pruned:
    if not file_of(name).exists():
        return Pruned(name=name)
    with open_file(name, write=not dry_run) as db:
        dropped = prune_rows(
            db,
            DATED[name],
            before=limits.before(),
            most_bytes=limits.most_bytes,
            dry_run=dry_run,
        )
    return Pruned(name=name, items=dropped.rows, bytes=dropped.bytes)


def _beyond(sizes: Iterable[ThreadSize], limits: Limits) -> Iterator[ThreadSize]:
    """Threads that are too old, or too many for the space; the oldest first."""
    ordered = sorted(sizes, key=lambda one: one.updated)
    total = sum(one.bytes for one in ordered)
    before, most = limits.before(), limits.most_bytes
    for one in ordered:
        is_old = before is not None and _FIRST < one.updated.timestamp() < before
        if is_old or (most is not None and total > most):
            yield one
        total -= one.bytes


async def _prune_threads(saver: Any, limits: Limits, *, waiting: bool, dry_run: bool) -> Pruned:
    items = size = 0
    left = []
    for one in _beyond(await threads.thread_sizes(saver), limits):
        try:
            if one.is_stopped and not waiting and await _waits_for_person(saver, one.thread):
                reason = "it waits for a person"
            elif dry_run:
                reason = await ThreadLease(saver, one.thread).holder()
            else:
                await delete_thread(saver, one.thread, unless_used_since=one.updated)
                reason = ""
        except ThreadBusyError as error:
            reason = error.what
        if reason:
            left.append(KeptThread(thread=one.thread, reason=reason))
        else:
            items += 1
            size += one.bytes
    return Pruned(name="threads", items=items, bytes=size, kept=tuple(left))


async def _waits_for_person(saver: BaseCheckpointSaver[Any], thread: str) -> bool:
    config: Any = {"configurable": {"thread_id": thread, "checkpoint_ns": ""}}
    try:
        latest = await saver.aget_tuple(config)
    except DamagedValueError:
        return False
    if latest is None:
        return False
    waiting = [value for _, name, value in latest.pending_writes or () if name == INTERRUPT]
    return any(not is_pause(one.value) for value in waiting for one in value)


async def _prune_journal(saver: Any, limits: Limits, *, dry_run: bool) -> Pruned:
    """Forget lines of open calls by age; such a question asks its open calls again when resumed."""
    before = limits.before()
    lines = 0
    left = []
    for one in await threads.thread_sizes(saver):
        if not one.call_lines or before is None or one.updated.timestamp() >= before:
            continue
        try:
            if not dry_run:
                async with ThreadLease(saver, one.thread, wait=0):
                    await threads.drop_call_lines(saver, one.thread)
            lines += one.call_lines
        except ThreadBusyError as error:
            left.append(KeptThread(thread=one.thread, reason=error.what))
    return Pruned(name="journal", items=lines, kept=tuple(left))


async def vacuum(saver: BaseCheckpointSaver[Any]) -> dict[StoreName, int]:
    """Give free space back to the disk; how many bytes each store gave.

    Raises:
        StorageError: a file is held by another program.
    """
    freed: dict[StoreName, int] = {}
    before, _ = await threads.stored_bytes(saver)
    await threads.vacuum(saver, time.time() - 7 * _DAY)
    freed["threads"] = before - (await threads.stored_bytes(saver))[0]
    freed |= await asyncio.to_thread(_vacuum_files)
    return freed


def _vacuum_files() -> dict[StoreName, int]:
    freed: dict[StoreName, int] = {}
    for name in DATED:
        if (path := file_of(name)).exists():
            before = path.stat().st_size
            with open_file(name) as db:
                db.commit()
                db.execute("VACUUM")
                db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            freed[name] = before - path.stat().st_size
    return freed


@asynccontextmanager
async def automatic_pruning(saver: BaseCheckpointSaver[Any]) -> AsyncIterator[None]:
    """While it is entered, what is beyond the user's limits is deleted, once an hour."""
    limits = await asyncio.to_thread(read_retention)
    first_pass = asyncio.Event()
    pruning = asyncio.create_task(_prune_by_the_hour(saver, limits, first_pass))
    try:
        yield
    finally:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_GRACE):
                await first_pass.wait()
        pruning.cancel()
        await asyncio.gather(pruning, return_exceptions=True)


async def _prune_by_the_hour(
    saver: BaseCheckpointSaver[Any], limits: Retention, first_pass: asyncio.Event
) -> None:
    while True:
        try:
            if await _is_due(saver):
                await prune_all(saver, limits)
        except MixtureError as error:
            _log.warning("old data is not deleted now: %s", error)
        finally:
            first_pass.set()
        await asyncio.sleep(_HOUR)


async def prune_all(saver: BaseCheckpointSaver[Any], limits: Retention) -> list[Pruned]:
    """Delete what is beyond the user's limits, and write down what that was.

    Raises:
        StorageError: a store cannot be read or written.
    """
    pruned = [await prune(saver, name, limits.of(name)) for name in STORES]
    for one in pruned:
        if one.items:
            _log.info("storage: %s %s deleted, as storage.yaml says", one.items, one.name)
        for each in one.kept:
            _log.info("storage: thread %r is kept: %s", each.thread, each.reason)
    written = {
        "version": 1,
        "at": time.time(),
        "stores": [one.model_dump(mode="json") for one in pruned],
    }
    await asyncio.to_thread(_write_pruning, written)
    return pruned


def last_pruning() -> dict[str, Any] | None:
    """When stores were last pruned by themselves, and what came of it; None: never."""
    read = _read_pruning()
    return read if _number(read.get("at")) is not None else None


def _read_pruning() -> dict[str, Any]:
    try:
        read = json.loads(_pruned_file().read_text("utf-8"))
    except (OSError, ValueError, StorageError):
        return {}
    return read if isinstance(read, dict) else {}


def _write_pruning(written: dict[str, Any]) -> None:
    with contextlib.suppress(OSError, StorageError):
        _pruned_file().write_text(json.dumps(written), "utf-8")


def _pruned_file() -> Path:
    return paths.ensure(paths.data_dir()) / "pruned.json"


async def _is_due(saver: BaseCheckpointSaver[Any]) -> bool:
    """Whether old data may go now: an hour after the last time.

    A clock that jumped ahead makes everything old. It looks like a long time in which nobody was
    here, so after such a time nothing goes for half a day.
    """
    now, last = time.time(), await asyncio.to_thread(_read_pruning)
    at, doubted = (_number(last.get(name)) for name in ("at", "doubted"))
    if at is not None and 0 <= now - at < _HOUR:
        return False
    if doubted is not None and 0 <= now - doubted <= 400 * _DAY:
        return now - doubted >= _DOUBT
    if at is None or at > now:  # what was pruned last, or else written last, was here last
        sizes = await threads.thread_sizes(saver)
        at = max((one.updated.timestamp() for one in sizes), default=None)
    if at is None or now - at <= _LONG:
        return True
    await asyncio.to_thread(_write_pruning, {**last, "version": 1, "doubted": now})
    return False


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) else None
