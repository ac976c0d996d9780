"""What was asked of the stage, and how each call ended."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, TextIO

Protocol = Literal["openai", "ollama", "anthropic", "mistral", "deepseek", "cohere"]
Outcome = Literal["open", "done", "fault", "client_left"]
KEY_HEADERS = ("authorization", "x-api-key", "api-key")
REDACTED = "<redacted>"


@dataclass(slots=True)
class Entry:
    """One request while it lasts; only the stage's own thread writes it."""

    number: int
    protocol: Protocol
    path: str
    headers: dict[str, str]
    key_sent: str | None = field(repr=False)
    model: str = ""
    body: Any = None
    started: float = field(default_factory=time.monotonic)
    ended: float | None = None
    first_byte: float | None = None
    outcome: Outcome = "open"
    status: int = 200
    chunks_sent: int = 0


@dataclass(frozen=True, slots=True)
class Call:
    """One request as a test reads it. Times are `time.monotonic()`."""

    number: int
    protocol: Protocol
    path: str
    headers: Mapping[str, str]
    """Names in lower case; what carries a key is redacted."""
    key_sent: str | None = field(repr=False)
    """The key itself, for tests of which key went where; never printed, never in the log file."""
    model: str
    body: Any
    started: float
    ended: float | None
    first_byte: float | None
    outcome: Outcome
    """`open` while it lasts; `client_left` when the client hung up first."""
    status: int
    chunks_sent: int


_FIELDS = [part.name for part in fields(Call)]


class Log:
    """Every request since the stage opened or was last cleared. Any thread may read it."""

    def __init__(self, path: str | Path | None = None) -> None:
        self._changed = threading.Condition()
        self._calls: list[Entry] = []
        self._lookups: list[Entry] = []
        self._count = 0
        self._file: TextIO | None = None
        if path:
            self._file = Path(path).open("a", encoding="utf-8")  # noqa: SIM115 - `close` does

    def begin(self, protocol: Protocol, path: str, headers: Mapping[str, str]) -> Entry:
        """Take down a request; `name` says later whom it is for."""
        plain = {name.lower(): value for name, value in headers.items()}
        key: str | None = None
        for name in KEY_HEADERS:
            if name in plain:
                key = plain[name].removeprefix("Bearer ")
                plain[name] = REDACTED
        self._count += 1
        return Entry(self._count, protocol, path, plain, key)

    def name(self, entry: Entry, model: str, body: Any, *, lookup: bool) -> None:
        """File a request: as a call of a model, or as a look-up of what is there."""
        entry.model, entry.body = model, body
        with self._changed:
            (self._lookups if lookup else self._calls).append(entry)
            self._changed.notify_all()

    def end(self, entry: Entry, outcome: Outcome, status: int | None = None) -> None:
        """Say how a request ended. The first word is the last one."""
        with self._changed:
            if entry.ended is not None:
                return
            entry.ended = time.monotonic()
            entry.outcome = outcome
            entry.status = entry.status if status is None else status
            entry.first_byte = entry.first_byte or (entry.ended if outcome == "done" else None)
            if self._file:
                line = {name: getattr(entry, name) for name in _FIELDS if name != "key_sent"}
                self._file.write(json.dumps(line) + "\n")
                self._file.flush()
            self._changed.notify_all()

    def calls(self) -> list[Call]:
        """The calls of models, in the order they came in."""
        with self._changed:
            return [_frozen(entry) for entry in self._calls]

    def lookups(self) -> list[Call]:
        """The requests that asked no model: lists, versions, capabilities."""
        with self._changed:
            return [_frozen(entry) for entry in self._lookups]

    def clear(self) -> None:
        """Forget every request so far."""
        with self._changed:
            self._calls, self._lookups = [], []

    def wait_for(self, calls: int, timeout: float, started: bool, model: str | None) -> list[Call]:
        """Block until so many calls have ended (or begun)."""

        def enough() -> bool:
            entries = [entry for entry in self._calls if model in (None, entry.model)]
            return sum(started or entry.ended is not None for entry in entries) >= calls

        with self._changed:
            if not self._changed.wait_for(enough, timeout):
                seen = [(entry.model, entry.outcome) for entry in self._calls]
                raise TimeoutError(f"waited {timeout} s for {calls} calls; there were {seen!r}")
        return self.calls()

    def close(self) -> None:
        """Close the log file."""
        if self._file:
            self._file.close()
            self._file = None


def overlap(calls: list[Call]) -> int:
    """How many calls were under way at once, at most; one that ends as another begins is not."""
    moments = [(call.started, 1) for call in calls]
    moments += [(call.ended, -1) for call in calls if call.ended is not None]
    most = now = 0
    for _, step in sorted(moments):
        now += step
        most = max(most, now)
    return most


def _frozen(entry: Entry) -> Call:
    return Call(**{name: getattr(entry, name) for name in _FIELDS})
