"""What answers rows: this process by itself, or (in `ray_engine`) the processes of a cluster."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

from mom_council.batch.answering import Desk
from mom_council.batch.journal import Journal
from mom_council.batch.outcome import Outcome
from mom_council.batch.rows import Row
from mom_council.councils.schema import Council
from mom_council.graph.checkpoint import open_checkpointer
from mom_council.graph.context import CouncilContext


class Answer(Protocol):
    """Answers rows, several at a time."""

    async def __call__(self, row: Row, context: CouncilContext, /) -> Outcome:
        """Answer one row within what it may spend."""
        ...

    async def forget(self, index: int, /) -> None:
        """Drop what was kept to go on with a row that is finished."""
        ...


Engine = Callable[[Council, Journal, str], AbstractAsyncContextManager[Answer]]
"""Opens what answers: for a council, beside a journal, with a name for its threads."""


def local_engine(db: str | None = None) -> Engine:
    """Rows are answered here.

    Args:
        db: where their threads are kept meanwhile; left out, in the batch's own folder.
    """

    @asynccontextmanager
    async def opened(council: Council, journal: Journal, name: str) -> AsyncIterator[Answer]:
        journal.remember(engine="local")
        place = db or str(journal.folder / "threads.db")
        async with open_checkpointer(place) as saver:
            yield _Here(Desk(council, saver, f"batch-{name[:12]}"))

    return opened


class _Here:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def __call__(self, row: Row, context: CouncilContext, /) -> Outcome:
        return await self._desk.answer(row, context)

    async def forget(self, index: int, /) -> None:
        await self._desk.forget(index)
