"""Doing one thing to many items, a few at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


async def abreast(
    items: Sequence[T], act: Callable[[T], Awaitable[R]], concurrency: int
) -> AsyncIterator[tuple[T, R]]:
    """Each item with what came of it, as they are done.

    What still runs when the caller leaves is cancelled.

    Args:
        items: in the order they are begun.
        act: what is done to each; its error ends the whole.
        concurrency: how many are under way at a time.
    """
    waiting = iter(items)
    running: dict[asyncio.Future[R], T] = {}
    try:
        while True:
            while len(running) < max(1, concurrency) and (one := next(waiting, None)) is not None:
                running[asyncio.ensure_future(act(one))] = one
            if not running:
                return
            done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                yield running.pop(task), task.result()
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
