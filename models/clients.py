"""What the calls of one event loop share, and the background loop for callers that have none.

The council is asynchronous; scripts, notebooks' cells, Streamlit and LangGraph's `invoke` are not.
Their calls run on one loop in a thread of its own, so that they share its HTTP clients and its
lanes, from however many threads they come. The loop ends with the process and closes its clients.

An HTTP client belongs to the loop that it was first used on; a second loop in the same process
(a test, a notebook cell, a second `asyncio.run`) needs its own. Each loop has its `LoopResources`
(clients, opened models, lanes, breakers), closed with the loop: `asyncio.run` and its like close
the asynchronous generators that are still open, and the resources keep one for that.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import contextvars
import os
import ssl
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Hashable
from concurrent.futures import Future
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar
from weakref import WeakKeyDictionary

from mom_council.models.cache import AnswerCache
from mom_council.models.capabilities import LearnedLimits
from mom_council.models.lanes import Lanes
from mom_council.models.retry import Breakers

if TYPE_CHECKING:
    import httpx2
    from langchain_core.language_models import BaseChatModel

    from mom_council.models.tools.servers import ServerConnection
    from mom_council.models.wire import Sessions


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


async def open_in_thread(opens: Callable[..., T], *arguments: Any) -> T:
    """Import a vendor's library, which takes a second or more, and open what it has.

    At its end `asyncio.run` waits for the threads of `to_thread`, but not for this one: a question
    whose time is over ends, though a library is still being imported for it.
    """
    context, done = contextvars.copy_context(), Future[T]()

    def run() -> None:
        if done.set_running_or_notify_cancel():
            try:
                done.set_result(context.run(opens, *arguments))
            except BaseException as error:
                done.set_exception(error)

    threading.Thread(target=run, name="mom open").start()
    return await asyncio.wrap_future(done)


@cache
def tls() -> ssl.SSLContext:
    """The process's one TLS context; making one takes 20 ms."""
    import httpx2

    return httpx2.create_ssl_context()


class LoopResources:
    """One event loop's clients. Made in a thread or on the loop, used on the loop."""

    def __init__(self) -> None:
        self.models: dict[Hashable, BaseChatModel] = {}
        """Opened chat models by everything they were opened with."""
        self.lanes: Lanes = {}
        self.breakers: Breakers = {}
        self.limits = LearnedLimits()
        """What models were found not to take."""
        self.windows: dict[Hashable, int | None] = {}
        """Tokens that models read at once, where their servers were asked; None: not known."""
        self.loaded_windows: dict[Hashable, int] = {}
        """The largest window that each model was asked for. A smaller one would load it anew."""
        self.servers: dict[Hashable, ServerConnection] = {}
        """MCP servers that are connected."""
        self.connecting = asyncio.Lock()
        """Held while one is."""
        self.opening = asyncio.Lock()
        """Held while a model is opened, so that two calls do not open the same one twice."""
        self._sdks: dict[bool, httpx2.AsyncClient] = {}
        """By whether they may go through a proxy."""
        self._sessions: Sessions | None = None
        self._farewell: AsyncGenerator[None, None] | None = None

    def sdk_client(self, address: str | None) -> httpx2.AsyncClient:
        """The client on aiohttp that the OpenAI and Anthropic SDKs send through to an address."""
        import httpx2
        from openai import DefaultAioHttpClient

        from mom_council.models.transport import bound_sdk_response
        from mom_council.models.wire import CONNECT, KEEP_ALIVE, needs_no_proxy, watch_departures
        from mom_council.seams.clients import trace_sdk_request

        by_proxy = not needs_no_proxy(address or "")
        if by_proxy not in self._sdks:
            departures = watch_departures()

            async def watch(request: httpx2.Request) -> None:
                await trace_sdk_request(client, request.url, departures)

            client = self._sdks[by_proxy] = DefaultAioHttpClient(
                verify=tls(),
                # 0 is "no limit" to aiohttp; left out it would be 100.
                limits=httpx2.Limits(max_connections=0, keepalive_expiry=KEEP_ALIVE),
                timeout=httpx2.Timeout(None, connect=CONNECT),
                trust_env=by_proxy,
                follow_redirects=False,
                headers={"accept-encoding": "identity"},
                event_hooks={"request": [watch], "response": [bound_sdk_response]},
            )
        return self._sdks[by_proxy]

    @cached_property
    def answers(self) -> AnswerCache:
        """Answers that were kept, where a council keeps them."""
        return AnswerCache()

    @property
    def sessions(self) -> Sessions:
        """What the libraries on httpx send through."""
        if self._sessions is None:
            from mom_council.models.wire import Sessions

            self._sessions = Sessions(tls)
        return self._sessions

    async def open(self) -> None:
        """Arrange to be closed when the loop is."""
        self._farewell = _farewell(self)
        await anext(self._farewell)

    async def close(self) -> None:
        """Close every client; models opened with them are forgotten."""
        self.models.clear()
        servers, self.servers = self.servers, {}
        for server in servers.values():
            await server.close()
        sdks, self._sdks = self._sdks, {}
        sessions, self._sessions = self._sessions, None
        for sdk in sdks.values():
            await sdk.aclose()
        if sessions is not None:
            await sessions.close()


_RESOURCES: WeakKeyDictionary[asyncio.AbstractEventLoop, LoopResources] = WeakKeyDictionary()
_CHANGING = threading.Lock()


async def loop_resources() -> LoopResources:
    """What the running loop's calls share."""
    loop = asyncio.get_running_loop()
    resources = _RESOURCES.get(loop)
    if resources is None:
        resources = LoopResources()
        with _CHANGING:
            # A client holds its loop, so a loop that nobody closed down would stay here for good.
            for other in [other for other in _RESOURCES if other.is_closed()]:
                del _RESOURCES[other]
            _RESOURCES[loop] = resources
        await resources.open()
    return resources


async def close_loop_resources() -> None:
    """Close the running loop's clients; the next call opens new ones.

    For servers that shut down in an orderly way, and for notebooks. Elsewhere the end of
    `asyncio.run` does it.
    """
    with _CHANGING:
        resources = _RESOURCES.pop(asyncio.get_running_loop(), None)
    if resources is not None:
        await resources.close()


async def _farewell(resources: LoopResources) -> AsyncGenerator[None, None]:
    try:
        yield
    finally:
        with _CHANGING, contextlib.suppress(RuntimeError):
            loop = asyncio.get_running_loop()
            # After `close_loop_resources` the loop may have others, which stay.
            if _RESOURCES.get(loop) is resources:
                del _RESOURCES[loop]
        await resources.close()
