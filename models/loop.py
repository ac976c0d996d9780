"""One event loop in the background, for callers that have none.

The council is asynchronous; scripts, notebooks' cells, Streamlit and LangGraph's `invoke` are not.
Their calls run on one loop in a thread of its own, so that they share its HTTP clients and its
lanes, from however many threads they come. The loop ends with the process and closes its clients.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import contextvars
import os
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_FAREWELL = 5.0
"""Seconds the loop gets at the end of the process to cancel what still runs."""


class _Background:
    """The thread, and the loop in it."""

    def __init__(self) -> None:
        self.process = os.getpid()
        self._ready = threading.Event()
        self._stop: asyncio.Event | None = None
        self.loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run, name="council", daemon=True)
        self._thread.start()
        self._ready.wait()
        atexit.register(self.close)

    def close(self) -> None:
        """Cancel what runs, close the clients, end the thread."""
        loop, stop = self.loop, self._stop
        if loop is None or stop is None or self.process != os.getpid():
            return
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(stop.set)
        self._thread.join(_FAREWELL)

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=_loop_factory()) as runner:
                runner.run(self._serve())
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        self.loop = asyncio.get_running_loop()
        self._ready.set()
        await self._stop.wait()


_running: _Background | None = None
_starting = threading.Lock()


def run_in_background_loop(
    coro_fn: Callable[P, Coroutine[Any, Any, T]], *args: P.args, **kwargs: P.kwargs
) -> T:
    """Run `coro_fn(*args, **kwargs)` on the background loop, and wait for what it returns.

    It sees a copy of the caller's context variables. When the caller is interrupted (Ctrl-C), the
    coroutine is cancelled, and has unwound before the interrupt goes on.

    Raises:
        RuntimeError: called on the background loop itself, which would wait for itself for ever.
    """
    loop = background_loop()
    if _current() is loop:
        raise RuntimeError(
            "a synchronous call was made on the council's own event loop and would wait for itself "
            "for ever: await the asynchronous form instead (ainvoke, astream)"
        )
    context = contextvars.copy_context()
    done: Future[T] = Future()
    tasks: list[asyncio.Task[T]] = []

    async def run() -> T:
        return await coro_fn(*args, **kwargs)

    def start() -> None:
        task = loop.create_task(run(), context=context)
        tasks.append(task)
        task.add_done_callback(lambda task: _settle(task, done))

    loop.call_soon_threadsafe(start)
    try:
        return done.result()
    except BaseException:
        if not done.done():
            loop.call_soon_threadsafe(lambda: [task.cancel() for task in tasks])
            with contextlib.suppress(BaseException):
                done.exception(_FAREWELL)
        raise


def background_loop() -> asyncio.AbstractEventLoop:
    """The loop in the background; a forked process starts its own."""
    global _running
    with _starting:
        if _running is None or _running.process != os.getpid():
            _running = _Background()
        loop = _running.loop
    if loop is None:
        raise RuntimeError("the background event loop could not be started")
    return loop


def _settle(task: asyncio.Task[T], done: Future[T]) -> None:
    if task.cancelled():
        done.set_exception(asyncio.CancelledError())
    elif error := task.exception():
        done.set_exception(error)
    else:
        done.set_result(task.result())


def _current() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory
