"""What the calls of one event loop share: HTTP clients, opened models, lanes, breakers.

An HTTP client belongs to the loop that it was first used on; a second loop in the same process
(a test, a notebook cell, a second `asyncio.run`) needs its own. Each loop has its `LoopResources`,
closed with the loop: `asyncio.run` and its like close the asynchronous generators that still hang,
and the resources keep one for that.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
from collections.abc import AsyncGenerator, Hashable
from functools import cache
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from mom_council.models.adaptation import LearnedLimits
from mom_council.models.cache import AnswerCache
from mom_council.models.lanes import Lanes
from mom_council.models.retry import Breakers

if TYPE_CHECKING:
    import httpx2
    from langchain_core.language_models import BaseChatModel

    from mom_council.models.tools.servers import ServerConnection
    from mom_council.models.transport import Sessions


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
        self.answers = AnswerCache()
        self.servers: dict[Hashable, ServerConnection] = {}
        """MCP servers that are connected."""
        self.connecting = asyncio.Lock()
        """Held while one is."""
        self.opening = asyncio.Lock()
        """Held while a model is opened, so that two calls do not open the same one twice."""
        self._sdk: httpx2.AsyncClient | None = None
        self._sessions: Sessions | None = None
        self._farewell: AsyncGenerator[None, None] | None = None

    @property
    def sdk(self) -> httpx2.AsyncClient:
        """The client that the OpenAI and Anthropic SDKs send through: on aiohttp, unbounded."""
        if self._sdk is None:
            import httpx2
            from openai import DefaultAioHttpClient

            from mom_council.models.transport import CONNECT, KEEP_ALIVE

            self._sdk = DefaultAioHttpClient(
                verify=tls(),
                # 0 is "no limit" to aiohttp; left out it would be 100.
                limits=httpx2.Limits(max_connections=0, keepalive_expiry=KEEP_ALIVE),
                timeout=httpx2.Timeout(None, connect=CONNECT),
            )
        return self._sdk

    @property
    def sessions(self) -> Sessions:
        """What the libraries on httpx send through."""
        if self._sessions is None:
            from mom_council.models.transport import Sessions

            self._sessions = Sessions(tls())
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
        sdk, self._sdk = self._sdk, None
        sessions, self._sessions = self._sessions, None
        if sdk is not None:
            await sdk.aclose()
        if sessions is not None:
            await sessions.close()


_ROOMS: WeakKeyDictionary[asyncio.AbstractEventLoop, LoopResources] = WeakKeyDictionary()
_DOOR = threading.Lock()


async def loop_resources() -> LoopResources:
    """The running loop's room."""
    loop = asyncio.get_running_loop()
    resources = _ROOMS.get(loop)
    if resources is None:
        resources = LoopResources()
        with _DOOR:
            # A client holds its loop, so a loop that nobody closed down would stay here for good.
            for other in [other for other in _ROOMS if other.is_closed()]:
                del _ROOMS[other]
            _ROOMS[loop] = resources
        await resources.open()
    return resources


async def close_loop_resources() -> None:
    """Close the running loop's clients; the next call opens new ones.

    For servers that shut down in an orderly way, and for notebooks. Elsewhere the end of
    `asyncio.run` does it.
    """
    with _DOOR:
        resources = _ROOMS.pop(asyncio.get_running_loop(), None)
    if resources is not None:
        await resources.close()


async def _farewell(resources: LoopResources) -> AsyncGenerator[None, None]:
    try:
        yield
    finally:
        with _DOOR, contextlib.suppress(KeyError, RuntimeError):
            del _ROOMS[asyncio.get_running_loop()]
        await resources.close()
