"""Checks of the machine: Python, packages, stored files, ports, the clock, tracing, the graph.

`examine` runs these checks and those of the models, all at once, each within its time.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.metadata
import importlib.util
import json
import os
import platform
import shutil
import socket
import sqlite3
import stat
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import mom_council
from mom_council import paths
from mom_council.doctor import Finding, council, fail, failed, ok, warn
from mom_council.errors import MixtureError, StorageError
from mom_council.redaction import redact
from mom_council.vendors import VENDORS

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


PACKAGE = "mom-council"
NEWEST = (3, 14)
"""What the tests have not run on yet."""


def version(env: Mapping[str, str]) -> Iterator[Finding]:
    """Whether this Python is one that the package runs on."""
    here = platform.python_version()
    if sys.version_info >= NEWEST:  # an older one than 3.11 does not get as far as here
        yield warn("python", f"is {here}, which is not tested", "use 3.11 to 3.13")
    else:
        yield ok("python", f"{here} at {sys.executable}")


def packages(env: Mapping[str, str]) -> Iterator[Finding]:
    """Whether what always comes along is here, in versions that fit."""
    from packaging.requirements import Requirement

    requirements = [Requirement(line) for line in importlib.metadata.requires(PACKAGE) or ()]
    missing, old = [], []
    for one in requirements:
        if one.marker is not None and not one.marker.evaluate({"extra": ""}):
            continue
        try:
            here = importlib.metadata.version(one.name)
        except importlib.metadata.PackageNotFoundError:
            missing.append(one)
            continue
        if not one.specifier.contains(here, prereleases=True):
            old.append(f"{one.name} {here} (wanted: {one.specifier})")
    if missing:
        names = " ".join(f"'{one.name}{one.specifier}'" for one in missing)
        yield fail("packages", f"{len(missing)} are missing", f"pip install {names}")
    if old:
        cure = f"pip install --upgrade {PACKAGE}"
        yield warn("packages", f"versions that do not fit: {', '.join(old)}", cure)
    if not missing and not old:
        yield ok("packages", f"{PACKAGE} {importlib.metadata.version(PACKAGE)} and what it needs")


_EXTRAS = {
    "ui": ("streamlit", "the chat page"),
    "server": ("fastapi", "the endpoint"),
    "studio": ("langgraph_cli", "LangGraph Studio"),
    "postgres": ("psycopg", "threads in PostgreSQL"),
    "mcp": ("langchain_mcp_adapters", "tools of MCP servers"),
    **{one.extra: (one.package, one.title) for one in VENDORS.values() if one.extra},
    "parquet": ("pyarrow", "Parquet files"),
    "ray": ("ray", "batches on Ray"),
}


def extras(env: Mapping[str, str]) -> Iterator[Finding]:
    """Which extras are here; none of them is needed before it is used."""
    here = [extra for extra, (module, _) in _EXTRAS.items() if importlib.util.find_spec(module)]
    away = [f"{extra} ({what})" for extra, (_, what) in _EXTRAS.items() if extra not in here]
    says = f"installed: {', '.join(here) or 'none'}"
    if away:
        says += f"; not installed: {', '.join(away)}"
    yield ok("extras", says)


PORTS = {"the chat page": ("mom ui", 8501), "the endpoint": ("mom serve", 8000)}
_DAY = 86_400


def ports(env: Mapping[str, str]) -> Iterator[Finding]:
    """Whether the usual ports of the page and of the endpoint are free."""
    taken = []
    for what, (command, port) in PORTS.items():
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError as error:
                taken.append((what, command, port, error.strerror or str(error)))
    for what, command, port, why in taken:
        says = f"port {port} of {what} cannot be used ({why})"
        yield warn("ports", says, f"`{command} --port {port + 1}`, or stop what listens there")
    if not taken:
        yield ok("ports", ", ".join(f"{port} ({what})" for what, (_, port) in PORTS.items()))


def clock(env: Mapping[str, str]) -> Iterator[Finding]:
    """Whether the clock can be right: certificates and keys are judged by it."""
    newest = Path(mom_council.__file__).stat().st_mtime
    behind = newest - time.time()
    if behind > _DAY:
        says = f"is {behind / _DAY:.0f} days behind the files of this package"
        yield warn("clock", says, "set the clock; with a wrong one TLS certificates are refused")
    else:
        yield ok("clock", time.strftime("%Y-%m-%d %H:%M %Z"))


def langsmith(env: Mapping[str, str]) -> Iterator[Finding]:
    """Whether tracing to LangSmith is on, or half on, which holds the exit of other programs."""
    from mom_council.tracing.langsmith import has_key, is_switched_on

    if is_switched_on(env) and has_key(env):
        where = "questions and answers are sent to LangSmith"
        yield ok("langsmith", f"{where}; `LANGSMITH_TRACING=false` keeps them here")
    elif is_switched_on(env):
        says = "tracing is on without a key; `mom` leaves it off, other programs may hang at exit"
        yield warn("langsmith", says, "set LANGSMITH_API_KEY, or unset LANGSMITH_TRACING")
    else:
        yield ok("langsmith", "off: nothing leaves this machine")


def graph(env: Mapping[str, str]) -> Iterator[Finding]:
    """Whether a graph can be built, and those in the folder's langgraph.json can be imported."""
    from mom_council.graph.council import council

    council("demo")
    file = Path("langgraph.json")
    if not file.is_file():
        yield ok("graph", "builds")
        return
    try:
        graphs = json.loads(file.read_text("utf-8"))["graphs"]
        named = [one if isinstance(one, str) else one["path"] for one in graphs.values()]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        yield warn("graph", f"langgraph.json cannot be read ({error})", "fix it for Studio")
        return
    for path in named:
        module, _, name = path.partition(":")
        if not module.startswith("mom_council."):
            continue  # somebody else's code is not run to look at it
        try:
            getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError) as error:
            yield fail("graph", f"langgraph.json names {path!r}: {error}", "fix it for Studio")
            return
    yield ok("graph", "builds, and langgraph.json names it")


