"""How many questions are answered at once, how many wait, and when one is turned away."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from mom_council.server.errors import Refusal

_LONGEST = 120
"""Seconds that a client is told to wait at the most."""


class Places:
    """So many questions at once; the next ones wait in a row of bounded length."""

    def __init__(self, at_once: int, waiting: int) -> None:
        self.at_once = at_once
        self.most_waiting = waiting
        self.taken = 0
        self.waiting = 0
        self._free = asyncio.Semaphore(at_once)
        self._usual = 1.0
        """Seconds that a question has taken lately."""

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Take a place, in the order of coming.

        Raises:
            Refusal: all are taken and the row is full: 429 with Retry-After.
        """
        if self._free.locked() and self.waiting >= self.most_waiting:
            raise self.full()
        self.waiting += 1
        try:
            await self._free.acquire()
        finally:
            self.waiting -= 1
        self.taken += 1
        began = time.monotonic()
        try:
            yield
        finally:
            self.taken -= 1
            self._free.release()
            self._usual += (time.monotonic() - began - self._usual) / 8

    def full(self) -> Refusal:
        """The refusal of one question too many."""
        wait = self._usual * (self.waiting + 1) / self.at_once
        seconds = min(max(math.ceil(wait), 1), _LONGEST)
        return Refusal(
            429,
            f"{self.taken} questions are being answered and {self.waiting} wait; "
            f"ask again in {seconds} s",
            code="rate_limit_exceeded",
            headers={"Retry-After": str(seconds)},
        )
