"""The journal of a node's calls, kept with the thread's checkpoint until the node has ended.

Each line is a pending write of the checkpoint at which the node runs, under a name of its own: any
store of LangGraph's keeps it, in the same place and the same transaction as what nodes return, and
gives it back with the checkpoint. Our own stores drop the lines when the next checkpoint is there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from langgraph.runtime import Runtime

from mom_council.models.call_record import CallRecord, JsonObject
from mom_council.seams.langgraph import CALL_CHANNEL, CheckpointPlace, place_of


class CallJournal:
    """The calls of one node in one superstep.

    A call is known by its name and by how many of that name the node made before it, never by what
    was sent: two runs of a node may word a prompt differently, and mean the same call.
    """

    def __init__(self, place: CheckpointPlace) -> None:
        self._place = place
        self._times: Counter[str] = Counter()
        self._lines: dict[str, list[JsonObject]] | None = None if place.is_resumed else {}

    async def open(self, name: str) -> CallRecord:
        """The record of the node's next call of this name."""
        self._times[name] += 1
        key = f"{self._place.task}/{name}#{self._times[name]}"

        async def write(number: int, line: JsonObject) -> None:
            await self._place.write(f"{key}/{number}", line)

        if self._lines is None:
            self._lines = await self._read()
        return CallRecord(write, self._lines.get(key, ()))

    async def _read(self) -> dict[str, list[JsonObject]]:
        """What an earlier run wrote of this node, by the keys of its calls."""
        found: dict[str, list[tuple[int, JsonObject]]] = {}
        for task, channel, line in await self._place.pending_writes():
            if channel == CALL_CHANNEL and task.startswith(f"{self._place.task}/"):
                key, _, number = task.rpartition("/")
                found.setdefault(key, []).append((int(number), line))
        return {key: [line for _, line in sorted(rows)] for key, rows in found.items()}


_open: ContextVar[CallJournal | None] = ContextVar("journal", default=None)


@contextmanager
def keep_journal(runtime: Runtime[Any]) -> Iterator[None]:
    """Within it, calls are written down, where the run keeps its thread."""
    place = place_of(runtime)
    token = _open.set(None if place is None else CallJournal(place))
    try:
        yield
    finally:
        _open.reset(token)


async def open_record(name: str) -> CallRecord:
    """The record of the next call of this name in the node that is running."""
    journal = _open.get()
    return CallRecord() if journal is None else await journal.open(name)
