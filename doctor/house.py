"""The rest of the machine: ports, the clock, tracing, and the graph itself."""

from __future__ import annotations

import importlib
import json
import socket
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import mom_council
from mom_council.doctor.finding import Finding, fail, ok, warn

PORTS = {"the chat page": ("mom ui", 8501), "the endpoint": ("mom serve", 8000)}
_DAY = 86_400


def ports(env: Mapping[str, str]) -> Iterator[Finding]:
    """Whether the doors' usual ports are free, and this machine can be listened at."""
    taken = []
    for what, (command, port) in PORTS.items():
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError as error:
                taken.append((what, command, port, error.strerror or str(error)))
    for what, command, port, why in taken:
        says = f"port {port} of {what} cannot be had ({why})"
        yield warn("ports", says, f"`{command} --port {port + 1}`, or end what listens there")
    if not taken:
        yield ok("ports", ", ".join(f"{port} ({what})" for what, (_, port) in PORTS.items()))


def clock(env: Mapping[str, str]) -> Iterator[Finding]:
    """Whether it can be that late: certificates and keys are judged by the clock."""
    newest = Path(mom_council.__file__).stat().st_mtime
    behind = newest - time.time()
    if behind > _DAY:
        says = f"is {behind / _DAY:.0f} days behind the files of this package"
        yield warn("clock", says, "set it; TLS certificates are refused by a wrong clock")
    else:
        yield ok("clock", time.strftime("%Y-%m-%d %H:%M %Z"))


def langsmith(env: Mapping[str, str]) -> Iterator[Finding]:
    """Whether tracing to LangSmith is on, or half on, which holds the exit of other programs."""
    from mom_council.tracing.langsmith import KEYS, OFF, SWITCHES

    key = any(env.get(name, "").strip() for name in KEYS)
    said = next((env[name].strip().lower() for name in SWITCHES if env.get(name)), "")
    if key and said not in OFF:
        where = "questions and answers are sent to LangSmith"
        yield ok("langsmith", f"{where}; `LANGSMITH_TRACING=false` keeps them here")
    elif said and said not in OFF:
        says = "tracing is switched on without a key; `mom` leaves it off, other programs wait"
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
        yield warn("graph", f"langgraph.json cannot be read ({error})", "mend it for Studio")
        return
    for path in named:
        module, _, name = path.partition(":")
        if not module.startswith("mom_council."):
            continue  # somebody else's code is not run to look at it
        try:
            getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError) as error:
            yield fail("graph", f"langgraph.json names {path!r}: {error}", "mend it for Studio")
            return
    yield ok("graph", "builds, and langgraph.json names it")
