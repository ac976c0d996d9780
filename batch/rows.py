"""The rows of a file (JSON lines, CSV or Parquet), and what became of each."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field

from mom_council.errors import ProviderNotInstalledError, StorageError
from mom_council.records import Record, Status, Usage

_LONGEST_CELL = 50_000_000
_PARQUET_ROWS = 1_000


@dataclass(frozen=True)
class Row:
    """One row: its place in the file, its columns, and the question in it."""

    index: int
    columns: dict[str, Any]
    question: str
    fault: str = ""
    """Why there is no question in it."""


def read_rows(path: Path, column: str) -> Iterator[Row]:
    """Read the rows of a file, however large it is.

    A row that cannot be read, or has no question, says so; the others are not held up.

    Raises:
        StorageError: the file cannot be read, or its name's end says no known format.
        ProviderNotInstalledError: Parquet, without pyarrow.
    """
    read = FORMATS[format_of(path)]
    try:
        for index, found in enumerate(read(path)):
            yield _row(index, found, column)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no UTF-8"
        raise StorageError(f"{path} cannot be read: {reason}") from None


def format_of(path: Path) -> str:
    """The format that a file's name says.

    Raises:
        StorageError: none of those that are known.
    """
    end = path.suffix.lower()
    if end not in FORMATS:
        raise StorageError(
            f"{path}: a batch is {', '.join(FORMATS)}, by the end of the file's name"
        )
    return end


def _row(index: int, value: Any, column: str) -> Row:
    if isinstance(value, str):
        return Row(index, {}, "", value)
    columns: dict[str, Any] = value
    asked = columns.get(column)
    if column not in columns:
        near = ", ".join(map(repr, list(columns)[:8])) or "none"
        return Row(index, columns, "", f"there is no column {column!r}; there are: {near}")
    if not isinstance(asked, str) or not asked.strip():
        return Row(index, columns, "", f"column {column!r} holds no text")
    return Row(index, columns, asked)


def _json_lines(path: Path) -> Iterator[dict[str, Any] | str]:
    """Each line's columns, or what is wrong with it. Empty lines are no rows."""
    with path.open(encoding="utf-8-sig", newline="\n") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                found = json.loads(line)
            except (ValueError, RecursionError):
                yield f"line {number} is no JSON"
                continue
            if not isinstance(found, dict):
                yield f"line {number} is no JSON object"
            elif "\\ud" in line.lower() and not _is_whole(found):
                yield f"line {number} holds half a character"
            else:
                yield found


def _is_whole(value: Any) -> bool:
    """Whether no text in it holds a half of a character that JSON writes as two."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _csv(path: Path) -> Iterator[dict[str, Any] | str]:
    csv.field_size_limit(_LONGEST_CELL)
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        while True:
            try:
                found = next(reader, None)
            except csv.Error as error:
                yield f"line {reader.line_num}: {error}"
                continue
            if found is None:
                return
            if None in found:
                yield f"line {reader.line_num} has more cells than the first line has names"
            else:
                yield dict(found)


def _parquet(path: Path) -> Iterator[dict[str, Any] | str]:
    parquet = pyarrow_parquet()
    import pyarrow

    try:
        with parquet.ParquetFile(path) as file:
            for some in file.iter_batches(batch_size=_PARQUET_ROWS):
                yield from some.to_pylist()
    except pyarrow.ArrowException as error:
        raise StorageError(f"{path} cannot be read as Parquet: {str(error)[:200]}") from None


def pyarrow_parquet() -> Any:
    """What reads and writes Parquet.

    Raises:
        ProviderNotInstalledError: it is not installed.
    """
    try:
        import pyarrow.parquet
    except ImportError:
        raise ProviderNotInstalledError(
            "Parquet needs its package", cure="pip install 'mom-council[parquet]'"
        ) from None
    return pyarrow.parquet


FORMATS: dict[str, Callable[[Path], Iterator[dict[str, Any] | str]]] = {
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".csv": _csv,
    ".parquet": _parquet,
}


class RowOutcome(Record):
    """What became of one row."""

    index: int
    answer: str | None = None
    error: str = Field(default="", description="why there is no answer")
    stop_reason: str | None = None
    share: float | None = Field(default=None, description="of the leading option")
    absent: tuple[str, ...] = Field(default=(), description="NAME: REASON of each who was absent")
    degraded: bool = False
    usage: Usage = Usage()
    seconds: float = 0.0
    unasked: bool = Field(default=False, description="there was no question, so nothing was asked")
    over_budget: bool = Field(default=False, description="its part of the budget was too small")


COLUMNS: dict[str, type] = {
    "answer": str,
    "error": str,
    "stop_reason": str,
    "share": float,
    "absent": str,
    "degraded": bool,
    "calls": int,
    "tokens": int,
    "usd": float,
    "seconds": float,
}
"""The columns that a batch adds, and what is in them."""


def answered_row(index: int, answer: str, status: Status) -> RowOutcome:
    """The outcome of a row that was answered."""
    return RowOutcome(
        index=index,
        answer=answer,
        stop_reason=status.stop_reason,
        share=status.verdict.share if status.verdict else None,
        absent=tuple(f"{one.character}: {one.reason}" for one in status.absent),
        degraded=status.degraded,
        usage=status.usage,
        seconds=status.seconds,
    )


def columns_of(outcome: RowOutcome, names: dict[str, str]) -> dict[str, Any]:
    """The added columns of one row, under the names they have in this file."""
    values = {
        "answer": outcome.answer,
        "error": outcome.error or None,
        "stop_reason": outcome.stop_reason,
        "share": outcome.share,
        "absent": ", ".join(outcome.absent) or None,
        "degraded": outcome.degraded,
        "calls": outcome.usage.calls,
        "tokens": outcome.usage.tokens,
        "usd": outcome.usage.usd,
        "seconds": outcome.seconds,
    }
    return {names[name]: values[name] for name in COLUMNS}


def free_column_names(taken: Iterable[str]) -> dict[str, str]:
    """What each added column is called: by its own name, unless the input has one of that name."""
    used = set(taken)
    names = {}
    for name in COLUMNS:
        chosen = name
        while chosen in used:
            chosen = f"council_{chosen}"
        used.add(chosen)
        names[name] = chosen
    return names
