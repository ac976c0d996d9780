"""Answering one row on a thread of its own, so that a killed batch repeats no finished call.

What answers rows: this process by itself, or (in `ray_engine`) the processes of a cluster.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Protocol

from langgraph.checkpoint.base import BaseCheckpointSaver
from pydantic import ValidationError

from mom_council.batch.journal import Journal
from mom_council.batch.rows import Row, RowOutcome, answered_row
from mom_council.councils.schema import Council
from mom_council.deliberation.context import AnswerForm, CouncilContext
from mom_council.errors import BudgetError, StorageError
from mom_council.records import Usage
from mom_council.redaction import redact
from mom_council.runs.ask import OpenCouncil, Run, open_runs
from mom_council.runs.follow import is_open


class RowRunner:
    """Answers the rows of a batch with one council, each row in a thread of its own.

    Nobody sits in front of a batch: a person of the council is absent, and a call of a tool that
    needs approval is declined.

    Args:
        council: who answers.
        saver: where the threads of the rows are kept until they are answered.
        name: the beginning of the threads' names.
        traced: whether each row leaves a local trace.
    """

    def __init__(
        self,
        council: Council,
        saver: BaseCheckpointSaver[Any],
        name: str,
        *,
        traced: bool = False,
    ) -> None:
        self._opened = OpenCouncil(council, saver)
        self._saver = saver
        self._name = name
        self._traced = traced

    async def answer(self, row: Row, context: CouncilContext) -> RowOutcome:
        """Answer a row, or finish answering it; that nobody answered is an outcome too.

        Raises:
            StorageError: its thread cannot be kept.
        """
        if row.fault:
            return RowOutcome(index=row.index, error=row.fault, unasked=True)
        try:
            form = AnswerForm.model_validate(row.form)
        except ValidationError as error:
            wrong = error.errors()[0]
            where = ".".join(map(str, wrong["loc"]))
            return RowOutcome(index=row.index, error=f"body.{where}: {wrong['msg']}", unasked=True)
        run = Run(
            self._opened,
            list(row.messages) or [{"role": "user", "content": row.question}],
            thread=self._thread(row.index),
            context=context.model_copy(update={"form": form}),
            traced=self._traced,
        )
        try:
            values = await self._values(run)
        except StorageError:
            raise
        except Exception as error:
            # Whatever it is, it is this row's: the others are not held up by it.
            kept = (await self._opened.graph.aget_state(run.config)).values
            used = sum((one.usage for one in kept.get("segments", [])), Usage())
            message = redact(f"{type(error).__name__}: {error}")
            spent = isinstance(error, BudgetError)
            error_text = _whole(message)
            return RowOutcome(index=row.index, error=error_text, usage=used, over_budget=spent)
        return answered_row(row.index, _whole(values["messages"][-1].text), values["status"])

    async def forget(self, index: int) -> None:
        """Drop the thread of a row whose outcome is kept."""
        drop = getattr(self._saver, "drop_thread", self._saver.adelete_thread)
        await drop(self._thread(index))

    async def _values(self, run: Run) -> Mapping[str, Any]:
        begun = await self._opened.graph.aget_state(run.config)
        if begun.values and not is_open(begun):
            return begun.values  # answered, and killed before that was written down
        if begun.values:
            run.messages = None
        return await run.finish()

    def _thread(self, index: int) -> str:
        return f"{self._name}-{index}"


def _whole(text: str) -> str:
    """A text that any file can lock_file: no halves of characters."""
    return text.encode("utf-8", "replace").decode("utf-8")


class RowAnswers(Protocol):
    """Answers rows, several at a time."""

    async def answer(self, row: Row, context: CouncilContext, /) -> RowOutcome:
        """Answer one row within what it may spend."""
        ...

    async def forget(self, index: int, /) -> None:
        """Drop what was kept to go on with a row that is finished."""
        ...


Engine = Callable[[Council, Journal, str], AbstractAsyncContextManager[RowAnswers]]
"""Opens what answers: for a council, beside a journal, with a name for its threads."""


def local_engine(db: str | None = None, *, traced: bool = False) -> Engine:
    """Rows are answered here.

    Args:
        db: where their threads are kept meanwhile; left out, in the batch's own folder.
        traced: whether each row leaves a local trace.
    """

    @asynccontextmanager
    async def opened(council: Council, journal: Journal, name: str) -> AsyncIterator[RowAnswers]:
        journal.remember(engine="local")
        place = db or str(journal.folder / "threads.db")
        async with open_runs(place) as saver:
            yield RowRunner(council, saver, f"batch-{name[:12]}", traced=traced)

    return opened
