"""A blocking function in a thread of its own.

Not in the event loop's pool: a tool that hangs would take a place there from whoever opens models
or keeps answers, and would keep the program from ending. This thread is waited for by nobody.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import threading
from collections.abc import Awaitable, Callable
from typing import Any

from mom_council.models.tools.muffling import muffled


def in_a_thread(function: Callable[..., Any]) -> Callable[..., Awaitable[Any]]:
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
                with muffled():  # also when nobody waits for it any more
                    result = function(*args, **kwargs)
            except BaseException as raised:
                error = raised
            with contextlib.suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(settle, result, error)

        name = f"tool {getattr(function, '__name__', '')}"
        threading.Thread(target=context.run, args=(work,), name=name, daemon=True).start()
        return await done

    return run
