"""Calling somebody else's code so that nothing it does takes the answer down."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

from langgraph.errors import GraphBubbleUp

from mixture_of_models.models.redaction import redact

_LONGEST = 200


class Failed(Exception):  # noqa: N818 - it ends a hook, it is no error of ours
    """A hook came to nothing; the text says why."""


async def guarded(hook: Callable[..., Any], *given: Any, seconds: float) -> Any:
    """What a hook returns.

    Coroutines run on the loop, plain functions in a thread. One that is out of time is cancelled
    and not waited for, because it may not listen.

    Raises:
        Failed: it raised, left the process, was cancelled by itself, or was out of time.
        GraphBubbleUp: it interrupts the graph, which is LangGraph's own affair.
    """
    task = asyncio.ensure_future(_called(hook, given))
    task.add_done_callback(lambda done: done.cancelled() or done.exception())
    try:
        await asyncio.wait({task}, timeout=seconds)
        if not task.done():
            raise Failed(f"it took longer than {seconds:g} s")
        if task.cancelled():
            raise Failed("it cancelled itself")
        return task.result()
    finally:
        task.cancel()


async def _called(hook: Callable[..., Any], given: tuple[Any, ...]) -> Any:
    try:
        if inspect.iscoroutinefunction(hook):
            return await hook(*given)
        found = await asyncio.to_thread(hook, *given)
        return await found if inspect.isawaitable(found) else found
    except (GraphBubbleUp, Failed):
        raise
    except (Exception, SystemExit) as error:
        raise Failed(in_a_line(error)) from error


def in_a_line(error: BaseException) -> str:
    """An error in one short line, without any secret."""
    text = " ".join(redact(str(error)).split())
    text = text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
