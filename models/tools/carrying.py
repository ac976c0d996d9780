"""Carrying out one call: arguments checked, time bounded, the result cut and without secrets.

Whatever happens, the model is told in a line or two; nothing is raised but a cancellation. A tool
may block or hang: one that is not asynchronous runs in a thread of its own, is not waited for
beyond its time, and cannot be stopped there.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from mom_council.models.calls import Call, Result
from mom_council.models.redaction import redact
from mom_council.models.tools.belt import Belt, Held
from mom_council.models.tools.muffling import muffled

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig

_SAID = 300
"""Characters of an error that a model is told."""


async def carry_out(belt: Belt, call: Call, config: RunnableConfig | None = None) -> Result:
    """Carry out a call, and say what came of it."""
    began = time.monotonic()
    held = belt.held.get(call.tool)
    if held is None:
        text, failed = f"there is no tool {call.tool[:64]!r}; there are {[*belt.held]}", True
    elif call.arguments is None:
        text, failed = "the arguments are no JSON object", True
    else:
        text, failed = await _outcome(held, call, config)
    longest = held.rules.longest if held else _SAID * 2
    return Result(
        id=call.id,
        tool=call.tool,
        text=bounded(text, longest),
        failed=failed,
        seconds=round(time.monotonic() - began, 3),
    )


def bounded(text: str, longest: int) -> str:
    """The text without secrets, and no longer than that, saying so where it was cut."""
    # Half a pair of surrogates is no text that could be sent.
    text = redact(text.encode("utf-8", "replace").decode("utf-8"))
    if len(text) <= longest:
        return text
    return f"{text[:longest]}\n(cut: {longest} of {len(text)} characters)"


async def _outcome(held: Held, call: Call, config: RunnableConfig | None) -> tuple[str, bool]:
    from langgraph.errors import GraphBubbleUp
    from pydantic import ValidationError

    named: RunnableConfig = {"run_name": held.tool.name}  # in the trace, whoever speaks
    limit = asyncio.timeout(held.rules.timeout)
    try:
        with muffled():
            async with limit:
                message: Any = await held.tool.ainvoke(call.wire, {**(config or {}), **named})
    except GraphBubbleUp:
        raise  # a tool that asks a person itself
    except ValidationError as error:
        return _unfit(error), True
    except Exception as error:
        if limit.expired():
            return f"no result in {held.rules.timeout:g} s", True
        return f"{type(error).__name__}: {_line(error)}", True
    return str(message.text), getattr(message, "status", "") == "error"


def _unfit(error: Any) -> str:
    """What is wrong with the arguments, without repeating them."""
    told = [
        f"{'.'.join(map(str, one['loc'])) or 'arguments'}: {one['msg']}"
        for one in error.errors(include_input=False, include_url=False)[:5]
    ]
    return f"the arguments do not fit: {'; '.join(told)}"[: _SAID * 2]


def _line(error: Exception) -> str:
    """An error in one line: no trace, no secret."""
    line = " ".join(redact(str(error)).split())
    return line if len(line) <= _SAID else f"{line[:_SAID]} ..."
