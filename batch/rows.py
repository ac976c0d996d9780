"""The rows of a file (JSON lines, CSV or Parquet), and what became of each."""

from __future__ import annotations

import contextlib
import csv
import json
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import Field, ValidationError

from mom_council.deliberation.context import AnswerForm
from mom_council.errors import ProviderNotInstalledError, StorageError
from mom_council.records import Record, Status, Usage

_LONGEST_CELL = 50_000_000
_PARQUET_ROWS = 1_000
REQUEST_KEYS = frozenset({"custom_id", "method", "url", "body"})
"""The columns of a row in the form of OpenAI's batches."""
CHAT, RESPONSES = "/v1/chat/completions", "/v1/responses"
_FORM = {
    "max_tokens": "max_tokens",
    "max_completion_tokens": "max_tokens",
    "max_output_tokens": "max_tokens",
    **{name: name for name in ("temperature", "top_p", "seed", "top_k")},
    **{name: name for name in ("frequency_penalty", "presence_penalty")},
}
"""Fields of a request's body that the answer is asked with; others are left aside."""


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
    if _looks_like_request(columns, column):
        return _request(index, columns)
    question = columns.get(column)
    if column not in columns:
        near = ", ".join(map(repr, list(columns)[:8])) or "none"
        return Row(index, columns, "", f"there is no column {column!r}; there are: {near}")
    if not isinstance(question, str) or not question.strip():
        return Row(index, columns, "", f"column {column!r} holds no text")
    return Row(index, columns, question)


def _looks_like_request(columns: dict[str, Any], column: str) -> bool:
    """Whether a row is meant as a request, though a key may be missing.

    Other vendors' batches leave `method` and `url` out; a table of articles has `url` and `body`
    too, so that a body that is no object needs a `custom_id` beside it.
    """
    if columns.keys() >= REQUEST_KEYS:
        return True
    keys = columns.keys() & REQUEST_KEYS
    if column in columns or len(keys) < len(REQUEST_KEYS) // 2:
        return False
    return "custom_id" in keys or isinstance(columns.get("body"), dict)


def _request(index: int, columns: dict[str, Any]) -> Row:
    """A row in the form of OpenAI's batches: its conversation, and what it asks of the answer."""
    body: Any = columns.get("body")
    if isinstance(body, str):  # as a table holds it
        with contextlib.suppress(ValueError, RecursionError):
            body = json.loads(body)
    method, url, custom_id = (columns.get(name) for name in ("method", "url", "custom_id"))
    if url is None:
        url = RESPONSES if isinstance(body, dict) and "input" in body else CHAT
    columns = {
        **columns,
        "custom_id": custom_id,
        "method": "POST" if method is None else method,
        "url": _path(url),
        "body": body,
    }
    if fault := _request_fault(columns):
        return Row(index, columns, "", fault, is_request=True)
    conversation = _conversation(columns["url"], body)
    messages = tuple(_plain_message(message) for message in conversation)
    question = str(messages[-1]["content"])
    return Row(index, columns, question, "", messages, _form(body), is_request=True)


def _request_fault(columns: dict[str, Any]) -> str:
    """Why such a row cannot be answered; empty: it can."""
    url, body, custom_id = columns["url"], columns["body"], columns["custom_id"]
    if not isinstance(custom_id, str) or not custom_id:
        return "'custom_id' holds no text"
    if str(columns["method"]).upper() != "POST" or url not in (CHAT, RESPONSES):
        return f"only POST {CHAT} and POST {RESPONSES} can be answered"
    if not isinstance(body, dict):
        return "'body' is no JSON object"
    conversation = _conversation(url, body)
    if not isinstance(conversation, list) or not all(map(_is_message, conversation)):
        where = "body.messages" if url == CHAT else "body.input"
        return f"{where} is no list of messages with role and content"
    if not any(message["role"] == "user" for message in conversation):
        return "there is no message of the role 'user'"
    return _body_fault(body)


def _body_fault(body: dict[str, Any]) -> str:
    if (body.get("tools") or body.get("functions")) and body.get("tool_choice") != "none":
        return "body.tools: a batch has nobody who runs tools"
    if body.get("n") not in (None, 1):
        return "body.n: a row has one answer"
    if body.get("previous_response_id"):
        return "body.previous_response_id: a batch keeps no earlier responses"
    try:
        AnswerForm.model_validate(_form(body))
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        return f"body.{first['loc'][0]}: {first['msg']}"
    return ""


