"""Rows answered by the processes of a Ray cluster, for batches that outgrow one machine.

The cluster is the one that RAY_ADDRESS names, else one on this machine that ends with the batch.
Rows are shared out by their number, so that a killed batch finds each one's thread again: in the
batch's folder, which all machines must see under one path, or in PostgreSQL. Keys are never sent:
each machine has them in its own environment.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from mom_council.batch.engine import Answer, Desk, Engine
from mom_council.batch.journal import Journal, hold
from mom_council.batch.outcome import Outcome
from mom_council.batch.rows import Row
from mom_council.councils.loader import load_council
from mom_council.councils.schema import Council
from mom_council.deliberation.context import CouncilContext
from mom_council.errors import ProviderNotInstalledError, StorageError
from mom_council.runs.checkpoints import open_checkpointer

_HOLD_SECONDS = 60


def ray_engine(workers: int, db: str | None = None) -> Engine:
    """Rows are answered by so many workers of a Ray cluster.

    Args:
        workers: how many; a batch goes on with as many as it was begun with.
        db: where threads are kept; left out, in the batch's own folder, a file for each worker.
    """

    @asynccontextmanager
    async def opened(council: Council, journal: Journal, name: str) -> AsyncIterator[Answer]:
        ray = _ray()
        journal.remember(f"ray, {workers} workers")
        began = await asyncio.to_thread(_join, ray)
        made = ray.remote(Worker).options(
            # Placed one on each machine as far as they go; a lost one is begun again elsewhere.
            scheduling_strategy="SPREAD",
            num_cpus=0,
            max_restarts=-1,
            max_task_retries=-1,
        )
        written = council.model_dump(mode="json", exclude_defaults=True)
        places = [db or str(journal.folder.absolute() / f"threads-{n}.db") for n in range(workers)]
        hands = [made.remote(written, place, f"batch-{name[:12]}") for place in places]
        try:
            yield _There(ray, hands)
        finally:
            for hand in hands:
                ray.kill(hand)
            if began:
                await asyncio.to_thread(ray.shutdown)

    return opened


def _ray() -> Any:
    # Ray's own counting of its users, and its page on a port, stay off.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError:
        raise ProviderNotInstalledError(
            "a Ray cluster needs its package", cure="pip install 'mom-council[ray]'"
        ) from None
    return ray


def _join(ray: Any) -> bool:
    """Join the cluster; whether that was our doing, and so is leaving it."""
    if ray.is_initialized():
        return False
    how: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    address = os.environ.get("RAY_ADDRESS") or "local"
    if address == "local":
        how |= {"include_dashboard": False, "_node_ip_address": "127.0.0.1"}
    ray.init(address=address, **how)
    return True


class Worker:
    """One process of the cluster: a council at its desk."""

    def __init__(self, council: dict[str, Any], place: str, name: str) -> None:
        self._council = load_council(council)
        self._place, self._name = place, name
        self._stack = AsyncExitStack()
        self._opening = asyncio.Lock()
        self._desk: Desk | None = None
        self._lock: Any = None

    async def answer(self, row: tuple[Any, ...], context: dict[str, Any]) -> dict[str, Any]:
        """Answer a row."""
        desk = await self._open()
        outcome = await desk.answer(Row(*row), CouncilContext.model_validate(context))
        return outcome.model_dump(mode="json")

    async def forget(self, index: int) -> None:
        """Drop a finished row's thread."""
        await (await self._open()).forget(index)

    async def _open(self) -> Desk:
        async with self._opening:
            if self._desk is None:
                await asyncio.to_thread(self._hold)
                saver = await self._stack.enter_async_context(open_checkpointer(self._place))
                self._desk = Desk(self._council, saver, self._name)
            return self._desk

    def _hold(self) -> None:
        """Wait for the worker of a batch that was killed: it may still be asking."""
        if "://" in self._place:
            return
        self._lock = hold(Path(f"{self._place}.lock"), _HOLD_SECONDS)
        if self._lock is None:
            raise StorageError(
                f"another worker is at work in {self._place}", cure="wait for it, or end it"
            )


class _There:
    def __init__(self, ray: Any, hands: list[Any]) -> None:
        self._ray = ray
        self._hands = hands

    async def __call__(self, row: Row, context: CouncilContext, /) -> Outcome:
        hand = self._hands[row.index % len(self._hands)]
        # The columns stay here: only the question is asked.
        under_way = hand.answer.remote(
            (row.index, {}, row.question, row.fault), context.model_dump(mode="json")
        )
        try:
            return Outcome.model_validate(await under_way)
        except asyncio.CancelledError:
            self._ray.cancel(under_way)
            raise

    async def forget(self, index: int, /) -> None:
        await self._hands[index % len(self._hands)].forget.remote(index)