SECONDS = 8.0
"""For one part; together they take no longer than the slowest."""

PARTS: dict[str, Callable[[Mapping[str, str]], Iterable[Finding] | AsyncIterator[Finding]]] = {
    "python": version,
    "packages": packages,
    "extras": extras,
    "data": data_folder,
    "databases": databases,
    "settings": settings,
    "keys": council.keys,
    "ollama": council.ollama,
    "embedded": council.embedded,
    "gpu": council.gpu,
    "ports": ports,
    "clock": clock,
    "langsmith": langsmith,
    "graph": graph,
}


async def examine(env: Mapping[str, str], named: str | None = None) -> list[Finding]:
    """Run every check; with a council's name, also check what that council needs."""
    parts = dict(PARTS)
    chosen = named or env.get("MOM_COUNCIL")
    if chosen:
        parts["council"] = lambda env: council.council(chosen, env)
    reports = await asyncio.gather(*(_check(name, part, env) for name, part in parts.items()))
    return [_without_keys(finding) for findings in reports for finding in findings]


def _without_keys(finding: Finding) -> Finding:
    return finding.model_copy(update={"says": redact(finding.says), "cure": redact(finding.cure)})


async def _check(name: str, part: Callable[..., Any], env: Mapping[str, str]) -> list[Finding]:
    try:
        async with asyncio.timeout(SECONDS):
            findings = part(env)
            if isinstance(findings, AsyncIterator):
                return [finding async for finding in findings]
            return await asyncio.to_thread(list, findings)
    except TimeoutError:
        return [warn(name, f"did not answer in {SECONDS:g} s", "try again when less is running")]
    except Exception as error:
        # A doctor that dies of what it finds helps nobody.
        says = f"cannot be checked ({type(error).__name__}: {error})"
        return [warn(name, says, "report this with the line above")]
