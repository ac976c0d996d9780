"""What one speaker may use for one answer: its tools in hand, and how often."""

from __future__ import annotations

import asyncio
import importlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mom_council.councils.schema import Council, Tool
from mom_council.errors import CouncilError
from mom_council.models.offering import Definition
from mom_council.models.redaction import redact
from mom_council.models.tools.allowed import Given, refuse_unallowed
from mom_council.models.tools.threads import in_a_thread

if TYPE_CHECKING:
    from langchain_core.tools import BaseTool


@dataclass(frozen=True, slots=True)
class Held:
    """One tool in hand, and the rules of the council for it."""

    tool: BaseTool
    rules: Tool


@dataclass(frozen=True, slots=True)
class Belt:
    """The tools of one speaker, by the names that a model calls them by."""

    held: dict[str, Held]
    limit: int
    """Calls for one answer, at the most."""

    @property
    def definitions(self) -> list[Definition]:
        """The tools as they are offered."""
        from langchain_core.utils.function_calling import convert_to_openai_tool

        return [convert_to_openai_tool(one.tool) for one in self.held.values()]


async def take_up(council: Council, names: Sequence[str], limit: int, given: Given) -> Belt:
    """Take the named tools of a council in hand; modules are imported, servers started.

    Raises:
        CouncilError: a tool is not allowed, not there, or cannot be used as it is.
    """
    refuse_unallowed(council, given)
    held: dict[str, Held] = {}
    for name in names:
        rules = council.tools.get(name) or Tool.model_validate({"bundled": name})
        for tool in await _tools(name, rules, given):
            called = _sign(tool.name)
            if called in held:
                called = _sign(f"{name}_{called}")
            held[called] = Held(tool.model_copy(update={"name": called}), rules)
    return Belt(held, limit)


async def _tools(name: str, rules: Tool, given: Given) -> list[BaseTool]:
    if name in given:
        return [await asyncio.to_thread(_made, name, given[name])]
    if rules.bundled:
        from mom_council.models.tools.bundled import TOOLS

        return [_made(name, TOOLS[rules.bundled])]
    if rules.python:
        return [_made(name, await asyncio.to_thread(_imported, name, rules.python))]
    if rules.mcp:
        from mom_council.models.tools.servers import tools_of

        return await tools_of(name, rules.mcp, rules.timeout)
    raise CouncilError(f"tool {name!r} has no source; hand it over in Python")


def _imported(name: str, place: str) -> Any:
    module, _, function = place.partition(":")
    try:
        found = getattr(importlib.import_module(module), function)
    except Exception as error:  # importing runs code, which may do anything
        said = redact(f"{type(error).__name__}: {error}")[:300]
        raise CouncilError(f"tool {name!r}: {place!r} cannot be imported ({said})") from None
    return found


def _made(name: str, what: BaseTool | Callable[..., Any]) -> BaseTool:
    """A LangChain tool of a function, or of a tool; it is called by its name in the council."""
    from langchain_core.tools import BaseTool, StructuredTool

    if isinstance(what, BaseTool):
        changed: dict[str, Any] = {"name": _sign(name)}
        if isinstance(what, StructuredTool) and what.coroutine is None and what.func is not None:
            changed["coroutine"] = in_a_thread(what.func)
        return what.model_copy(update=changed)
    if not callable(what):
        raise CouncilError(f"tool {name!r} is no function and no LangChain tool")
    waits = asyncio.iscoroutinefunction(what)
    try:
        return StructuredTool.from_function(
            func=None if waits else what,
            coroutine=what if waits else in_a_thread(what),
            name=_sign(name),
        )
    except (TypeError, ValueError) as error:
        raise CouncilError(
            f"tool {name!r} cannot be described to a model ({redact(str(error))[:200]}); "
            "it needs a docstring and annotated arguments"
        ) from None


def _sign(name: str) -> str:
    """A name as every vendor takes it."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", name)[:64]
