"""Where our files lie: the folders, and the SQLite files of our own, which are opened here.

`MOM_DATA_DIR` says where; else `XDG_DATA_HOME`; else the system's usual place for such things.
What the user writes (the table of prices) is looked for where `MOM_CONFIG_DIR` or
`XDG_CONFIG_HOME` says, in the same way.

    LEDGER = DatabaseLayout("the ledger", (_TABLES,), cure="...")
    with open_database(path, LEDGER) as db:
        ...

A database's version is SQLite's `user_version`: how many steps of the layout the file has. A file
of version 0.1 has none written; it holds what the first step makes, and keeps it. A file of a newer
version is not touched. What SQLite or a reader of values raises inside becomes a StorageError of
one line.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs

from mom_council.errors import UNREADABLE, DamagedValueError, StorageError
from mom_council.redaction import quote

if TYPE_CHECKING:
    import sqlite3

VARIABLE = "MOM_DATA_DIR"
CONFIG_VARIABLE = "MOM_CONFIG_DIR"
FOLDER = "mixture-of-models"  # of the product, not of the package: data of version 0.1 lies there


def data_dir(env: Mapping[str, str] = os.environ) -> Path:
    """The folder everything is kept in; it need not exist yet.

    Raises:
        StorageError: it depends on a home that cannot be found.
    """
    return _place(env, VARIABLE, "XDG_DATA_HOME", platformdirs.user_data_path, ".local/share")


def config_dir(env: Mapping[str, str] = os.environ) -> Path:
    """The folder of what the user writes; it need not exist.

    Raises:
        StorageError: it depends on a home that cannot be found.
    """
    return _place(env, CONFIG_VARIABLE, "XDG_CONFIG_HOME", platformdirs.user_config_path, ".config")


def state_db() -> Path:
    """The SQLite file of the threads."""
    return data_dir() / "threads.db"


def weights_dir() -> Path:
    """Where downloaded weights lie."""
    return data_dir() / "weights"


def traces_dir() -> Path:
    """Where local traces lie."""
    return data_dir() / "traces"


def pictures_dir() -> Path:
    """Where the pictures lie that the council drew."""
    return data_dir() / "pictures"


def cache_dir() -> Path:
    """Where answers to identical requests lie."""
    return data_dir() / "cache"


def storage_limits() -> Path:
    """The file in which the user says how long what is stored may stay; it need not exist.

    Raises:
        StorageError: it depends on a home that cannot be found.
    """
    return config_dir() / "storage.yaml"


def has_storage_limits() -> bool:
    """Whether the user has written that file."""
    try:
        return storage_limits().exists()
    except (StorageError, OSError):
        return False


def ensure(folder: Path) -> Path:
    """Make `folder`, for its owner alone, where it is missing, and see that it can be written to.

    Raises:
        StorageError: it cannot be made or written to.
    """
    try:
        missing = [place for place in (folder, *folder.parents) if not place.exists()]
        for place in reversed(missing):
            place.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise _unusable(folder, error.strerror or type(error).__name__) from None
    if not folder.is_dir():
        raise _unusable(folder, "it is no folder")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise _unusable(folder, "it can only be read")
    return folder


def _place(
    env: Mapping[str, str],
    variable: str,
    shared: str,
    usual: Callable[..., Path],
    at_home: str,
) -> Path:
    try:
        if named := env.get(variable):
            return Path(named).expanduser().absolute()
        # A relative XDG folder is void by its specification; platformdirs takes it as it is.
        if (folder := Path(env.get(shared, ""))).is_absolute():
            return folder / FOLDER
        place = _usual(usual, env.get("HOME"))
        return place if place.is_absolute() else Path.home() / at_home / FOLDER
    except RuntimeError:
        raise StorageError(
            "the home folder cannot be found", cure=f"set {variable} to a folder, written in full"
        ) from None


@functools.lru_cache(maxsize=8)
def _usual(usual: Callable[..., Path], home: str | None) -> Path:
    """The system's own place; asked for at every call of a model, and it does not change."""
    return usual(FOLDER, appauthor=False)


def _unusable(folder: Path, reason: str) -> StorageError:
    return StorageError(
        f"nothing can be kept in {quote(str(folder))} ({reason})",
        cure=f"set {VARIABLE} to a folder that can be written to",
    )


BUSY_SECONDS = 5.0
"""How long another program's lock is waited for."""


@dataclass(frozen=True, slots=True)
class DatabaseLayout:
    """What a file of ours holds."""

    about: str
    """What it is, as a person would say it."""
    steps: tuple[str, ...]
    """SQL of each version, in order; the first makes the tables where they are missing."""
    cure: str
    """What to do where it cannot be used."""
    write_ahead: bool = True
    dated: tuple[tuple[str, str], ...] = ()
    """Tables whose rows may be dropped by age, each with the column of its time, epoch seconds."""

    @property
    def version(self) -> int:
        """Of the layout that this program writes."""
        return len(self.steps)


@contextmanager
def open_database(
    path: Path, layout: DatabaseLayout, *, write: bool = False
) -> Iterator[sqlite3.Connection]:
    """Open a file of ours, and bring its layout up to date; committed at the end.

    Args:
        path: the file; it is made where it is missing.
        layout: what it holds.
        write: whether its lock is taken at once.

    Raises:
        StorageError: it cannot be read or written, is damaged, or is of a newer version.
    """
    import sqlite3  # whoever only asks for a folder does without

    ensure(path.parent)
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        with closing(sqlite3.connect(path, timeout=BUSY_SECONDS)) as db, db:
            # A damaged letter is shown as such; it does not hide the rows beside it.
            db.text_factory = lambda stored: stored.decode("utf-8", "replace")
            if layout.write_ahead:
                db.execute("PRAGMA journal_mode = WAL")
                db.execute("PRAGMA synchronous = NORMAL")
            _bring_up_to_date(db, path, layout)
            if write:
                db.execute("BEGIN IMMEDIATE")
            yield db
    except (sqlite3.Error, OSError) as error:
        raise StorageError(
            f"{layout.about} in {str(path)!r}: {' '.join(str(error).split())}", cure=layout.cure
        ) from error
    except UNREADABLE as error:
        raise DamagedValueError(
            f"{layout.about} in {str(path)!r}: a stored value is damaged ({type(error).__name__})",
            cure="`mom storage check` finds what is damaged, and can repair it",
        ) from error


def refuse_newer(place: str, stored: int, version: int) -> None:
    """Leave alone what a newer version of this program wrote.

    Raises:
        StorageError: it did.
    """
    if stored > version:
        raise StorageError(
            f"{place!r} was written by a newer version of mom (its layout has version {stored}, "
            f"this program knows {version})",
            cure="update mom-council, or name another place",
        )


def layout_version(db: sqlite3.Connection) -> int:
    """The version that a file says."""
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def _bring_up_to_date(db: sqlite3.Connection, path: Path, layout: DatabaseLayout) -> None:
    version = layout_version(db)
    refuse_newer(str(path), version, layout.version)
    if version == layout.version:
        return
    for step in layout.steps[version:]:
        db.executescript(step)
    db.execute(f"PRAGMA user_version = {layout.version}")


@dataclass(frozen=True, slots=True)
class RowCount:
    """What lies in the dated tables of a file."""

    rows: int = 0
    bytes: int = 0
    """Of the values, not of the file."""
    oldest: float | None = None
    """Epoch seconds."""


def count_rows(db: sqlite3.Connection, dated: Iterable[tuple[str, str]]) -> RowCount:
    """Count what lies in the dated tables."""
    rows = [(size, at) for *_, size, at in _dated_rows(db, dated)]
    oldest = min((at for _, at in rows if at), default=None)
    return RowCount(len(rows), sum(size for size, _ in rows), oldest)


def prune_rows(
    db: sqlite3.Connection,
    dated: Iterable[tuple[str, str]],
    *,
    before: float | None = None,
    most_bytes: int | None = None,
    dry_run: bool = False,
) -> RowCount:
    """Delete the oldest rows; what was deleted.

    Args:
        db: an open file.
        dated: its tables, each with the column of its time.
        before: older rows are deleted, epoch seconds; None: none for their age.
        most_bytes: the newest rows of so many bytes stay; None: all of them.
        dry_run: only count.
    """
    dropped: list[tuple[str, int, int, float]] = []
    left = 0
    for table, row, size, at in sorted(_dated_rows(db, dated), key=lambda one: -one[3]):
        left += size
        is_old = before is not None and at < before
        if is_old or (most_bytes is not None and left > most_bytes):
            dropped.append((table, row, size, at))
    if not dry_run:
        for table, row, *_ in dropped:
            db.execute(f"DELETE FROM {table} WHERE rowid = ?", (row,))  # noqa: S608
    oldest = min((at for *_, at in dropped if at), default=None)
    return RowCount(len(dropped), sum(size for *_, size, _ in dropped), oldest)


def _dated_rows(
    db: sqlite3.Connection, dated: Iterable[tuple[str, str]]
) -> Iterator[tuple[str, int, int, float]]:
    """Of each row: table, row id, bytes, time."""
    for table, at in dated:
        columns = [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
        size = " + ".join(f"ifnull(length({column}), 0)" for column in columns)
        for row, length, when in db.execute(f"SELECT rowid, {size}, {at} FROM {table}"):  # noqa: S608
            # A damaged time counts as the oldest there is: the row goes first.
            yield table, int(row), int(length), float(when) if isinstance(when, int | float) else 0
