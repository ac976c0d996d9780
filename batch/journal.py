"""The journal of a batch: finished rows, one a line, from which a killed batch continues.

A batch works in a folder named like its output, with `.batch` after it. Only one process at a time
works there: it holds a lock on a file, which ends with its process in any case.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mom_council.batch.rows import RowOutcome
from mom_council.councils.schema import Council
from mom_council.errors import StorageError
from mom_council.paths import refuse_newer
from mom_council.records import Usage

VERSION = 1
"""Of the folder's files; version 0.1 wrote none, which means 1."""


def lock_file(path: Path, wait: float = 0) -> sqlite3.Connection | None:
    """Hold the lock until the connection is closed; None where another process keeps it.

    Args:
        path: the lock's file; it is made where it is not there.
        wait: seconds to wait for the other process.

    Raises:
        StorageError: something else lies in the lock's place, or nothing can be written there.
    """
    try:
        lock = sqlite3.connect(path, timeout=wait, isolation_level=None)
        try:
            lock.execute("BEGIN EXCLUSIVE")
        except sqlite3.Error as error:
            lock.close()
            if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY:
                return None
            raise
    except sqlite3.Error as error:
        raise StorageError(f"{path} cannot be locked ({error})", cure="delete it") from None
    return lock


class Journal:
    """The finished rows of one batch."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.done: dict[int, int] = {}
        """Of each finished row where its line begins; the last line of a row counts."""
        self.failed: dict[int, Usage] = {}
        """Rows that were asked and not answered, and what that cost: they can be asked again."""
        self.unasked = 0
        self._settled = Usage()
        self._path = folder / "done.jsonl"
        self._lock: sqlite3.Connection | None = None

    @classmethod
    def open(cls, output: Path, job: dict[str, Any]) -> Journal:
        """Begin a batch, or go on with it.

        Raises:
            StorageError: the folder is another batch's, is at work, or cannot be written.
        """
        journal = cls(output.with_name(output.name + ".batch"))
        try:
            journal.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            journal._lock_file()
            journal._is_of(job)
            journal._read()
        except OSError as error:
            raise StorageError(f"{journal.folder} cannot be written: {error.strerror}") from None
        except BaseException:
            journal.close()
            raise
        return journal

    @property
    def spent(self) -> Usage:
        """What all finished rows used."""
        return sum(self.failed.values(), self._settled)

    @property
    def errors(self) -> int:
        """How many finished rows have no answer."""
        return self.unasked + len(self.failed)

    def add(self, outcome: RowOutcome) -> None:
        """Keep a finished row; in the file before this returns."""
        line = outcome.model_dump_json(exclude_defaults=True).encode() + b"\n"
        try:
            with self._path.open("ab") as file:
                at = file.tell()
                file.write(line)
        except OSError as error:
            raise StorageError(f"{self._path} cannot be written: {error.strerror}") from None
        self._count(outcome, at)

    def outcomes(self, indexes: Iterator[int]) -> Iterator[RowOutcome | None]:
        """The finished rows in the order that is asked for; None for one that is not finished."""
        if not self.done:
            yield from (None for _ in indexes)
            return
        with self._path.open("rb") as file:
            for index in indexes:
                if index not in self.done:
                    yield None
                    continue
                file.seek(self.done[index])
                yield RowOutcome.model_validate_json(file.readline())

    def remember(self, engine: str) -> None:
        """Keep, or see again, what answers: threads under way are kept where it keeps them.

        Raises:
            StorageError: the batch was begun with another.
        """
        path = self.folder / "engine"
        if not path.exists():
            path.write_text(engine, encoding="utf-8")
        elif (begun := path.read_text("utf-8", errors="replace")) != engine:
            raise StorageError(f"this batch was begun with {begun!r}", cure="go on with that one")

    def close(self) -> None:
        """Let another process work here."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def remove(self) -> None:
        """Forget the batch: all of it is in the output."""
        self.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _lock_file(self) -> None:
        self._lock = lock_file(self.folder / "lock")
        if self._lock is None:
            raise StorageError(
                f"another mom batch is at work in {self.folder}", cure="wait for it, or end it"
            )

    def _is_of(self, job: dict[str, Any]) -> None:
        path = self.folder / "job.json"
        if not path.exists():
            path.write_text(json.dumps({"version": VERSION, "job": job}), encoding="utf-8")
            return
        try:
            begun = json.loads(path.read_text("utf-8"))
            same = begun["job"] == job
            version = int(begun.get("version", VERSION))
        except (ValueError, KeyError, TypeError):
            same, version = False, VERSION
        refuse_newer(str(self.folder), version, VERSION)
        if not same:
            raise StorageError(
                f"{self.folder} holds a batch of other questions or of another council",
                cure="name another output, or delete that folder",
            )

    def _read(self) -> None:
        if not self._path.exists():
            return
        whole = 0
        with self._path.open("rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    break
                # A damaged line is of a row that is asked for again; those after it are good.
                with contextlib.suppress(ValidationError):
                    self._count(RowOutcome.model_validate_json(line), whole)
                whole += len(line)
        if whole < self._path.stat().st_size:
            # Killed while it wrote this line: the row's answer is still in its thread.
            with self._path.open("r+b") as file:
                file.truncate(whole)

    def _count(self, outcome: RowOutcome, at: int) -> None:
        self.done[outcome.index] = at
        # Asked again, a row tells what it used in all, so the failed try is not counted beside it.
        self.failed.pop(outcome.index, None)
        if outcome.error and not outcome.unasked:
            self.failed[outcome.index] = outcome.usage
        else:
            self._settled += outcome.usage
        self.unasked += outcome.unasked


def identify_batch(council: Council, source: Path, column: str) -> dict[str, Any]:
    """What tells one batch from another: the council, the questions, and where they stand.

    Raises:
        StorageError: the questions cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with source.open("rb") as file:
            while piece := file.read(1 << 20):
                digest.update(piece)
    except OSError as error:
        raise StorageError(f"{source} cannot be read: {error.strerror}") from None
    # What is at its default is left out, so that a newer version with more fields goes on too.
    seated = hashlib.sha256(council.model_dump_json(exclude_defaults=True).encode())
    return {
        "questions": digest.hexdigest()[:32],
        "council": seated.hexdigest()[:32],
        "column": column,
    }
