"""Where things are kept: the data folder, the databases in it, the files with settings."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

from mom_council import paths
from mom_council.doctor.finding import Finding, fail, failed, ok, warn
from mom_council.errors import MixtureError, StorageError

_LITTLE, _NOTHING = 1_000_000_000, 50_000_000
_LARGE = 300_000_000
"""Bytes of a database beyond which it is not read to its end here."""


def data_folder(env: Mapping[str, str]) -> Iterator[Finding]:
    """Whether the data folder can be written to, and how much space there is."""
    try:
        folder = paths.data_dir(env)
        place = next(one for one in (folder, *folder.parents) if one.exists())
        if place == folder:
            paths.ensure(folder)
        elif not os.access(place, os.W_OK | os.X_OK):
            yield fail(
                "data", f"{folder} cannot be made", f"set {paths.VARIABLE} to another folder"
            )
            return
    except StorageError as error:
        yield failed("data", error)
        return
    free = shutil.disk_usage(place).free
    space = f"{free / 1e9:.1f} GB free"
    if free < _NOTHING:
        yield fail("disk", space, f"free some space, or set {paths.VARIABLE} to another disk")
    elif free < _LITTLE:
        yield warn("disk", space, "free some space: threads and traces grow, weights are large")
    else:
        yield ok("data", f"{folder} ({space})")


def databases(env: Mapping[str, str]) -> Iterator[Finding]:
    """Whether each database is readable, sound, and not held by another program."""
    named = env.get("MOM_DATABASE", "")
    data = paths.data_dir(env)
    files = {"threads": data / "threads.db", "traces": data / "traces" / "traces.db"}
    files["cache"] = data / "cache" / "answers.db"
    if named.startswith(("postgres://", "postgresql://")):
        del files["threads"]
        yield from _postgres(named)
    elif named.startswith("memory:"):
        del files["threads"]
        yield warn("threads", "MOM_DATABASE is memory: nothing is kept", "unset it to keep threads")
    elif named:
        files["threads"] = Path(named.removeprefix("sqlite:///")).expanduser()
    for about, file in files.items():
        if file.exists():
            yield _sqlite(about, file)
        elif about == "threads":
            yield ok(about, f"none yet; {file} is made by the first question")


def _sqlite(about: str, file: Path) -> Finding:
    cure = "move the file away; a new one is made"
    try:
        with closing(sqlite3.connect(f"{file.as_uri()}?mode=rw", uri=True, timeout=0.5)) as db:
            size = file.stat().st_size
            sound = "ok"
            if size <= _LARGE:
                sound = str(db.execute("PRAGMA quick_check(1)").fetchone()[0])
            if sound != "ok":
                return fail(about, f"{file} is damaged: {sound}", cure)
            db.execute("BEGIN IMMEDIATE")
            db.execute("ROLLBACK")
        return ok(about, f"{file} ({size / 1e6:.1f} MB)")
    except sqlite3.OperationalError as error:
        if "locked" in str(error) or "busy" in str(error):
            cure = "another program is writing to it; wait for it, or stop it"
            return warn(about, f"{file} is locked", cure)
        return fail(about, f"{file} cannot be opened: {error}", "check its permissions")
    except (sqlite3.DatabaseError, OSError) as error:
        return fail(about, f"{file} cannot be read: {error}", cure)


def _postgres(url: str) -> Iterator[Finding]:
    from importlib.util import find_spec

    if find_spec("psycopg") is None:
        cure = "pip install 'mom-council[postgres]'"
        yield fail("threads", "MOM_DATABASE is PostgreSQL, and its driver is not installed", cure)
        return
    import psycopg

    try:
        with psycopg.connect(url, connect_timeout=3) as db:
            db.execute("SELECT 1")
        yield ok("threads", "PostgreSQL answers")
    except psycopg.Error as error:
        # Its words may repeat the address, and with it the password.
        cure = "check MOM_DATABASE, and that the server runs"
        yield fail("threads", f"PostgreSQL does not answer ({type(error).__name__})", cure)


def settings(env: Mapping[str, str]) -> Iterator[Finding]:
    """The files in which people write: `.env`, and the table of prices."""
    for name in (".env.local", ".env"):
        file = Path(name)
        if not file.is_file():
            continue
        if not os.access(file, os.R_OK):
            yield warn(name, "cannot be read", f"chmod 600 {name}")
        elif os.name == "posix" and file.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH):
            yield warn(name, "can be read by others on this machine", f"chmod 600 {name}")
        else:
            yield ok(name, "is read")
        break
    from mom_council.models.prices import read_prices

    try:
        file = paths.config_dir(env) / "prices.yaml"
        if file.exists():
            read_prices(file)
            yield ok("prices", str(file))
    except MixtureError as error:
        yield failed("prices", error, "fix the file, or move it away")
