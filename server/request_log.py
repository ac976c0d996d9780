"""The log of a server: one line a request, as text or as JSON, with the request's id.

Each request has an id: the client's `X-Request-Id`, or one that is made here. It goes back in the
response's header, and stands in error bodies, in traces, and on every line that the log gets while
the request is answered. No line holds a key or what was asked.
"""

from __future__ import annotations

import json
import logging
import os
import re
import secrets
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from textwrap import indent
from typing import Any
from urllib.parse import quote

from langchain_core.messages import AnyMessage, HumanMessage
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mom_council.redaction import RedactingFilter, logger, redact
from mom_council.runs.words import in_a_row, inert, inert_json, one_line
from mom_council.tracing.langsmith import exported_signals

HEADER = "x-request-id"
_RECORD = "mom_request"
"""Where the record of a request stands in its scope."""
_ANTHROPIC_HEADER = b"request-id"
"""Where Anthropic's clients look for it."""
_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")
_WATCHERS = ("/health", "/ready", "/metrics")
"""Addresses that programs ask every few seconds; their lines are for debugging."""
_LONGEST_PATH = 200
_RECOGNISED = 24
"""Characters of a question by whose beginning it is recognised in a message."""
_SHORTEST = 8

_log = logger("mom_council.access")


@dataclass(slots=True)
class RequestRecord:
    """A request as its log line tells it; filled in as more of it is known."""

    id: str
    key: str = ""
    """The name of its key."""
    council: str = ""
    thread: str = ""
    beginnings: tuple[str, ...] = ()
    """How what was asked begins, to keep it out of the log."""

    def keep_out(self, messages: Sequence[AnyMessage]) -> None:
        """Keep what a client wrote out of the log: errors of models may repeat it."""
        texts = (one.text.strip() for one in messages if isinstance(one, HumanMessage))
        self.beginnings = tuple(text[:_RECOGNISED] for text in texts if len(text) >= _SHORTEST)


_current: ContextVar[RequestRecord | None] = ContextVar("request", default=None)


def current_request() -> RequestRecord | None:
    """The request that is being answered; None outside of one."""
    return _current.get()


def request_id() -> str:
    """The id of the request that is being answered; empty outside of one."""
    record = _current.get()
    return record.id if record else ""


class RequestLog:
    """An application around which every request gets its id, and a line in the log.

    Args:
        app: the application.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and log it when its response is complete."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.lower(): value for name, value in scope["headers"]}
        record = RequestRecord(_id_of(headers.get(HEADER.encode(), b"")))
        status = 500
        began = time.monotonic()

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                names = [HEADER.encode()]
                if "/messages" in scope["path"]:
                    names.append(_ANTHROPIC_HEADER)
                ours = [(name, record.id.encode()) for name in names]
                message = {**message, "headers": [*message.get("headers", ()), *ours]}
            await send(message)

        scope[_RECORD] = record
        token = _current.set(record)
        try:
            with _caller_context(headers):
                await self._app(scope, receive, send_with_id)
        finally:
            _write(scope, status, time.monotonic() - began, record)
            _current.reset(token)


@contextmanager
def tool_call(tool: str, scope: Scope | None, key: str) -> Iterator[RequestRecord]:
    """One call of a tool of ours over MCP: it has an id, and a line in the log when it ends.

    Args:
        tool: which.
        scope: of the HTTP request that it came with, whose id is the call's too; None over stdio.
        key: the name of its key.
    """
    sent = scope.get(_RECORD) if scope else None
    record = sent if isinstance(sent, RequestRecord) else RequestRecord(_new_id())
    record.key = key
    token = _current.set(record)
    began, status = time.monotonic(), "failed"
    try:
        yield record
        status = "ok"
    finally:
        seconds = time.monotonic() - began
        line = f"MCP {tool} {status} {seconds:.3f} s"
        _log.info("%s", line, extra={"request": _fields("MCP", tool, status, seconds, record)})
        _current.reset(token)


def _caller_context(headers: Mapping[bytes, bytes]) -> AbstractContextManager[None]:
    """Within it OpenTelemetry's traces belong to the client's, where they are switched on."""
    if not exported_signals(os.environ):
        return nullcontext()
    from mom_council.tracing.otel import caller_context

    return caller_context(headers)


def _id_of(sent: bytes) -> str:
    """The client's own id where it can be one, and no key; else a new one."""
    text = sent.decode("latin-1").strip()
    if _ID.fullmatch(text) and redact(text) == text:
        return text
    return _new_id()


