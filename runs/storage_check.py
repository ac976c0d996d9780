"""Read everything that is stored: to export it, or to find and repair damage."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

from langgraph.checkpoint.base import BaseCheckpointSaver
from pydantic import Field

from mom_council.errors import DamagedValueError, StorageError
from mom_council.models import cache, ledger
from mom_council.records import Record
from mom_council.runs.leases import ThreadLease
from mom_council.runs.storage import DATED, STORES, StoreName, file_of, open_file
from mom_council.runs.threads import list_threads, show_thread
from mom_council.seams import thread_sizes as threads
from mom_council.tracing import store as traces

EXPORT_VERSION = 1


class DamagedValue(Record):
    """Something that cannot be read."""

    store: StoreName
    name: str
    reason: str
    repair: str = Field(description="what `--repair` does, or did")


async def export(
    saver: BaseCheckpointSaver[Any], folder: Path, names: Iterable[StoreName] = STORES
) -> dict[StoreName, int]:
    """Write each store into a file of JSON lines; how many lines each has.

    The first line of a file says what it holds, and the version of its form.

    Raises:
        StorageError: a file is there already or cannot be written, or a store cannot be read.
    """
    written: dict[StoreName, int] = {}
    for name in names:
        rows = [row async for row in _exported(saver, name)]
        await asyncio.to_thread(_write_rows, folder / f"{name}.jsonl", name, rows)
        written[name] = len(rows)
    return written


def _write_rows(file: Path, name: StoreName, rows: Iterable[Any]) -> None:
    head = {"export": name, "version": EXPORT_VERSION}
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with file.open("x", encoding="utf-8") as opened:
            file.chmod(0o600)
            for row in (head, *rows):
                opened.write(json.dumps(row, ensure_ascii=False, default=_as_json) + "\n")
    except FileExistsError:
        raise StorageError(f"{str(file)!r} is there already", cure="name another folder") from None
    except OSError as error:
        raise StorageError(f"{str(file)!r} cannot be written: {error.strerror}") from None


async def _exported(saver: BaseCheckpointSaver[Any], name: StoreName) -> AsyncIterator[Any]:
    if name == "threads":
        for one in await list_threads(saver):
            try:
                view = await show_thread(saver, one.id)
            except DamagedValueError as error:
                yield {"summary": one.model_dump(mode="json"), "error": str(error)}
                continue
            if view is not None:
                messages = [message.model_dump(mode="json") for message in view.messages]
                yield {**view.model_dump(mode="json", exclude={"messages"}), "messages": messages}
    elif name == "journal":
        for size in await threads.thread_sizes(saver):
            if size.call_lines:
                for call, line in await threads.call_lines(saver, size.thread):
                    yield {"thread": size.thread, "call": call, "line": line}
    else:
        for row in await asyncio.to_thread(_exported_rows, name):
            yield row


def _exported_rows(name: StoreName) -> list[dict[str, Any]]:
    if not file_of(name).exists():
        return []
    if name == "traces":
        store = traces.TraceStore()
        views = [store.load(one.id) for one in store.summaries(2**31 - 1)]
        return [view.model_dump(mode="json") for view in views if view is not None]
    rows = []
    with open_file(name) as db:
        for table, _ in DATED[name]:
            cursor = db.execute(f"SELECT * FROM {table}")  # noqa: S608
            names = [column[0] for column in cursor.description]
            rows += [{"table": table, **dict(zip(names, row, strict=True))} for row in cursor]
    return rows


def _as_json(value: Any) -> Any:
    return value.hex() if isinstance(value, bytes) else str(value)


async def check(saver: BaseCheckpointSaver[Any], *, repair: bool = False) -> list[DamagedValue]:
    """Read everything that is stored, and say what cannot be read.

    A thread is repaired by going back to its newest state that can be read; what else is damaged is
    deleted.

    Raises:
        StorageError: a store cannot be opened.
    """
    damaged = [one async for one in _check_threads(saver, repair=repair)]
    for name in DATED:
        for each in await asyncio.to_thread(_damaged_rows, name, repair=repair):
            line = DamagedValue(store=name, name=each, reason="cannot be read", repair="delete it")
            damaged.append(line)
    return damaged


def _damaged_rows(name: StoreName, *, repair: bool) -> list[str]:
    if not file_of(name).exists():
        return []
    if name == "traces":
        return traces.TraceStore().damaged(delete=repair)
    if name == "ledger":
        return ledger.Ledger().damaged(delete=repair)
    with cache.cache_errors() as file:
        return file.damaged(delete=repair)


async def _check_threads(saver: Any, *, repair: bool) -> AsyncIterator[DamagedValue]:
    for size in await threads.thread_sizes(saver):
        try:
            await show_thread(saver, size.thread)
        except DamagedValueError as error:
            step = "go back to its last state that can be read"
            if repair:
                async with ThreadLease(saver, size.thread, wait=0):
                    step = await _go_back(saver, size.thread)
            yield DamagedValue(store="threads", name=size.thread, reason=error.what, repair=step)


async def _go_back(saver: Any, thread: str) -> str:
    """Drop a thread's newest states until one can be read; what came of it."""
    dropped = 0
    for checkpoint in await threads.checkpoint_ids(saver, thread):
        try:
            await show_thread(saver, thread)
        except DamagedValueError:
            await threads.drop_checkpoint(saver, thread, checkpoint)
            dropped += 1
        else:
            return f"went back {dropped} step{'s' * (dropped != 1)}"
    await saver.adelete_thread(thread)
    return "deleted: no state of it could be read"
