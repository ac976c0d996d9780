"""The file of local traces: one row a question, newest first, and the oldest make room.

A trace's tree is one compressed value in its row, so a list reads no tree. The file is
`traces.db` in `paths.traces_dir()`.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path

from pydantic import Field, TypeAdapter

from mom_council import paths
from mom_council.errors import UNREADABLE, DamagedValueError
from mom_council.paths import DatabaseLayout, open_database
from mom_council.records import Record

KEEP = 500  # traces
LARGEST = 200_000_000  # bytes of all trees together

_TABLE = """
CREATE TABLE IF NOT EXISTS traces (
    id TEXT PRIMARY KEY, started REAL NOT NULL, question TEXT NOT NULL, council TEXT NOT NULL,
    thread TEXT NOT NULL, seconds REAL, calls INTEGER NOT NULL, input_tokens INTEGER,
    output_tokens INTEGER, error TEXT NOT NULL, tree BLOB NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS newest ON traces (started);
"""
LAYOUT = DatabaseLayout(
    "traces",
    (_TABLE,),
    cure="move the file away, or switch local traces off",
    dated=(("traces", "started"),),
)
FILE = "traces.db"
_COLUMNS = (
    "id, started, question, council, thread, seconds, calls, input_tokens, output_tokens, error"
)
_PRUNE = """
DELETE FROM traces WHERE id IN (
    SELECT id FROM (
        SELECT id, row_number() OVER newer AS place, sum(length(tree)) OVER newer AS bytes
        FROM traces WINDOW newer AS (ORDER BY started DESC, rowid DESC)
    ) WHERE place > ? OR (bytes > ? AND place > 1)
)
"""


class PromptMessage(Record):
    """One message of a prompt."""

    role: str
    text: str


class Span(Record):
    """One thing that happened: a node, a call of a model, a tool."""

    id: str
    parent: str | None = None
    kind: str = Field(description="run, node, model, tool or step")
    name: str
    start: float = Field(description="seconds after the trace began")
    seconds: float | None = Field(default=None, description="None: it never ended")
    model: str = ""
    first_token: float | None = Field(default=None, description="seconds after the span began")
    input_tokens: int | None = None
    output_tokens: int | None = None
    error: str = ""
    about: dict[str, str | int | float | bool] = Field(
        default_factory=dict, description="character, round, layer, council, thread, request_id"
    )
    prompt: tuple[PromptMessage, ...] = ()
    reply: str = ""
    reasoning: str = ""


class TraceSummary(Record):
    """One line of the list of traces."""

    id: str
    started: datetime = Field(description="UTC")
    question: str = ""
    council: str = ""
    thread: str = ""
    seconds: float | None = Field(default=None, description="None: it was never finished")
    calls: int = Field(default=0, description="calls of models")
    input_tokens: int | None = None
    output_tokens: int | None = None
    error: str = ""


class TraceView(Record):
    """A trace with its tree."""

    summary: TraceSummary
    spans: tuple[Span, ...] = ()

    def tree(self) -> Iterator[tuple[int, Span]]:
        """Every span with its depth, parents before children, in the order they began."""
        below: dict[str | None, list[Span]] = {}
        ids = {span.id for span in self.spans}
        for span in sorted(self.spans, key=lambda span: span.start):
            below.setdefault(span.parent if span.parent in ids else None, []).append(span)
        waiting = [(0, span) for span in reversed(below.get(None, []))]
        while waiting:
            depth, span = waiting.pop()
            yield depth, span
            waiting.extend((depth + 1, child) for child in reversed(below.get(span.id, [])))


_SPANS = TypeAdapter(tuple[Span, ...])


class TraceStore:
    """The traces in one folder. Each call opens the file anew: any thread may call.

    Raises:
        StorageError: (every method) the file cannot be read or written; with the cure.
    """

    def __init__(
        self, folder: Path | None = None, *, keep: int = KEEP, largest: int = LARGEST
    ) -> None:
        self._folder = folder or paths.traces_dir()
        self._keep = keep
        self._largest = largest

    def write(self, view: TraceView) -> None:
        """Keep a trace, in the place of an earlier state of it, and drop the oldest ones."""
        summary = view.summary
        tree = zlib.compress(_SPANS.dump_json(view.spans, exclude_defaults=True))
        row = (*(getattr(summary, name) for name in _COLUMNS.split(", ")), tree)
        row = tuple(cell.timestamp() if isinstance(cell, datetime) else cell for cell in row)
        marks = ", ".join("?" * len(row))
        with self._open() as db:
            db.execute(f"INSERT OR REPLACE INTO traces ({_COLUMNS}, tree) VALUES ({marks})", row)  # noqa: S608
            db.execute(_PRUNE, (self._keep, self._largest))

    def summaries(self, limit: int = 20) -> list[TraceSummary]:
        """The newest traces, newest first."""
        if not self._is_there():
            return []
        with self._open() as db:
            rows = db.execute(
                f"SELECT {_COLUMNS} FROM traces ORDER BY started DESC, rowid DESC LIMIT ?",  # noqa: S608
                (limit,),
            )
            return [_summary(row) for row in rows]

    def finished(self, limit: int) -> list[TraceView]:
        """The newest traces that came to their end without an error; damaged ones are left out."""
        if not os.path.lexists(self._folder / FILE):
            return []
        with self._open() as db:
            rows = db.execute(
                f"SELECT {_COLUMNS}, tree FROM traces WHERE seconds IS NOT NULL AND error = '' "  # noqa: S608
                "ORDER BY started DESC, rowid DESC LIMIT ?",
                (limit,),
            ).fetchall()
        views = []
        for *row, tree in rows:
            with contextlib.suppress(*UNREADABLE):
                views.append(TraceView(summary=_summary(row), spans=_spans(tree)))
        return views

    def load(self, name: str) -> TraceView | None:
        """The trace whose id is `name` or alone begins with it; None where there is no such."""
        if not name or not name.isalnum() or not self._is_there():
            return None
        with self._open() as db:
            rows = db.execute(
                f"SELECT {_COLUMNS}, tree FROM traces WHERE id = ? OR id LIKE ? || '%' LIMIT 2",  # noqa: S608
                (name, name),
            ).fetchall()
        if len(rows) != 1:
            return None
        (*row, tree) = rows[0]
        try:
            return TraceView(summary=_summary(row), spans=_spans(tree))
        except UNREADABLE as error:
            raise DamagedValueError(
                f"trace {name!r} is damaged ({type(error).__name__})",
                cure="`mom storage check --repair` deletes what cannot be read",
            ) from error

    def damaged(self, *, delete: bool = False) -> list[str]:
        """The ids of the traces that cannot be read; deleted where that is asked for."""
        damaged: list[tuple[int, str]] = []
        if not self._is_there():
            return []
        with self._open() as db:
            for number, *row, tree in db.execute(f"SELECT rowid, {_COLUMNS}, tree FROM traces"):  # noqa: S608
                try:
                    _summary(row)
                    _spans(tree)
                except UNREADABLE:
                    damaged.append((number, str(row[0])))
            if delete:
                db.executemany("DELETE FROM traces WHERE rowid = ?", [(one,) for one, _ in damaged])
        return [name for _, name in damaged]

    def _is_there(self) -> bool:
        """Whether there is a file: who only looks makes none, as traces may be switched off.

        Raises:
            StorageError: its folder cannot be made.
        """
        paths.ensure(self._folder)
        return os.path.lexists(self._folder / FILE)

    def _open(self) -> AbstractContextManager[sqlite3.Connection]:
        return open_database(self._folder / FILE, LAYOUT)


def _spans(tree: object) -> tuple[Span, ...]:
    if not isinstance(tree, bytes):
        raise TypeError("a tree is bytes")
    return _SPANS.validate_json(zlib.decompress(tree))


def _summary(row: list[object] | tuple[object, ...]) -> TraceSummary:
    values = dict(zip(_COLUMNS.split(", "), row, strict=True))
    values["started"] = datetime.fromtimestamp(float(str(values["started"])), UTC)
    return TraceSummary.model_validate(values)
