"""What a council brings besides its models: a table of prices, extensions, tools."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Iterator, Mapping

from mom_council.councils.schema import Council, Server
from mom_council.doctor.finding import Finding, fail, warn
from mom_council.errors import CouncilError
from mom_council.extensions.describing import problems_of
from mom_council.extensions.hooks import under_extensions
from mom_council.models.prices import table_of
from mom_council.models.tools.allowed import unallowed


def belongings(council: Council, env: Mapping[str, str]) -> Iterator[Finding]:
    """What of them is not here, or cannot be read. Extensions are loaded, tools are not."""
    try:
        table_of(council)
    except CouncilError as error:
        yield fail("council", str(error), "mend the table of prices, or move it away")
    yield from _extensions(council)
    yield from _tools(council, env)


def _extensions(council: Council) -> Iterator[Finding]:
    try:
        under_extensions(council)
    except CouncilError as error:
        yield fail("council", str(error), "mend `extensions` in the council's file")
        return
    for problem in problems_of(council):
        yield warn("council", problem, "mend that; until then the council goes on without it")


def _tools(council: Council, env: Mapping[str, str]) -> Iterator[Finding]:
    refused = [*unallowed(council, env=env)]
    for line in refused:
        says, _, cure = line.partition("; ")
        yield fail("council", says, cure or "ask it from Python")
    if refused:
        return
    for name, tool in council.tools.items():
        if tool.python and (lacking := _module(tool.python)):
            yield fail("council", f"tool {name!r}: {lacking}", "install it, or set PYTHONPATH")
        if tool.mcp and (lacking := _server(tool.mcp)):
            says, _, cure = lacking.partition("; ")
            yield fail("council", f"tool {name!r}: {says}", cure)


def _module(place: str) -> str:
    """Why a function's package cannot be imported; it is looked for, and not run."""
    package = place.partition(":")[0].partition(".")[0]
    try:
        found = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        found = None
    return "" if found else f"there is no module {package!r} here"


def _server(server: Server) -> str:
    """Why a server cannot be reached; it is not started."""
    if importlib.util.find_spec("langchain_mcp_adapters") is None:
        return "MCP servers need a package; pip install 'mom-council[mcp]'"
    if server.command and shutil.which(server.command[0]) is None:
        return f"there is no program {server.command[0]!r}; install it, or write its whole path"
    return ""
