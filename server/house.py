"""What all requests of a server share: the councils, the keys, the places, the store of threads."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from langgraph.checkpoint.base import BaseCheckpointSaver

from mom_council.models.clients import close_loop_resources
from mom_council.runs.checkpoints import open_checkpointer
from mom_council.server.errors import Refusal
from mom_council.server.keys import Keys
from mom_council.server.metrics import Metrics, Places
from mom_council.server.offer import Offer
from mom_council.tracing.langsmith import settle_langsmith


@dataclass(frozen=True, slots=True)
class Settings:
    """How a server is to behave."""

    database: str | None = None
    """Where threads are kept, as `open_checkpointer` takes it; None: the usual file."""
    at_once: int = 256
    waiting: int = 256
    most_bytes: int = 32_000_000
    """Of a request's body: a long conversation with pictures in it."""
    threads: bool = True
    """Whether a request may name a thread."""
    candid: bool = True
    """Whether clients read an error's own words. Off where they are not on this machine."""


class House:
    """Opened once for each server, in its event loop."""

    def __init__(self, offer: Offer, keys: Keys, settings: Settings) -> None:
        self.offer = offer
        self.keys = keys
        self.settings = settings
        self.places = Places(settings.at_once, settings.waiting)
        self.metrics = Metrics(self.places)
        self._saver: BaseCheckpointSaver[Any] | None = None
        self._opening = asyncio.Lock()
        self._stack = contextlib.AsyncExitStack()
        self._answering: set[str] = set()

    async def open(self) -> None:
        """Make ready for the first request; a database that was named is opened now.

        Raises:
            StorageError: threads cannot be kept there.
        """
        await asyncio.to_thread(settle_langsmith, os.environ)
        if self.settings.database is not None:
            await self.saver()

    async def close(self) -> None:
        """Close the store and the voices."""
        await self._stack.aclose()
        await close_loop_resources()

    async def saver(self) -> BaseCheckpointSaver[Any]:
        """The store of threads, opened when it is first asked for.

        Raises:
            StorageError: it cannot be opened.
        """
        async with self._opening:
            if self._saver is None:
                opened = open_checkpointer(self.settings.database)
                self._saver = await self._stack.enter_async_context(opened)
        return self._saver

    @contextlib.asynccontextmanager
    async def alone_in(self, thread: str | None) -> AsyncIterator[None]:
        """Be the only one to answer in a thread.

        Raises:
            Refusal: somebody is; two answers at once would be woven into each other.
        """
        if thread is None:
            yield
            return
        if thread in self._answering:
            raise Refusal(
                409,
                "a question is being answered in this thread; wait for its answer",
                code="thread_busy",
                headers={"x-should-retry": "false"},
            )
        self._answering.add(thread)
        try:
            yield
        finally:
            self._answering.discard(thread)
