"""The rows of a file (JSON lines, CSV or Parquet), and what became of each."""

from __future__ import annotations

import csv
import hashlib
import json
import time
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import Field

from mom_council.batch.requests import (
    CHAT,
    MESSAGES,
    RESPONSES,
    looks_like_request,
    read_request,
)
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
    messages: tuple[dict[str, Any], ...] = ()
    """Of a row in the form of OpenAI's batches: the whole conversation."""
    form: dict[str, Any] = field(default_factory=dict)
    """Of such a row: what its body asks of the answer's form, as `AnswerForm` names it."""

    is_request: bool = False
    """Whether it is a row in the form of OpenAI's batches."""


def read_rows(path: Path, column: str) -> Iterator[Row]:
    """Read the rows of a file, however large it is.

    A row that cannot be read, or has no question, says so; the others are not held up.

    Raises:
        StorageError: the file cannot be read, or its name's end says no known format.
        ProviderNotInstalledError: Parquet, without pyarrow.
    """
    read = FORMATS[format_of(path)]
    earlier: dict[str, int] = {}
    try:
        for index, value in enumerate(read(path)):
            row = _row(index, value, column)
            custom_id = row.columns.get("custom_id") if row.is_request else None
            if isinstance(custom_id, str) and custom_id in earlier:
                again = f"row {earlier[custom_id]} has the custom_id {custom_id!r} already"
                row = Row(index, row.columns, "", row.fault or again, is_request=True)
            elif isinstance(custom_id, str) and custom_id:
                earlier[custom_id] = index + 1
            yield row
    except StorageError as error:
        raise StorageError(f"{path}: {error.what}", cure=error.cure) from None
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
    if looks_like_request(columns, column):
        request = read_request(columns)
        last = str(request.messages[-1]["content"]) if request.messages else ""
        form = {**request.form}
        return Row(index, request.columns, last, request.fault, request.messages, form, True)
    question = columns.get(column)
    if column not in columns:
        near = ", ".join(map(repr, list(columns)[:8])) or "none"
        return Row(index, columns, "", f"there is no column {column!r}; there are: {near}")
    if not isinstance(question, str) or not question.strip():
        return Row(index, columns, "", f"column {column!r} holds no text")
    return Row(index, columns, question)


def _json_lines(path: Path) -> Iterator[dict[str, Any] | str]:
    """Each line's columns, or what is wrong with it. Empty lines are no rows."""
    with path.open("rb") as file:
        if file.peek(2)[:2] in (BOM_UTF16_LE, BOM_UTF16_BE):
            raise StorageError("it is UTF-16, and no UTF-8", cure="save it as UTF-8")
        is_first = True
        for number, written in enumerate(file, 1):
            try:
                line = written.decode("utf-8-sig" if number == 1 else "utf-8")
                if not line.strip():
                    continue
                if is_first and line.lstrip().startswith("["):
                    raise StorageError("it is one JSON array", cure="write one object a line")
                is_first = False
                value = json.loads(line, object_pairs_hook=_object)
            except UnicodeDecodeError:
                yield f"line {number} is no UTF-8"
                continue
            except _RepeatedNameError as error:
                raise StorageError(f"line {number} has {error} twice") from None
            except (ValueError, RecursionError):
                yield f"line {number} is no JSON"
                continue
            if not isinstance(value, dict):
                yield f"line {number} is no JSON object"
            elif "\\ud" in line.lower() and not _is_whole(value):
                yield f"line {number} holds half a character"
            else:
                yield value


class _RepeatedNameError(Exception):
    """Two columns have one name: one of them would be lost."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    columns = dict(pairs)
    if len(columns) < len(pairs):
        raise _RepeatedNameError(repr(_first_repeated([name for name, _ in pairs])))
    return columns


def _first_repeated(names: Iterable[str]) -> str | None:
    """The first name that is there twice."""
    earlier: set[str] = set()
    for name in names:
        if name in earlier:
            return name
        earlier.add(name)
    return None


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
        # Strict: without it a quote that is never closed takes all later rows into one cell.
        reader = csv.DictReader(file, strict=True)
        number = 0
        if (name := _first_repeated(reader.fieldnames or ())) is not None:
            raise StorageError(f"two columns are called {name!r}", cure="rename one of them")
        while True:
            number += 1
            try:
                cells = next(reader, None)
            except csv.Error as error:
                if "end of data" in str(error):
                    says = f"row {number} has a quote that is never closed"
                    raise StorageError(says, cure="close it, or write two for one") from None
                yield f"line {reader.line_num}: {error}"
                continue
            if cells is None:
                return
            if None in cells:
                raise StorageError(
                    f"row {number} (line {reader.line_num}) has more cells than there are columns",
                    cure="put quotes around cells with a comma",
                )
            yield dict(cells)


def _parquet(path: Path) -> Iterator[dict[str, Any] | str]:
    parquet = pyarrow_parquet()
    import pyarrow

    try:
        with parquet.ParquetFile(path) as file:
            if (name := _first_repeated(file.schema_arrow.names)) is not None:
                raise StorageError(f"two columns are called {name!r}", cure="rename one of them")
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


def batch_response(row: Row, outcome: RowOutcome) -> dict[str, Any]:
    """A row of OpenAI's batch output: the response to a request, or the error."""
    custom_id = row.columns.get("custom_id")
    mark = hashlib.sha256(f"{row.index} {custom_id}".encode()).hexdigest()[:24]
    written = {"id": f"batch_req_{mark}", "custom_id": custom_id}
    if outcome.answer is None:
        code = "invalid_request" if outcome.unasked else "no_answer"
        error = {"code": code, "message": outcome.error}
        if "params" in row.columns:
            reason = "invalid_request_error" if outcome.unasked else "api_error"
            body = {"type": "error", "error": {"type": reason, "message": outcome.error}}
            return {"custom_id": custom_id, "result": {"type": "errored", "error": body}}
        return {**written, "response": None, "error": error}
    body = _BODIES[row.columns["url"]](row, outcome, mark)
    if "params" in row.columns:  # as Anthropic's batches are written
        return {"custom_id": custom_id, "result": {"type": "succeeded", "message": body}}
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
        "model": str(row.columns["body"].get("model") or ""),
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
        "model": str(row.columns["body"].get("model") or ""),
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


def _message_body(row: Row, outcome: RowOutcome, mark: str) -> dict[str, Any]:
    usage = outcome.usage
    return {
        "id": f"msg_{mark}",
        "type": "message",
        "role": "assistant",
        "model": str(row.columns["body"].get("model") or ""),
        "content": [{"type": "text", "text": outcome.answer}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {
            "input_tokens": usage.input_tokens or 0,
            "output_tokens": usage.output_tokens or 0,
        },
        "council": _council(outcome),
    }


_BODIES = {CHAT: _chat_body, RESPONSES: _response_body, MESSAGES: _message_body}


def _council(outcome: RowOutcome) -> dict[str, Any]:
    """What the other forms of a batch have as columns."""
    columns = columns_of(outcome, {name: name for name in COLUMNS})
    return {name: value for name, value in columns.items() if name not in ("answer", "error")}
