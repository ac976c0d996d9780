"""A batch from its first row to its last: begun in order, a few at a time, kept as they finish."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mom_council.batch.budget import NO_LIMITS, BatchBudget, BatchLimits
from mom_council.batch.engine import Engine, RowAnswers
from mom_council.batch.journal import Journal, identify_batch
from mom_council.batch.output import write_rows
from mom_council.batch.rows import Row, RowOutcome, format_of, read_rows
from mom_council.councils.schema import Council
from mom_council.deliberation.budget import refuse_unpriced
from mom_council.deliberation.context import CouncilContext
from mom_council.errors import StorageError
from mom_council.records import Usage


@dataclass(frozen=True)
class BatchJob:
    """What is to be done."""

    council: Council
    source: Path
    output: Path
    column: str = "question"
    concurrency: int = 8
    limits: BatchLimits = NO_LIMITS
    retry: bool = False
    """Ask rows again that were asked and not answered."""


@dataclass
class BatchProgress:
    """How far a batch is."""

    total: int
    done: int
    errors: int
    spent: Usage
    before: int = 0
    """Rows that were finished before this sitting."""
    began: float = field(default_factory=time.monotonic)
    stopped: str = ""
    """Which budget ended it."""

    @property
    def left(self) -> int:
        """Rows that are not finished."""
        return self.total - self.done

    @property
    def seconds(self) -> float:
        """Of this sitting so far."""
        return time.monotonic() - self.began

    @property
    def rate(self) -> float | None:
        """Rows a second in this sitting; None before the first."""
        fresh, seconds = self.done - self.before, self.seconds
        return fresh / seconds if fresh > 0 and seconds > 0 else None

    @property
    def eta(self) -> float | None:
        """Seconds until the last row, as it goes now."""
        return self.left / self.rate if self.rate else None


Tell = Callable[[BatchProgress], None]


async def run_batch(
    job: BatchJob, engine: Engine, tell: Tell = lambda progress: None
) -> BatchProgress:
    """Answer every row that is not answered yet, and write the output.

    Stopped on the way, be it by a kill, it goes on where it was when it is run again: rows that are
    finished are not asked again, and neither are finished calls of rows that were under way.

    Raises:
        StorageError: files cannot be read or written, or another process is at work on them.
        CouncilError: the council cannot sit, or its cost cannot be counted.
    """
    format_of(job.output)
    if job.limits.usd is not None:
        await refuse_unpriced(job.council)
    named = identify_batch(job.council, job.source, job.column)
    total = _count(job.source, job.column)
    if _same_file(job.source, job.output):
        raise StorageError(
            f"{job.output} holds the questions themselves", cure="name another output"
        )
    if job.output.exists() and not _folder(job.output).exists():
        raise StorageError(
            f"{job.output} is there already", cure="name another output, or delete it"
        )
    journal = Journal.open(job.output, named)
    try:
        progress = await _answer_all(job, engine, journal, total, tell, named["questions"])
        _write(job, journal)
    finally:
        journal.close()
    if not progress.left and not journal.failed:
        journal.remove()
    return progress


async def _answer_all(
    job: BatchJob, engine: Engine, journal: Journal, total: int, tell: Tell, name: str
) -> BatchProgress:
    before = journal.done.keys() - (journal.failed.keys() if job.retry else set())
    progress = BatchProgress(total, len(before), journal.errors, journal.spent, len(before))
    tell(progress)
    if not progress.left:
        return progress
    budget = BatchBudget(job.limits, journal.spent, job.council, job.concurrency)
    waiting = (row for row in read_rows(job.source, job.column) if row.index not in before)
    async with engine(job.council, journal, name) as answers:
        async for outcome in _answer_concurrently(
            waiting, answers, budget, journal, job.concurrency
        ):
            journal.add(outcome)
            if not outcome.error:
                await answers.forget(outcome.index)
            progress.done += 1
            progress.errors, progress.spent = journal.errors, journal.spent
            tell(progress)
    if progress.left:
        progress.stopped = budget.in_words()
    return progress


async def _answer_concurrently(
    waiting: Iterator[Row],
    answers: RowAnswers,
    budget: BatchBudget,
    journal: Journal,
    concurrency: int,
) -> AsyncIterator[RowOutcome]:
    """Outcomes as they come; what still runs when the caller leaves is cancelled."""
    running: set[asyncio.Task[RowOutcome]] = set()
    following = next(waiting, None)
    try:
        while True:
            while following is not None and len(running) < max(1, concurrency):
                context = _allowance(following, budget, journal)
                if context is None:
                    break
                running.add(asyncio.create_task(answers.answer(following, context)))
                following = next(waiting, None)
            if not running:
                return
            done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                outcome = task.result()
                budget.end(outcome.index, outcome.usage, is_spent=outcome.over_budget)
                if outcome.usage.calls or not (outcome.over_budget and budget.limits.are_set):
                    yield outcome  # else it is asked when there is more to spend
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


def _allowance(row: Row, budget: BatchBudget, journal: Journal) -> CouncilContext | None:
    """What a row may spend; None where nothing is left. A row without a question costs nothing."""
    if row.fault:
        return CouncilContext()
    return budget.begin(row.index, journal.failed.get(row.index, Usage()))


def _write(job: BatchJob, journal: Journal) -> None:
    def rows() -> Iterator[tuple[Row, RowOutcome]]:
        every = read_rows(job.source, job.column)
        outcomes = journal.outcomes(row.index for row in read_rows(job.source, job.column))
        for row, outcome in zip(every, outcomes, strict=True):
            yield row, outcome or RowOutcome(index=row.index, error="not asked yet")

    write_rows(job.output, rows)


def _count(source: Path, column: str) -> int:
    """How many rows there are.

    Raises:
        StorageError: none of them has the column, so its name is mistyped, or two requests have
            one `custom_id`.
    """
    total, found = 0, False
    ids: set[Any] = set()
    names: dict[str, None] = {}
    for row in read_rows(source, column):
        total, found = total + 1, found or column in row.columns or row.is_request
        if row.is_request and isinstance(custom_id := row.columns["custom_id"], str):
            if custom_id in ids:
                raise StorageError(f"{source}: row {total} has the custom_id {custom_id!r} again")
            ids.add(custom_id)
        if len(names) < 8:
            names.update(dict.fromkeys(row.columns))
    if names and not found:
        there = ", ".join(map(repr, [*names][:8]))
        raise StorageError(
            f"{source}: no row has a column {column!r}, there are: {there}",
            cure="name the one that holds the questions with --question",
        )
    return total


def _folder(output: Path) -> Path:
    return output.with_name(output.name + ".batch")


def _same_file(one: Path, other: Path) -> bool:
    return other.exists() and one.exists() and one.samefile(other)
