"""A batch: its rows are asked in order, a few at a time, and written in the same order."""

from __future__ import annotations

import asyncio
import csv
import json
import re
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Any

from mom_council.batch.engine import NO_LIMITS, BatchBudget, BatchLimits, Engine, RowAnswers
from mom_council.batch.journal import Journal, identify_batch
from mom_council.batch.rows import (
    COLUMNS,
    Row,
    RowOutcome,
    batch_response,
    columns_of,
    format_of,
    free_column_names,
    pyarrow_parquet,
    read_rows,
)
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
        StorageError: none of them has the column, so its name is mistyped.
    """
    total, has_column = 0, False
    names: dict[str, None] = {}
    for row in read_rows(source, column):
        total, has_column = total + 1, has_column or column in row.columns or row.is_request
        if len(names) < 8:
            names.update(dict.fromkeys(row.columns))
    if names and not has_column:
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


_PARQUET_ROWS = 1_000

RowsToWrite = Callable[[], Iterator[dict[str, Any]]]
"""The rows to write, from the first one each time it is called."""


def write_rows(path: Path, rows: Callable[[], Iterator[tuple[Row, RowOutcome]]]) -> None:
    """Write every row, whole or not at all: a reader never sees half a file.

    Raises:
        StorageError: the file cannot be written, or its name's end says no known format.
    """
    columns, has_requests = _columns(row for row, _ in rows())
    names = free_column_names(columns)

    def written() -> Iterator[dict[str, Any]]:
        for row, outcome in rows():
            if row.is_request or (has_requests and row.fault):
                yield batch_response(row, outcome)
            else:
                yield {**row.columns, **columns_of(outcome, names)}

    beside = path.with_name(path.name + ".part")
    try:
        _WRITERS[format_of(path)](beside, written, names)
        beside.replace(path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise StorageError(f"{path} cannot be written: {error.strerror}") from None


def _columns(rows: Iterable[Row]) -> tuple[list[str], bool]:
    """Every column of the input, in the order they come up, and whether a row is a request."""
    columns: dict[str, None] = {}
    has_requests = False
    for row in rows:
        columns.update(dict.fromkeys(row.columns))
        has_requests = has_requests or row.is_request
    return [*columns], has_requests


_LINE_ENDS = {ord(end): f"\\u{ord(end):04x}" for end in "\x85\u2028\u2029"}
"""What many programs take for the end of a line, as JSON writes it in a text."""


def _write_json_lines(path: Path, rows: RowsToWrite, names: dict[str, str]) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for row in rows():
            line = json.dumps(row, ensure_ascii=False, default=str)
            file.write(line.translate(_LINE_ENDS) + "\n")


def _write_csv(path: Path, rows: RowsToWrite, names: dict[str, str]) -> None:
    heads = list(dict.fromkeys(chain.from_iterable(rows()))) or [*names.values()]
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, heads, restval="")
        table.writeheader()
        ours = {*names.values()}
        table.writerows(
            {name: _cell(value, ours=name in ours) for name, value in row.items()} for row in rows()
        )


_FORMULA = re.compile(r"\s*[=@\uff1d\uff20]|\s*[+\uff0b\uff0d-](?!\s[^(|!=]*$)|[\t\r]")


def _cell(value: Any, *, ours: bool) -> Any:
    """A value as a cell; an answer that a spreadsheet would take for a formula has a ' before it.

    A number stays one, and so do a list's points ("- one") and the columns of the input.
    """
    if ours and isinstance(value, str) and _FORMULA.match(value):
        try:
            float(value)
        except ValueError:
            return f"'{value}"
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value, ensure_ascii=False, default=str) if _nests(value) else value


def _nests(value: Any) -> bool:
    return isinstance(value, dict | list | tuple)


def _write_parquet(path: Path, rows: RowsToWrite, names: dict[str, str]) -> None:
    parquet = pyarrow_parquet()
    import pyarrow

    kinds = _kinds(rows(), {names[name]: kind for name, kind in COLUMNS.items()})
    types = {
        str: pyarrow.string(),
        bool: pyarrow.bool_(),
        int: pyarrow.int64(),
        float: pyarrow.float64(),
    }
    schema = pyarrow.schema([(name, types[kind]) for name, kind in kinds.items()])
    waiting = rows()
    with parquet.ParquetWriter(path, schema) as file:
        while some := list(islice(waiting, _PARQUET_ROWS)):
            columns = {
                name: [_as(kind, row.get(name)) for row in some] for name, kind in kinds.items()
            }
            file.write_table(pyarrow.table(columns, schema=schema))


def _kinds(rows: Iterator[dict[str, Any]], earlier: dict[str, type]) -> dict[str, type]:
    """One kind for each column; text where its values are of several kinds, or nest."""
    kinds: dict[str, type] = {}
    for row in rows:
        for name, value in row.items():
            if value is None or name in earlier:
                kinds.setdefault(name, earlier.get(name, type(None)))
                continue
            kind = type(value) if type(value) in (str, bool, int, float) else str
            if kind is int and abs(value) >= 2**63:
                kind = str
            old = kinds.get(name, type(None))
            kinds[name] = kind if old in (type(None), kind) else _both(old, kind)
    return {name: str if kind is type(None) else kind for name, kind in kinds.items()}


def _both(old: type, new: type) -> type:
    return float if {old, new} == {int, float} else str


def _as(kind: type, value: Any) -> Any:
    if value is None or isinstance(value, kind):
        return value
    if kind is float:
        return float(value)
    return (
        json.dumps(value, ensure_ascii=False, default=str) if not isinstance(value, str) else value
    )


_WRITERS: dict[str, Callable[[Path, RowsToWrite, dict[str, str]], None]] = {
    ".jsonl": _write_json_lines,
    ".ndjson": _write_json_lines,
    ".csv": _write_csv,
    ".parquet": _write_parquet,
}
