"""Calling somebody else's code so that nothing it does takes the answer down."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import inspect
import threading
from collections.abc import Callable
from typing import Any

from langgraph.errors import GraphBubbleUp

from mom_council.errors import MixtureError
from mom_council.models.redaction import redact

_LONGEST = 200


class Failed(Exception):  # noqa: N818 - it ends a hook, it is no error of ours
    """A hook came to nothing; the text says why."""


async def guarded(hook: Callable[..., Any], *given: Any, seconds: float) -> Any:
    """What a hook returns.

    Coroutines run on the loop, plain functions in a thread of their own. One that is out of time is
    cancelled and not waited for, because it may not listen.

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
        found = await _in_a_thread(hook, given)
        return await found if inspect.isawaitable(found) else found
    except (GraphBubbleUp, Failed):
        raise
    except (Exception, SystemExit) as error:
        raise Failed(in_a_line(error)) from error


async def _in_a_thread(hook: Callable[..., Any], given: tuple[Any, ...]) -> Any:
    """Run a function in a daemon thread: one that never ends holds up no pool and no exit."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[Any] = loop.create_future()
    context = contextvars.copy_context()

    def settle(value: Any, error: BaseException | None) -> None:
        if ended.done():
            return
        if error is None:
            ended.set_result(value)
        else:  # a future takes no StopIteration
            ended.set_exception(Failed(in_a_line(error)) if _odd(error) else error)

    def run() -> None:
        value, failure = None, None
        try:
            value = context.run(hook, *given)
        except BaseException as error:
            failure = error
        with contextlib.suppress(RuntimeError):  # the loop is gone
            loop.call_soon_threadsafe(settle, value, failure)

    threading.Thread(target=run, name="extension", daemon=True).start()
    return await ended


def _odd(error: BaseException) -> bool:
    return isinstance(error, StopIteration | KeyboardInterrupt | GeneratorExit)


def in_a_line(error: BaseException) -> str:
    """An error in one short line, without any secret; one of ours is a sentence already."""
    text = " ".join(redact(str(error)).split())
    text = text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
    if text and isinstance(error, MixtureError):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
