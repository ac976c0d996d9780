"""One thread on which the models of this process compute, one call after another.

They share the same hardware, so two at once are no faster, and need the memory of two. Who is first
in line is served first, but for this: whoever's weights are loaded goes before who would have to
load others, so that a round of calls does not load two models by turns.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

OVERTAKEN = 64
"""Later calls that may be served before an earlier one: nobody waits for ever."""


@dataclass(slots=True)
class _Job:
    key: Hashable
    work: Callable[[], Any]
    future: Future[Any] = field(default_factory=Future)
    overtaken: int = 0


class Bench:
    """Calls in line for one thread; `loaded()` says whose weights are in memory."""

    def __init__(self, loaded: Callable[[], Collection[Hashable]]) -> None:
        self._loaded = loaded
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="bench")
        self._line: list[_Job] = []
        self._lock = threading.Lock()

    def submit(self, key: Hashable, work: Callable[[], Any]) -> Future[Any]:
        """Get in line with work that needs the weights called `key`; cancel it to leave."""
        job = _Job(key, work)
        with self._lock:
            self._line.append(job)
        self._pool.submit(self._serve)
        return job.future

    def _serve(self) -> None:
        with self._lock:
            job = self._next()
        if not job.future.set_running_or_notify_cancel():
            return
        try:
            result = job.work()
        except BaseException as error:
            job.future.set_exception(error)
        else:
            job.future.set_result(result)

    def _next(self) -> _Job:
        first = self._line[0]
        if first.overtaken < OVERTAKEN:
            loaded = self._loaded()
            chosen = next((job for job in self._line if job.key in loaded), first)
        else:
            chosen = first
        place = self._line.index(chosen)
        for earlier in self._line[:place]:
            earlier.overtaken += 1
        return self._line.pop(place)
