"""Answering one row on a thread of its own, so that a killed batch repeats no finished call.

What answers rows: this process by itself, or (in `ray_engine`) the processes of a cluster.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Protocol

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver

from mom_council.batch.journal import Journal
from mom_council.batch.outcome import Outcome, of_status
from mom_council.batch.rows import Row
from mom_council.councils.schema import Council
from mom_council.deliberation.context import CouncilContext
from mom_council.errors import StorageError
from mom_council.graph.council import compile_council
from mom_council.records import Usage
from mom_council.redaction import redact
from mom_council.runs.checkpoints import open_checkpointer
from mom_council.runs.resume import is_open, resume


class Desk:
    """A council that answers rows, and where their threads are kept."""

    def __init__(self, council: Council, saver: BaseCheckpointSaver[Any], name: str) -> None:
        self._graph = compile_council(council, saver)
        self._saver = saver
        self._name = name

    async def answer(self, row: Row, context: CouncilContext) -> Outcome:
        """Answer a row, or finish answering it; that nobody answered is an outcome too.

        Raises:
            StorageError: its thread cannot be kept.
        """
        if row.fault:
            return Outcome(index=row.index, error=row.fault, unasked=True)
        config = self._config(row.index)
        try:
            values = await self._values(row, config, context)
        except StorageError:
            raise
        except Exception as error:
            # Whatever it is, it is this row's: the others are not held up by it.
            kept = (await self._graph.aget_state(config)).values
            used = sum((one.usage for one in kept.get("segments", [])), Usage())
            says = redact(f"{type(error).__name__}: {error}")
            return Outcome(index=row.index, error=_whole(says), usage=used)
        return of_status(row.index, _whole(values["messages"][-1].text), values["status"])

    async def forget(self, index: int) -> None:
        """Drop the thread of a row whose outcome is kept."""
        drop = getattr(self._saver, "drop_thread", self._saver.adelete_thread)
        await drop(self._config(index)["configurable"]["thread_id"])

    async def _values(
        self, row: Row, config: RunnableConfig, context: CouncilContext
    ) -> dict[str, Any]:
        begun = await self._graph.aget_state(config)
        if begun.values and not is_open(begun):
            return begun.values  # answered, and killed before that was written down
        if begun.values:
            return await resume(self._graph, config, context=context)
        asked = {"messages": [{"role": "user", "content": row.question}]}
        # Synchronous: otherwise what a step's nodes say may be kept before the step itself is, and
        # a kill between the two would have them asked again.
        values: dict[str, Any] = await self._graph.ainvoke(
            asked, config, context=context, durability="sync"
        )
        return values

    def _config(self, index: int) -> RunnableConfig:
        return {"configurable": {"thread_id": f"{self._name}-{index}"}}


def _whole(text: str) -> str:
    """A text that any file can hold: no halves of characters."""
    return text.encode("utf-8", "replace").decode("utf-8")


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
