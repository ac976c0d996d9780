"""The file that answers are kept in: SQLite, bounded in size, each row sealed.

A row is text and is read as JSON; nothing in the file is ever executed. Its seal is made with a key
that lies beside the file, so that a row that was written, changed, moved or dated anew by anybody
else is found out. A file with anything in it but our one table (a trigger, a view) is refused
whole. The questions themselves are not in it: a request is known by its hash alone.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import Field

from mom_council.councils.records import Record
from mom_council.errors import StorageError
from mom_council.models.paths import ensure

_TABLE = (
    "CREATE TABLE answers (request TEXT PRIMARY KEY, model TEXT NOT NULL, created REAL NOT NULL, "
    "expires REAL NOT NULL, answer TEXT NOT NULL, seal TEXT NOT NULL)"
)
_INDEX = "CREATE INDEX age ON answers (created)"
_PATIENCE = 1.0
"""Seconds that a locked file is waited for."""
_SEAL = 32
_writing = threading.Lock()
"""Held while this process writes: its threads queue here, not at SQLite's lock, which is unfair."""
_AHEAD = 60.0
"""Seconds that another machine's clock may be ahead of ours."""


class TamperedError(StorageError):
    """What lies in the cache was not written by us, or not left as we wrote it."""


class Stats(Record):
    """What lies in the cache."""

    path: str
    answers: int = 0
    bytes: int = 0
    oldest: float | None = None
    models: dict[str, int] = Field(default_factory=dict)
    expired: int = 0


class Shelf:
    """The answers in one folder. Every call opens the file and closes it, in any thread."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "answers.db"
        self._key = folder / "answers.key"

    def find(self, request: str, ttl: float) -> str | None:
        """The answer to a request, as JSON; None where there is none that is still good.

        Raises:
            TamperedError: the row, or the file, is not ours.
        """
        if not self.file.exists():
            return None
        with self._open() as db:
            row = db.execute(
                "SELECT model, created, expires, answer, seal FROM answers WHERE request = ?",
                (request,),
            ).fetchone()
        if row is None:
            return None
        model, created, expires, answer, seal = row
        typed = isinstance(answer, str) and isinstance(model, str) and isinstance(seal, str)
        if not typed or seal != self._seal(request, model, created, expires, answer):
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
        with _writing, self._open() as db:
            db.execute("BEGIN IMMEDIATE")
            db.execute("DELETE FROM answers WHERE expires < ?", (now,))
            db.execute(
                "INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?, ?)", (*row, self._seal(*row))
            )
            while _used(db) > bound:
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

    def stats(self) -> Stats:
        """Count what is there.

        Raises:
            TamperedError: the file is not ours.
        """
        if not self.file.exists():
            return Stats(path=str(self.file))
        with self._open() as db:
            count, oldest = db.execute("SELECT count(*), min(created) FROM answers").fetchone()
            late = "SELECT count(*) FROM answers WHERE expires < ?"
            expired = db.execute(late, (time.time(),)).fetchone()[0]
            per_model = "SELECT model, count(*) FROM answers GROUP BY model ORDER BY 2 DESC"
            models = {str(name): int(many) for name, many in db.execute(per_model)}
        return Stats(
            path=str(self.file),
            answers=count,
            bytes=self.file.stat().st_size,
            oldest=oldest,
            models=models,
            expired=expired,
        )

    def clear(self) -> int:
        """Forget every answer, file and key included; returns how many bytes are free again."""
        freed = 0
        journal = self.file.with_name(self.file.name + "-journal")
        for place in (self.file, journal, self._key):
            if place.exists():
                freed += place.stat().st_size
                place.unlink()
        return freed

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
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
        found = _laid_out(db)
        if not found:
            db.execute("PRAGMA auto_vacuum = INCREMENTAL")
            db.execute("BEGIN IMMEDIATE")
            if not _laid_out(db):  # nobody else was quicker
                db.execute(_TABLE)
                db.execute(_INDEX)
            db.execute("COMMIT")
            found = _laid_out(db)
        if found != {_TABLE, _INDEX}:
            raise TamperedError(f"{str(self.file)!r} holds what was not laid down by us")

    def _seal(self, *row: object) -> str:
        told = json.dumps(row).encode()
        return hmac.new(self._sealing_key(), told, hashlib.sha256).hexdigest()

    def _sealing_key(self) -> bytes:
        """This folder's own; it seals rows, opens nothing, and is made when it is missing."""
        try:
            made = os.open(self._key, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        except FileExistsError:
            key = self._key.read_bytes()
        else:
            key = secrets.token_bytes(_SEAL)
            with os.fdopen(made, "wb") as file:
                file.write(key)
        if len(key) != _SEAL:
            raise TamperedError(f"{str(self._key)!r} is no key")
        return key


def _laid_out(db: sqlite3.Connection) -> set[str]:
    # Indexes that SQLite makes by itself have no text.
    return {str(sql) for (sql,) in db.execute("SELECT sql FROM sqlite_master") if sql is not None}


def _used(db: sqlite3.Connection) -> int:
    """Bytes of the pages that hold something."""
    pages, free, size = (
        int(db.execute(f"PRAGMA {name}").fetchone()[0])
        for name in ("page_count", "freelist_count", "page_size")
    )
    return (pages - free) * size