def _conversation(url: str, body: dict[str, Any]) -> Any:
    """The messages of a body, each with its role in small letters."""
    conversation = body.get("messages" if url == CHAT else "input")
    if isinstance(conversation, str):
        conversation = [{"role": "user", "content": conversation}]
    if not isinstance(conversation, list):
        return conversation
    conversation = [*map(_usual_message, conversation)]
    if url == RESPONSES and isinstance(body.get("instructions"), str):
        conversation = [{"role": "system", "content": body["instructions"]}, *conversation]
    return conversation


def _path(url: Any) -> str:
    """The path of an address, which may be whole, or end with a slash, or name no version."""
    try:
        path = f"/{urlsplit(url).path.strip('/')}" if isinstance(url, str) else ""
    except ValueError:  # such as "http://[", which is no address
        return ""
    for endpoint in (CHAT, RESPONSES):
        if path.endswith(endpoint.removeprefix("/v1")):
            return endpoint
    return path


def _usual_message(message: Any) -> Any:
    """A message with its role in small letters and its content as a text or a list."""
    if not isinstance(message, dict):
        return message
    role, content = message.get("role"), message.get("content")
    usual = role.lower() if isinstance(role, str) else role
    if content is None and usual == "assistant":
        content = ""
    return {
        **message,
        "role": usual,
        "content": [content] if isinstance(content, dict) else content,
    }


def _is_message(message: Any) -> bool:
    return (
        isinstance(message, dict)
        and message.get("role") in ("system", "developer", "user", "assistant")
        and isinstance(message.get("content"), str | list)
    )


def _plain_message(message: dict[str, Any]) -> dict[str, Any]:
    """A message as LangChain reads it, its parts under the names of chat completions."""
    role = "system" if message["role"] == "developer" else message["role"]
    content = message["content"]
    if isinstance(content, list):
        content = [_plain_part(part) for part in content]
    return {"role": role, "content": content}


def _plain_part(part: Any) -> Any:
    kind = part.get("type") if isinstance(part, dict) else None
    if kind in ("input_text", "output_text"):
        return {"type": "text", "text": part.get("text", "")}
    address = part.get("image_url") if kind in ("input_image", "image_url") else None
    if isinstance(address, str):
        return {"type": "image_url", "image_url": {"url": address}}
    return part


def _form(body: dict[str, Any]) -> dict[str, Any]:
    form = {ours: body[name] for name, ours in _FORM.items() if body.get(name) is not None}
    if form.get("max_tokens") in (-1, 0):  # how some programs write that there is no limit
        del form["max_tokens"]
    if stop := body.get("stop"):
        form["stop"] = [stop] if isinstance(stop, str) else stop
    text = body.get("text")
    format_ = body.get("response_format") or (
        text.get("format") if isinstance(text, dict) else None
    )
    if isinstance(format_, str):
        format_ = {"type": format_}
    if not isinstance(format_, dict):
        return form
    if format_.get("type") == "json_object":
        form["as_json"] = True
    if format_.get("type") == "json_schema":
        inner = format_.get("json_schema")
        form["json_schema"] = (inner if isinstance(inner, dict) else format_).get("schema")
    return form


def _json_lines(path: Path) -> Iterator[dict[str, Any] | str]:
    """Each line's columns, or what is wrong with it. Empty lines are no rows."""
    with path.open("rb") as file:
        if file.peek(2)[:2] in (BOM_UTF16_LE, BOM_UTF16_BE):
            raise StorageError("it is UTF-16, and no UTF-8", cure="save it as UTF-8")
        for number, written in enumerate(file, 1):
            try:
                line = written.decode("utf-8-sig" if number == 1 else "utf-8")
                if not line.strip():
                    continue
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
        reader = csv.DictReader(file)
        number = 0
        if (name := _first_repeated(reader.fieldnames or ())) is not None:
            raise StorageError(f"two columns are called {name!r}", cure="rename one of them")
        while True:
            number += 1
            try:
                cells = next(reader, None)
            except csv.Error as error:
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
