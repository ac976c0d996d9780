"""The output: the input's columns with what became of each row, in the input's order."""

from __future__ import annotations

import csv
import hashlib
import json
import re
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any

from mom_council.batch.rows import (
    CHAT,
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
        return (_as_written(row, outcome, names) for row, outcome in rows())

    beside = path.with_name(path.name + ".part")
    try:
        _WRITERS[format_of(path)](beside, written, names)
        beside.replace(path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise StorageError(f"{path} cannot be written: {error.strerror}") from None


def _as_written(row: Row, outcome: RowOutcome, names: dict[str, str]) -> dict[str, Any]:
    if row.is_request:
        return _batch_response(row, outcome)
    return {**row.columns, **columns_of(outcome, names)}


def _batch_response(row: Row, outcome: RowOutcome) -> dict[str, Any]:
    """A row of OpenAI's batch output: the response to a request, or the error."""
    mark = hashlib.sha256(f"{row.index} {row.columns['custom_id']}".encode()).hexdigest()[:24]
    written = {"id": f"batch_req_{mark}", "custom_id": row.columns["custom_id"]}
    if outcome.answer is None:
        code = "invalid_request" if outcome.unasked else "no_answer"
        error = {"code": code, "message": outcome.error}
        return {**written, "response": None, "error": error}
    body = (_chat_body if row.columns["url"] == CHAT else _response_body)(row, outcome, mark)
    response = {"status_code": 200, "request_id": f"req_{mark}", "body": body}
    return {**written, "response": response, "error": None}


def _chat_body(row: Row, outcome: RowOutcome, mark: str) -> dict[str, Any]:
    usage = outcome.usage
    message = {"role": "assistant", "content": outcome.answer, "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    return {
        "id": f"chatcmpl-{mark}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": str(row.columns["body"].get("model", "")),
        "choices": [choice],
        "usage": {
            "prompt_tokens": usage.input_tokens or 0,
            "completion_tokens": usage.output_tokens or 0,
            "total_tokens": usage.tokens or 0,
        },
        "council": _council(outcome),
    }


def _response_body(row: Row, outcome: RowOutcome, mark: str) -> dict[str, Any]:
    usage = outcome.usage
    text: dict[str, Any] = {"type": "output_text", "text": outcome.answer, "annotations": []}
    message = {
        "id": f"msg_{mark}",
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "content": [text],
    }
    return {
        "id": f"resp_{mark}",
        "object": "response",
        "created_at": int(time.time()),
        "status": "completed",
        "error": None,
        "incomplete_details": None,
        "instructions": row.columns["body"].get("instructions"),
        "metadata": {},
        "model": str(row.columns["body"].get("model", "")),
        "output": [message],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": {
            "input_tokens": usage.input_tokens or 0,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": usage.output_tokens or 0,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": usage.tokens or 0,
        },
        "council": _council(outcome),
    }


def _council(outcome: RowOutcome) -> dict[str, Any]:
    """What the other forms of a batch have as columns."""
    columns = columns_of(outcome, {name: name for name in COLUMNS})
    return {name: value for name, value in columns.items() if name not in ("answer", "error")}


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
