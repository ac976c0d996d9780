"""The output: the input's columns with what became of each row, in the input's order."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any

from mom_council.batch.rows import (
    COLUMNS,
    Row,
    RowOutcome,
    columns_of,
    format_of,
    free_column_names,
    pyarrow_parquet,
)
from mom_council.errors import StorageError

_PARQUET_ROWS = 1_000

Written = Callable[[], Iterator[dict[str, Any]]]
"""The rows to write, from the first one each time it is called."""


def write_rows(path: Path, rows: Callable[[], Iterator[tuple[Row, RowOutcome]]]) -> None:
    """Write every row, whole or not at all: a reader never sees half a file.

    Raises:
        StorageError: the file cannot be written, or its name's end says no known format.
    """
    names = free_column_names(_columns(row for row, _ in rows()))

    def written() -> Iterator[dict[str, Any]]:
        return ({**row.columns, **columns_of(outcome, names)} for row, outcome in rows())

    beside = path.with_name(path.name + ".part")
    try:
        _WRITERS[format_of(path)](beside, written, names)
        beside.replace(path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise StorageError(f"{path} cannot be written: {error.strerror}") from None


def _columns(rows: Iterable[Row]) -> list[str]:
    """Every column of the input, in the order they come up."""
    return list(dict.fromkeys(name for row in rows for name in row.columns))


def _write_json_lines(path: Path, rows: Written, names: dict[str, str]) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(json.dumps(row, ensure_ascii=False, default=str) + "\n" for row in rows())


def _write_csv(path: Path, rows: Written, names: dict[str, str]) -> None:
    heads = list(dict.fromkeys(chain.from_iterable(rows()))) or [*names.values()]
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, heads, restval="")
        table.writeheader()
        table.writerows({name: _cell(value) for name, value in row.items()} for row in rows())


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value, ensure_ascii=False, default=str) if _nests(value) else value


def _nests(value: Any) -> bool:
    return isinstance(value, dict | list | tuple)


def _write_parquet(path: Path, rows: Written, names: dict[str, str]) -> None:
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
    found: dict[str, type] = {}
    for row in rows:
        for name, value in row.items():
            if value is None or name in earlier:
                found.setdefault(name, earlier.get(name, type(None)))
                continue
            kind = type(value) if type(value) in (str, bool, int, float) else str
            if kind is int and abs(value) >= 2**63:
                kind = str
            old = found.get(name, type(None))
            found[name] = kind if old in (type(None), kind) else _both(old, kind)
    return {name: str if kind is type(None) else kind for name, kind in found.items()}


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


_WRITERS: dict[str, Callable[[Path, Written, dict[str, str]], None]] = {
    ".jsonl": _write_json_lines,
    ".ndjson": _write_json_lines,
    ".csv": _write_csv,
    ".parquet": _write_parquet,
}
