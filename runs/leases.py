"""One writer for each thread: a lease in the store, which ends with its holder in any case.

    lease = ThreadLease(saver, "cats")
    busy = await lease.try_to_take()            # who is waited for, in one line
    async with lease:
        ...                                     # nobody else writes the thread

A lease has a number that only grows, its fencing token. The store checks it in the transaction of
every write, so a writer whose lease was taken (its machine slept, say) cannot write any more.

No clock is compared between programs. A holder counts its beat up in the store every few seconds;
who waits takes the lease when it has watched the same beat for `PATIENCE` seconds of its own
monotonic clock. A holder on this machine whose process is gone is not waited for.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import platform
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from mom_council.errors import StorageError, ThreadBusyError
from mom_council.seams.stores import LeaseRow

BEAT = 3.0
"""Seconds between two beats of a holder."""
PATIENCE = 15.0
"""Seconds without a beat after which a lease is taken from its holder."""
_POLL = 0.2
"""Seconds between two looks at a lease that is held."""

_NOT_GIVEN_BACK: WeakKeyDictionary[Any, dict[str, int]] = WeakKeyDictionary()
"""Of each store the leases of this process that it could not write down as free, as its disk was
full: nobody here holds them, and a living process is waited for."""


class ThreadLease:
    """The right to write a thread, for as long as it is entered.

    Args:
        saver: where the thread is kept; a store that knows no leases grants it at once.
        thread: its name; None: nothing is kept, so nothing is held.
        wait: seconds to wait for its holder; None: as long as that lives.
    """

    def __init__(self, saver: Any, thread: str | None, wait: float | None = None) -> None:
        self._saver = saver if hasattr(saver, "take_lease") else None
        self._thread = thread or ""
        self._wait = wait
        self._row: LeaseRow | None = None
        self._watched = (0, 0)
        self._since = 0.0
        self._beating: asyncio.Task[None] | None = None

    async def try_to_take(self) -> str:
        """Take the lease if it is free; else in one line who holds it.

        Raises:
            StorageError: the store cannot be used.
        """
        if self._saver is None or not self._thread or self._is_mine:
            return ""
        await self._free_what_was_left()
        is_over = self._watched[0] and time.monotonic() - self._since >= PATIENCE
        seen = self._watched if is_over else None
        row = self._row = await self._saver.take_lease(self._thread, _holder(), seen)
        if row.is_mine:
            return ""
        if (row.token, row.beat) != self._watched:
            self._watched, self._since = (row.token, row.beat), time.monotonic()
        if _is_dead(row.holder):
            self._since = time.monotonic() - PATIENCE
        return _in_one_line(self._thread, row)

    async def holder(self) -> str:
        """In one line who holds it and lives, without taking it; empty where it is free.

        Raises:
            StorageError: the store cannot be used.
        """
        if self._saver is None:
            return ""
        row = await self._saver.read_lease(self._thread)
        if row is None or not row.holder or _is_dead(row.holder):
            return ""
        return _in_one_line(self._thread, row)

    @property
    def _is_mine(self) -> bool:
        return self._row is not None and self._row.is_mine

    async def __aenter__(self) -> ThreadLease:
        """Wait until the thread is free, or its holder is dead, and take it.

        Raises:
            ThreadBusyError: somebody else writes it, and was waited for that long.
            StorageError: the store cannot be used.
        """
        began = time.monotonic()
        while busy := await self.try_to_take():
            if time.monotonic() - self._since >= PATIENCE:
                continue
            if self._wait is not None and time.monotonic() - began >= self._wait:
                raise ThreadBusyError(busy, cure="wait for its answer, or name another thread")
            await asyncio.sleep(_POLL)
        if self._is_mine:
            self._beating = asyncio.create_task(self._beat())
        return self

    async def __aexit__(self, *error: object) -> None:
        """Give the thread back."""
        if self._beating is None or self._row is None or self._saver is None:
            return
        self._beating.cancel()
        try:
            await asyncio.shield(self._saver.release_lease(self._thread, self._row.token))
        except StorageError:  # elsewhere it ends by itself, without a beat
            _NOT_GIVEN_BACK.setdefault(self._saver, {})[self._thread] = self._row.token

    async def _free_what_was_left(self) -> None:
        token = _NOT_GIVEN_BACK.get(self._saver, {}).get(self._thread)
        if token is not None and self._saver is not None:
            await self._saver.release_lease(self._thread, token)
            _NOT_GIVEN_BACK[self._saver].pop(self._thread, None)

    async def _beat(self) -> None:
        assert self._saver is not None  # noqa: S101 - it was taken there
        assert self._row is not None  # noqa: S101
        while True:
            await asyncio.sleep(BEAT)
            with contextlib.suppress(StorageError):  # the next write says what is wrong
                if not await self._saver.renew_lease(self._thread, self._row.token):
                    return


def _in_one_line(thread: str, row: LeaseRow) -> str:
    holder = _read(row.holder)
    since = datetime.fromtimestamp(row.since, UTC).astimezone()
    return (
        f"thread {thread!r} is being answered by {holder.get('name', 'another program')} "
        f"(process {holder.get('pid', 'unknown')}) since {since:%H:%M:%S}"
    )


def _holder() -> str:
    """This process, for others that want the same thread."""
    name = Path(sys.argv[0]).name if sys.argv and sys.argv[0] else "a program"
    if name == "mom" and len(sys.argv) > 1 and sys.argv[1].isalpha():
        name += f" {sys.argv[1]}"
    pid = os.getpid()
    return json.dumps({"name": name, "pid": pid, "born": _born(pid), "machine": _machine()})


def _is_dead(holder: str) -> bool:
    """Whether it is sure that the process is gone: one of this machine, which is not there."""
    other = _read(holder)
    if other.get("machine") != _machine() or not other.get("born"):
        return False
    return bool(_born(int(other["pid"])) != other["born"])


def _read(holder: str) -> dict[str, Any]:
    try:
        value = json.loads(holder)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _machine() -> str:
    """Where process numbers mean the same: this boot of this machine, and its namespace."""
    parts = [platform.node()]
    with contextlib.suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip())
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    return " ".join(parts)


def _born(pid: int) -> str:
    """When a process began, on the machine's own clock; empty where it is gone or nobody says."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]
