"""Which tools a council may use, and the tools of one speaker.

A council's file says which code it wants to run; only the environment says yes. `MOM_TOOLS` is a
list with commas: modules (`my_tools`), single functions (`my_tools:weather`), and MCP servers by
their whole command line or address (`mcp:python server.py`, `mcp:http://...`). What the caller
hands over in Python needs no leave, and what comes along is safe.

What a tool prints goes to stderr, without secrets: it does not belong into an answer. A blocking
function runs in a thread of its own and not in the event loop's pool: one that hangs would take a
place there from whoever opens models, and would keep the program from ending.

The tools that come along read nothing, write nothing and reach nothing.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import contextvars
import functools
import importlib
import math
import operator
import os
import re
import shlex
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from mom_council.councils.schema import Tool
from mom_council.councils.sections import VARIABLE
from mom_council.errors import CouncilError
from mom_council.models.tool_offer import ToolDefinition
from mom_council.models.tools.servers import server_tools
from mom_council.redaction import redact

if TYPE_CHECKING:
    from langchain_core.tools import BaseTool


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
    for name in tools_of_caller:
        if name not in tools:
            yield CouncilError(
                f"{name!r} is handed over and is no key of `tools`; there are {[*tools]}",
            )
    for name, tool in tools.items():
        if name in tools_of_caller:
            continue
        if tool.permission is None:
            yield CouncilError(
                f"tool {name!r} has no source, so it is handed over in Python: "
                f"council(..., tools={{{name!r}: function}})"
            )
            continue
        if not tool.is_allowed(env):
            yield CouncilError(
                f"tool {name!r} would run {tool.permission!r}, which is not allowed here",
                cure=f"if you trust it, set {VARIABLE}={shlex.quote(tool.permission)}",
            )


_in_a_tool: ContextVar[bool] = ContextVar("in_a_tool", default=False)
_door = threading.Lock()
_inside = 0


class _Switch:
    """Stands in for stdout while tools run."""

    def __init__(self, real: Any) -> None:
        self.real = real

    def write(self, text: str) -> int:
        """Write to stdout, or, from within a tool, to stderr."""
        if not _in_a_tool.get():
            return int(self.real.write(text))
        sys.stderr.write(redact(text))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)


@contextlib.contextmanager
def redirect_prints() -> Iterator[None]:
    """Within it, and in what is started from it, printing goes to stderr."""
    global _inside
    token = _in_a_tool.set(True)
    with _door:
        _inside += 1
        if _inside == 1:
            sys.stdout = _Switch(sys.stdout)
    try:
        yield
    finally:
        _in_a_tool.reset(token)
        with _door:
            _inside -= 1
            if _inside == 0 and isinstance(sys.stdout, _Switch):
                sys.stdout = sys.stdout.real


def run_in_thread(function: Callable[..., Any]) -> Callable[..., Awaitable[Any]]:
    """The function as a coroutine function, with its signature."""

    @functools.wraps(function)
    async def run(*args: Any, **kwargs: Any) -> Any:
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Any] = loop.create_future()
        context = contextvars.copy_context()

        def settle(result: Any, error: BaseException | None) -> None:
            if done.done():
                return
            if isinstance(error, StopIteration):  # no future takes one
                error = RuntimeError("StopIteration")
            if error is None:
                done.set_result(result)
            else:
                done.set_exception(error)

        def work() -> None:
            result, error = None, None
            try:
                with redirect_prints():  # also when nobody waits for it any more
                    result = function(*args, **kwargs)
            except BaseException as raised:
                error = raised
            with contextlib.suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(settle, result, error)

        name = f"tool {getattr(function, '__name__', '')}"
        threading.Thread(target=context.run, args=(work,), name=name, daemon=True).start()
        return await done

    return run


@dataclass(frozen=True, slots=True)
class OpenTool:
    """One tool in hand, and the rules of the council for it."""

    tool: BaseTool
    rules: Tool

    @property
    def changes_nothing(self) -> bool:
        """Whether a call may be made twice: one of ours, or one whose hints say so (as MCP's)."""
        hints = self.tool.metadata or {}
        return bool(self.rules.bundled or hints.get("readOnlyHint") or hints.get("idempotentHint"))


@dataclass(frozen=True, slots=True)
class Toolset:
    """The tools of one speaker, by the names that a model calls them by."""

    held: dict[str, OpenTool]
    limit: int
    """Calls for one answer, at the most."""

    @property
    def definitions(self) -> list[ToolDefinition]:
        """The tools as they are offered."""
        from langchain_core.utils.function_calling import convert_to_openai_tool

        return [convert_to_openai_tool(one.tool) for one in self.held.values()]


async def open_toolset(
    tools: Mapping[str, Tool], names: Sequence[str], limit: int, tools_of_caller: CallerTools
) -> Toolset:
    """Open some of a council's tools; modules are imported, servers started.

    Raises:
        CouncilError: a tool is not allowed, not there, or cannot be used as it is.
    """
    refuse_tools(tools, tools_of_caller)
    open_tools: dict[str, OpenTool] = {}
    for name in names:
        rules = tools.get(name) or Tool.model_validate({"bundled": name})
        for tool in await _tools(name, rules, tools_of_caller):
            called = _sign(tool.name)
            if called in open_tools:
                called = _sign(f"{name}_{called}")
            open_tools[called] = OpenTool(tool.model_copy(update={"name": called}), rules)
    return Toolset(open_tools, limit)


async def _tools(name: str, rules: Tool, tools_of_caller: CallerTools) -> list[BaseTool]:
    if name in tools_of_caller:
        return [await asyncio.to_thread(_as_tool, name, tools_of_caller[name])]
    if rules.bundled:
        return [_as_tool(name, TOOLS[rules.bundled])]
    if rules.python:
        return [_as_tool(name, await asyncio.to_thread(_import_tool, name, rules.python))]
    if rules.mcp:
        return await server_tools(name, rules.mcp, rules.timeout)
    raise CouncilError(f"tool {name!r} has no source", cure="hand it over in Python")


def _import_tool(name: str, place: str) -> Any:
    module, _, function = place.partition(":")
    try:
        return getattr(importlib.import_module(module), function)
    except Exception as error:  # importing runs code, which may do anything
        reason = redact(f"{type(error).__name__}: {error}")[:300]
        raise CouncilError(f"tool {name!r}: {place!r} cannot be imported ({reason})") from None


def _as_tool(name: str, what: BaseTool | Callable[..., Any]) -> BaseTool:
    """A LangChain tool of a function, or of a tool; it is called by its name in the council."""
    from langchain_core.tools import BaseTool, StructuredTool

    if isinstance(what, BaseTool):
        changed: dict[str, Any] = {"name": _sign(name)}
        if isinstance(what, StructuredTool) and what.coroutine is None and what.func is not None:
            changed["coroutine"] = run_in_thread(what.func)
        return what.model_copy(update=changed)
    if not callable(what):
        raise CouncilError(f"tool {name!r} is no function and no LangChain tool")
    waits = asyncio.iscoroutinefunction(what)
    try:
        return StructuredTool.from_function(
            func=None if waits else what,
            coroutine=what if waits else run_in_thread(what),
            name=_sign(name),
        )
    except (TypeError, ValueError) as error:
        raise CouncilError(
            f"tool {name!r} cannot be described to a model ({redact(str(error))[:200]})",
            cure="it needs a docstring and annotated arguments",
        ) from None


def _sign(name: str) -> str:
    """A name as every vendor takes it."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", name)[:64]


_TWO: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}
_ONE: dict[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
}
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "abs": abs,
    "ceil": math.ceil,
    "cos": math.cos,
    "exp": math.exp,
    "floor": math.floor,
    "gcd": math.gcd,
    "log": math.log,
    "max": max,
    "min": min,
    "round": round,
    "sin": math.sin,
    "sqrt": math.sqrt,
    "tan": math.tan,
}
_CONSTANTS = {"pi": math.pi, "e": math.e}
_LONGEST = 500
_BITS = 4096
"""Of a whole number: larger ones cost time and are no answer to anything."""


def calculator(expression: str) -> str:
    """Work out an arithmetic expression, such as "17 * 25 + sqrt(2)".

    Knows + - * / // % **, brackets, pi, e, abs, ceil, cos, exp, floor, gcd, log, max, min, round,
    sin, sqrt and tan.
    """
    if len(expression) > _LONGEST:
        raise ValueError(f"the expression is longer than {_LONGEST} characters")
    try:
        tree = ast.parse(expression.strip().replace("^", "**"), mode="eval")
    except (SyntaxError, MemoryError, RecursionError):
        raise ValueError("this is no arithmetic expression") from None
    return str(_value(tree.body))


def clock() -> str:
    """Tell the date and the time, here and in UTC."""
    now = datetime.now(UTC)
    return f"{now.astimezone():%A, %Y-%m-%d %H:%M:%S %Z} ({now:%Y-%m-%d %H:%M:%S} UTC)"


TOOLS: dict[str, Callable[..., str]] = {"calculator": calculator, "clock": clock}


def _value(node: ast.expr) -> Any:
    match node:
        case ast.Constant(value=int() | float()) if not isinstance(node.value, bool):
            return node.value
        case ast.Name(id=name) if name in _CONSTANTS:
            return _CONSTANTS[name]
        case ast.UnaryOp() if type(node.op) in _ONE:
            return _ONE[type(node.op)](_value(node.operand))
        case ast.BinOp() if type(node.op) in _TWO:
            return _apply_sign(node.op, _value(node.left), _value(node.right))
        case ast.Call(func=ast.Name(id=name), keywords=[]) if name in _FUNCTIONS:
            return _check_size(_FUNCTIONS[name](*(_value(one) for one in node.args)))
    raise ValueError(f"{ast.unparse(node)[:60]!r} is nothing that is worked out here")


def _apply_sign(sign: ast.operator, left: Any, right: Any) -> Any:
    whole = isinstance(left, int) and isinstance(right, int)
    if isinstance(sign, ast.Pow) and whole and abs(right) * max(1, abs(left).bit_length()) > _BITS:
        raise ValueError("the power is too large")
    return _check_size(_TWO[type(sign)](left, right))


def _check_size(value: Any) -> Any:
    if isinstance(value, int) and value.bit_length() > _BITS:
        raise ValueError("the number is too large")
    if isinstance(value, complex):
        raise ValueError("the result is no real number")  # noqa: TRY004 - its value, not its type
    return value
