"""Which code a council may run. Its file says what it wants; only the environment says yes.

`MOM_TOOLS` is a list with commas: modules (`my_tools`), single functions (`my_tools:weather`), and
MCP servers by their whole command line or address (`mcp:python server.py`, `mcp:http://...`). What
the caller hands over in Python needs no leave, and what comes along is safe.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from mom_council.councils.schema import Server, Tool
from mom_council.errors import CouncilError

if TYPE_CHECKING:
    from langchain_core.tools import BaseTool

VARIABLE = "MOM_TOOLS"

CallerTools = Mapping[str, "BaseTool | Callable[..., Any]"]
"""Tools that the caller hands over, by their name in the council."""

NO_TOOLS: CallerTools = {}


def refuse_tools(
    tools: Mapping[str, Tool], tools_of_caller: CallerTools, env: Mapping[str, str] = os.environ
) -> None:
    """See that every tool of a council may be used.

    Raises:
        CouncilError: one runs code that nobody allowed, or is to be handed over and was not.
    """
    for problem in tool_problems(tools, tools_of_caller, env):
        raise problem


def tool_problems(
    tools: Mapping[str, Tool],
    tools_of_caller: CallerTools = NO_TOOLS,
    env: Mapping[str, str] = os.environ,
) -> Iterator[CouncilError]:
    """Yield what keeps tools of the council from being used, an error each."""
    leave = {part.strip() for part in env.get(VARIABLE, "").split(",")}
    for name in tools_of_caller:
        if name not in tools:
            yield CouncilError(
                f"{name!r} is handed over and is no key of `tools`; there are {[*tools]}",
            )
    for name, tool in tools.items():
        if name in tools_of_caller:
            continue
        wanted = _permission(tool)
        if wanted is None:
            yield CouncilError(
                f"tool {name!r} has no source, so it is handed over in Python: "
                f"council(..., tools={{{name!r}: function}})"
            )
            continue
        enough = {wanted} if tool.mcp else {wanted, wanted.partition(":")[0]}
        if wanted and not leave & enough:
            yield CouncilError(
                f"tool {name!r} would run {wanted!r}, which is not allowed here",
                cure=f"if you trust it, set {VARIABLE}={shlex.quote(wanted)}",
            )


def server_name(server: Server) -> str:
    """A server, as it stands in the list of what is allowed."""
    return f"mcp:{server.url or shlex.join(server.command)}"


def _permission(tool: Tool) -> str | None:
    """What must be allowed; empty where nothing must, None where there is no source."""
    if tool.bundled:
        return ""
    return server_name(tool.mcp) if tool.mcp else tool.python
