"""Answers kept for identical requests: the file, what identical means, what is worth keeping.

The file is SQLite, bounded in size. A row is text and is read as JSON; nothing in the file is ever
executed. Each row has a checksum, so that a damaged or half-changed one is not used. A file with
anything in it but our one table (a trigger, a view) is refused whole. The questions themselves are
not in it: a request is known by its hash alone.

Two requests are the same when nothing that reaches the model differs: provider, address, model,
every message, parameters, tools, schema. And one thing that does not reach it: the seat. Several
characters on one model are several samples of it; with one answer for all of them a council would
agree with itself. So each seat (node, name, round, layer) has its own answer, and the same question
asked again tomorrow gets the same diversity, for nothing.

Kept are whole answers alone: no error, no refusal, nothing that was cut off or cancelled, nothing
that shows a key. A cache that is broken, locked, full or read-only never costs an answer: it says
so once, and the model is asked.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field, ValidationError

from mom_council.councils.schema import Cache, Model
from mom_council.errors import StorageError
from mom_council.paths import cache_dir, ensure, layout_version
from mom_council.records import Record
from mom_council.redaction import logger, redact
from mom_council.vendors import vendor_of

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage


_TABLE = (
    "CREATE TABLE answers (request TEXT PRIMARY KEY, model TEXT NOT NULL, created REAL NOT NULL, "
    "expires REAL NOT NULL, answer TEXT NOT NULL, seal TEXT NOT NULL)"  # the row's checksum
)
FILE = "answers.db"
DATED = (("answers", "created"),)
_LAYOUT_VERSION = 1  # a file of version 0.1 says 0, and has the same layout
_INDEX = "CREATE INDEX age ON answers (created)"
_PATIENCE = 1.0
"""Seconds that a locked file is waited for."""
_writing = threading.Lock()
"""Held while this process writes: its threads queue here, not at SQLite's lock, which is unfair."""
_AHEAD = 60.0
"""Seconds that another machine's clock may be ahead of ours."""


class TamperedError(StorageError):
    """What lies in the cache was not written by us, or not left as we wrote it."""


class CacheStats(Record):
    """What lies in the cache."""

    path: str
    answers: int = 0
    bytes: int = 0
    oldest: float | None = None
    models: dict[str, int] = Field(default_factory=dict)
    expired: int = 0


