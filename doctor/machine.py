"""The machine: Python and its packages, ports, the clock, tracing, and the graph itself."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import json
import platform
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import mom_council
from mom_council.doctor.finding import Finding, fail, ok, warn
from mom_council.vendors import VENDORS

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

    wanted = [Requirement(line) for line in importlib.metadata.requires(PACKAGE) or ()]
    missing, old = [], []
    for one in wanted:
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
    from mom_council.tracing.langsmith import KEYS, OFF, SWITCHES

    key = any(env.get(name, "").strip() for name in KEYS)
    switch = next((env[name].strip().lower() for name in SWITCHES if env.get(name)), "")
    if key and switch not in OFF:
        where = "questions and answers are sent to LangSmith"
        yield ok("langsmith", f"{where}; `LANGSMITH_TRACING=false` keeps them here")
    elif switch and switch not in OFF:
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