def _new_id() -> str:
    return f"req_{secrets.token_hex(12)}"


def _write(scope: Scope, status: int, seconds: float, record: RequestRecord) -> None:
    path = scope["path"]
    level = logging.DEBUG if path in _WATCHERS else logging.INFO
    if not _log.isEnabledFor(level):
        return
    # Without the query, which may hold what clients should not have put there.
    path = redact(quote(path, safe="/:.-_~@+=,"))[:_LONGEST_PATH]
    fields = _fields(scope["method"], path, status, seconds, record)
    line = f"{scope['method']} {path} {status} {seconds:.3f} s"
    _log.log(level, "%s", line, extra={"request": fields})


def _fields(
    method: str, path: str, status: int | str, seconds: float, record: RequestRecord
) -> dict[str, Any]:
    fields = {
        "method": method,
        "path": path,
        "status": status,
        "seconds": round(seconds, 4),
        "key": record.key,
        "council": record.council,
        "thread": record.thread,
    }
    return {name: value for name, value in fields.items() if value != ""}


class _RequestFilter(logging.Filter):
    """Puts the request's id on a record, and takes what was asked out of its message."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Complete the record, and let it pass."""
        request = _current.get()
        record.request_id = request.id if request else ""
        RedactingFilter().filter(record)
        for beginning in request.beginnings if request else ():
            record.msg = _without(beginning, str(record.msg))
            record.exc_text = _without(beginning, record.exc_text or "") or None
        return True


def _without(beginning: str, text: str) -> str:
    """The text without what begins so, up to the end of its line."""
    for form in {beginning, json.dumps(beginning)[1:-1], repr(beginning)[1:-1]}:
        if form in text:
            text = re.sub(re.escape(form) + ".*", "(what was asked)", text)
    return text


class _TextFormatter(logging.Formatter):
    """A line as a person reads it."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as a line; a traceback stands below it."""
        about = {
            name: value
            for name, value in getattr(record, "request", {}).items()
            if name in ("key", "council", "thread")
        }
        about["request"] = getattr(record, "request_id", "")
        pairs = " ".join(f"{name}={one_line(str(value))}" for name, value in about.items() if value)
        line = f"{_time(record)} {record.levelname.lower():7} {in_a_row(record.getMessage())}"
        text = f"{line} {pairs}".rstrip()
        # Indented: no line of an error's words can pass for one of the log.
        return f"{text}\n{indent(inert(record.exc_text), '  ')}" if record.exc_text else text


class _JsonFormatter(logging.Formatter):
    """A line as a program reads it: one JSON object."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as an object; those of requests have their parts as fields too."""
        fields: dict[str, Any] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if request := getattr(record, "request_id", ""):
            fields["request_id"] = request
        fields |= getattr(record, "request", {})
        if record.exc_text:
            fields["exception"] = record.exc_text
        return inert_json(json.dumps(fields, ensure_ascii=False))


def _time(record: logging.LogRecord) -> str:
    at = datetime.fromtimestamp(record.created, UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def set_up_logging(style: str, level: str) -> None:
    """Write the log to stderr: the package's from `level` on, and the warnings of all others."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonFormatter() if style == "json" else _TextFormatter())
    handler.addFilter(_RequestFilter())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.captureWarnings(True)
    logging.getLogger("mom_council").setLevel(level.upper())