class CacheFile:
    """The answers in one folder. Every call opens the file and closes it, in any thread."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / FILE
        self._old_key = folder / "answers.key"

    def find(self, request: str, ttl: float) -> str | None:
        """The answer to a request, as JSON; None where there is none that is still good.

        Raises:
            TamperedError: the row, or the file, is not ours.
        """
        if not self.file.exists():
            return None
        with self.open() as db:
            row = db.execute(
                "SELECT model, created, expires, answer, seal FROM answers WHERE request = ?",
                (request,),
            ).fetchone()
        if row is None:
            return None
        model, created, expires, answer, seal = row
        typed = isinstance(answer, str) and isinstance(model, str) and isinstance(seal, str)
        if not typed or seal != _checksum(request, model, created, expires, answer):
            raise TamperedError(f"an answer kept in {str(self.file)!r} is not as it was written")
        now = time.time()
        return str(answer) if now - ttl < created <= now + _AHEAD else None

    def keep(self, request: str, model: str, answer: str, ttl: float, megabytes: int) -> None:
        """Lay down an answer; the oldest make room for it, and it is not kept where it is too big.

        Raises:
            TamperedError: the file is not ours.
        """
        bound = megabytes * 1_000_000
        if len(answer.encode()) > bound // 4:
            return
        ensure(self.folder)
        now = time.time()
        row = (request, model, now, now + ttl, answer)
        with _writing, self.open() as db:
            db.execute("BEGIN IMMEDIATE")
            db.execute("DELETE FROM answers WHERE expires < ?", (now,))
            db.execute(
                "INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?, ?)", (*row, _checksum(*row))
            )
            while _used_bytes(db) > bound:
                many = int(db.execute("SELECT count(*) FROM answers").fetchone()[0])
                db.execute(
                    "DELETE FROM answers WHERE request IN "
                    "(SELECT request FROM answers ORDER BY created LIMIT ?)",
                    (max(1, many // 20),),
                )
                if many <= 1:
                    break
            db.execute("COMMIT")
            db.executescript("PRAGMA incremental_vacuum")  # `execute` would free one page

    def stats(self) -> CacheStats:
        """Count what is there.

        Raises:
            TamperedError: the file is not ours.
        """
        if not self.file.exists():
            return CacheStats(path=str(self.file))
        with self.open() as db:
            count, oldest = db.execute("SELECT count(*), min(created) FROM answers").fetchone()
            late = "SELECT count(*) FROM answers WHERE expires < ?"
            expired = db.execute(late, (time.time(),)).fetchone()[0]
            per_model = "SELECT model, count(*) FROM answers GROUP BY model ORDER BY 2 DESC"
            models = {str(name): int(many) for name, many in db.execute(per_model)}
        return CacheStats(
            path=str(self.file),
            answers=count,
            bytes=self.file.stat().st_size,
            oldest=oldest,
            models=models,
            expired=expired,
        )

    def damaged(self, *, delete: bool = False) -> list[str]:
        """The requests whose answers are not as they were written; deleted where that is asked for.

        Raises:
            TamperedError: the file is not ours.
        """
        with _writing, self.open() as db:
            rows = db.execute(
                "SELECT rowid, request, seal, model, created, expires, answer FROM answers"
            ).fetchall()
            damaged = [
                (number, str(request))
                for number, request, seal, *answer in rows
                if seal != _checksum(request, *answer)
            ]
            if delete:
                db.executemany("DELETE FROM answers WHERE rowid = ?", [(n,) for n, _ in damaged])
        return [request for _, request in damaged]

    def clear(self) -> int:
        """Forget every answer, file included; returns how many bytes are free again."""
        freed = 0
        journal = self.file.with_name(self.file.name + "-journal")
        for place in (self.file, journal, self._old_key):
            if place.exists():
                freed += place.stat().st_size
                place.unlink()
        return freed

    @contextmanager
    def open(self) -> Iterator[sqlite3.Connection]:
        """The file, where it is ours.

        Raises:
            TamperedError: it is not, or is damaged.
            sqlite3.Error: it is locked, or the disk fails.
        """
        if not self.file.exists():
            # Before SQLite makes it: for its owner alone.
            os.close(os.open(self.file, os.O_CREAT | os.O_RDWR, 0o600))
        db = sqlite3.connect(self.file, timeout=_PATIENCE, isolation_level=None)
        try:
            db.execute("PRAGMA trusted_schema = OFF")
            db.execute("PRAGMA cell_size_check = ON")
            # What a power cut loses or spoils is asked anew; waiting for the disk would cost more.
            db.execute("PRAGMA synchronous = OFF")
            self._see_that_it_is_ours(db)
            yield db
        except sqlite3.DatabaseError as error:
            if type(error) is sqlite3.DatabaseError:  # "not a database", "malformed"
                raise TamperedError(f"{str(self.file)!r} is damaged ({error})") from None
            raise
        finally:
            db.close()

    def _see_that_it_is_ours(self, db: sqlite3.Connection) -> None:
        layout = _laid_out(db)
        if not layout:
            db.execute("PRAGMA auto_vacuum = INCREMENTAL")
            db.execute("BEGIN IMMEDIATE")
            if not _laid_out(db):  # nobody else was quicker
                db.execute(_TABLE)
                db.execute(_INDEX)
                db.execute(f"PRAGMA user_version = {_LAYOUT_VERSION}")
            db.execute("COMMIT")
            layout = _laid_out(db)
        if layout_version(db) > _LAYOUT_VERSION:
            raise TamperedError(f"{str(self.file)!r} was written by a newer version of mom")
        if layout != {_TABLE, _INDEX}:
            raise TamperedError(f"{str(self.file)!r} holds what was not laid down by us")
        if self._old_key.exists():
            self._replace_seals(db)

    def _replace_seals(self, db: sqlite3.Connection) -> None:
        """Give rows of version 0.1 a checksum: they were sealed with a key that lay beside them."""
        rows = db.execute("SELECT request, model, created, expires, answer FROM answers").fetchall()
        db.execute("BEGIN IMMEDIATE")
        db.executemany(
            "UPDATE answers SET seal = ? WHERE request = ?",
            [(_checksum(*row), row[0]) for row in rows],
        )
        db.execute("COMMIT")
        self._old_key.unlink(missing_ok=True)


def _checksum(*row: object) -> str:
    return hashlib.sha256(json.dumps(row, default=repr).encode()).hexdigest()


def _laid_out(db: sqlite3.Connection) -> set[str]:
    # Indexes that SQLite makes by itself have no text.
    return {str(sql) for (sql,) in db.execute("SELECT sql FROM sqlite_master") if sql is not None}


def _used_bytes(db: sqlite3.Connection) -> int:
    """Bytes of the pages that hold something."""
    pages, free, size = (
        int(db.execute(f"PRAGMA {name}").fetchone()[0])
        for name in ("page_count", "freelist_count", "page_size")
    )
    return (pages - free) * size


_log = logger(__name__)

_REST = 30.0
"""Seconds that a cache with which something is wrong is left alone."""

_VERSION = 1
"""Of what stands in the key and in the answer."""


class CachedAnswer(Record):
    """An answer as it lies in the cache."""

    text: str
    reasoning: str = ""
    calls: tuple[dict[str, Any], ...] = ()
    message: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class CacheRequest:
    """Everything that decides an answer."""

    spec: Model
    address: str
    messages: Sequence[BaseMessage]
    params: Mapping[str, Any] | None
    schema: Mapping[str, Any] | None
    tools: Sequence[Mapping[str, Any]]
    seat: str
    form: Mapping[str, Any] = field(default_factory=dict)
    """What else is asked of the reply."""

    @property
    def key(self) -> str:
        """Its name in the cache: the hash of its canonical JSON.

        Raises:
            TypeError: something in it is no JSON, so that it equals nothing.
        """
        spec = self.spec
        parts = {
            "version": _VERSION,
            "provider": spec.provider,
            "address": self.address,
            "model": spec.model,
            "weights": _weights(spec),
            "context": spec.context,
            "structured": spec.structured,
            "native_tools": spec.tools,
            "params": {**spec.params, **(self.params or {})},
            "messages": [_message_fields(message) for message in self.messages],
            "schema": self.schema,
            "tools": list(self.tools),
            "seat": self.seat,
            **({"form": self.form} if self.form else {}),
        }
        written = json.dumps(parts, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(written.encode()).hexdigest()


class AnswerCache:
    """The cache as one event loop uses it. What is wrong with it is said once, and it rests."""

    def __init__(self) -> None:
        self._rest_until: dict[tuple[str, str], float] = {}
        self._warned: set[tuple[str, str]] = set()

    async def find(self, cache: Cache, request: CacheRequest) -> CachedAnswer | None:
        """The answer that lies there for a request, if one does; never raises."""
        file = CacheFile(cache_dir())
        if self._is_resting(file, "find"):
            return None
        try:
            return await asyncio.to_thread(_find, file, cache, request)
        except _TROUBLE as error:
            self._warn(file, "find", error)
            return None

    async def keep(self, cache: Cache, request: CacheRequest, answer: CachedAnswer) -> None:
        """Lay down a whole answer; never raises."""
        file = CacheFile(cache_dir())
        if self._is_resting(file, "keep") or not _worth_keeping(answer):
            return
        try:
            await asyncio.to_thread(_keep, file, cache, request, answer)
        except _TROUBLE as error:
            self._warn(file, "keep", error)

    def _is_resting(self, file: CacheFile, act: str) -> bool:
        return time.monotonic() < self._rest_until.get((str(file.folder), act), 0.0)

    def _warn(self, file: CacheFile, act: str, error: Exception) -> None:
        """Say what is wrong with the cache, each thing once, and leave it alone for a while."""
        folder, message = str(file.folder), redact(str(error))
        cure = "`mom cache clear` begins a new one"
        if not isinstance(error, TamperedError):
            self._rest_until[folder, act] = time.monotonic() + _REST
            message = f"{str(file.file)!r}: {message}"
            cure = "`mom cache stats` says where it lies"
        if (folder, message) not in self._warned:
            self._warned.add((folder, message))
            _log.warning("the cache is not used, and the model is asked: %s; %s", message, cure)


@contextmanager
def cache_errors() -> Iterator[CacheFile]:
    """The cache's file, for a person who asks about it.

    Raises:
        StorageError: it cannot be read; with the way out.
    """
    file = CacheFile(cache_dir())
    try:
        yield file
    except (OSError, sqlite3.Error) as error:
        raise StorageError(f"{str(file.file)!r} cannot be read: {error}") from None
    except TamperedError as error:
        raise StorageError(f"{error}; `mom cache clear` begins a new one") from None


def stats() -> CacheStats:
    """Count what the cache holds.

    Raises:
        StorageError: it cannot be read.
    """
    with cache_errors() as file:
        return file.stats()


def clear() -> int:
    """Forget every answer; returns how many bytes that frees.

    Raises:
        StorageError: the file cannot be removed.
    """
    file = CacheFile(cache_dir())
    try:
        return file.clear()
    except OSError as error:
        raise StorageError(f"{str(file.file)!r} cannot be removed: {error}") from None


_TROUBLE = (OSError, sqlite3.Error, StorageError, ValueError)


def _find(file: CacheFile, cache: Cache, request: CacheRequest) -> CachedAnswer | None:
    if (key := _key(request)) is None:
        return None
    written = file.find(key, cache.ttl)
    try:
        return None if written is None else CachedAnswer.model_validate_json(written)
    except ValidationError:
        raise TamperedError(f"an answer kept in {str(file.file)!r} cannot be read") from None


def _keep(file: CacheFile, cache: Cache, request: CacheRequest, answer: CachedAnswer) -> None:
    model_name = f"{request.spec.provider}/{request.spec.model}"
    if (key := _key(request)) is not None:
        file.keep(key, model_name, answer.model_dump_json(), cache.ttl, cache.megabytes)


def _key(request: CacheRequest) -> str | None:
    try:
        return request.key
    except (TypeError, ValueError):
        return None  # no JSON: it equals nothing


def _worth_keeping(answer: CachedAnswer) -> bool:
    """Whether it says something, can be read, and shows no key."""
    written = answer.model_dump_json()
    has_content = bool(answer.text.strip() or answer.calls)
    return has_content and "\ufffd" not in written and redact(written) == written


def _message_fields(message: BaseMessage) -> dict[str, Any]:
    """What of a message reaches a model; ids and what was counted about it do not."""
    fields = message.model_dump(
        include={"type", "content", "name", "tool_calls", "tool_call_id", "status"}
    )
    more = {name: message.additional_kwargs[name] for name in sorted(message.additional_kwargs)}
    return {**fields, "more": more}


def _weights(spec: Model) -> list[int] | None:
    """What tells one file of weights from another of the same name."""
    if not vendor_of(spec.provider).from_files:
        return None
    try:
        status = os.stat(spec.model)  # noqa: PTH116 - it may be no path at all
    except (OSError, ValueError):
        return None
    return [status.st_size, status.st_mtime_ns]
