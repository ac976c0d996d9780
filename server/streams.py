"""Answers on their way to a client, who may read slowly, or leave.

Whoever leaves ends the work that was done for it. Whoever reads slowly holds up nobody: the answer
is written down in memory, where it is small, and the council's place is free again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import aclosing
from typing import Any, TypeVar

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

T = TypeVar("T")

PATIENCE = 10.0
"""Seconds that the status waits for the first piece, so that a failure has the right one."""
BEAT = 15.0
"""Seconds of silence after which a comment is sent, so that no proxy thinks we are dead."""
STALL = 60.0
"""Seconds that a client may take to read what fits into its socket."""

Refuse = Callable[[BaseException], Response]


class ClientGone(Exception):  # noqa: N818 - said, not raised at a programmer
    """The client has hung up."""


async def unless_gone(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """Do the work, unless the client leaves: then it is cancelled, and has unwound.

    Raises:
        ClientGone: it has left.
    """
    working = asyncio.create_task(work)
    leaving = asyncio.create_task(_leaves(receive))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientGone
        return working.result()
    finally:
        for task in (working, leaving):
            task.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


async def _leaves(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class EventStream(Response):
    """Server-sent events.

    Args:
        frames: the events as bytes.
        refuse: makes the response that says what went wrong, where nothing was sent yet.
        broken: makes the last event of a stream that breaks off.
        left: is called when the client hangs up first.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        frames: AsyncGenerator[bytes, None],
        *,
        refuse: Refuse,
        broken: Callable[[BaseException], bytes],
        left: Callable[[], None],
    ) -> None:
        super().__init__(headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._frames, self._refuse, self._broken, self._left = frames, refuse, broken, left
        self._ready: asyncio.Queue[bytes | BaseException | None] = asyncio.Queue()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        writing = asyncio.create_task(self._write())
        try:
            await unless_gone(receive, self._send(scope, receive, send))
        except (ClientGone, TimeoutError):
            self._left()
        finally:
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)

    async def _write(self) -> None:
        """Listen to the council, at its own pace."""
        try:
            async with aclosing(self._frames) as frames:
                async for frame in frames:
                    self._ready.put_nowait(frame)
            self._ready.put_nowait(None)
        except Exception as error:
            self._ready.put_nowait(error)

    async def _send(self, scope: Scope, receive: Receive, send: Send) -> None:
        first = await self._next(PATIENCE)
        if isinstance(first, BaseException):
            await self._refuse(first)(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        part: bytes | BaseException | None = first
        while part is not None:
            over = isinstance(part, BaseException)
            await self._put(send, self._broken(part) if isinstance(part, BaseException) else part)
            if over:
                break
            part = await self._next(BEAT)
        await self._put(send, b"", more=False)

    async def _next(self, seconds: float) -> bytes | BaseException | None:
        """The next piece, with all that have come since; a comment where none comes in time."""
        if self._ready.empty():
            try:
                async with asyncio.timeout(seconds):
                    part = await self._ready.get()
            except TimeoutError:
                return b": the council is deliberating\n\n"
        else:
            part = self._ready.get_nowait()
        while isinstance(part, bytes) and not self._ready.empty():
            more = self._ready.get_nowait()
            if not isinstance(more, bytes):
                self._ready.put_nowait(more)  # it is the last one
                break
            part += more
        return part

    @staticmethod
    async def _put(send: Callable[..., Awaitable[None]], body: bytes, *, more: bool = True) -> None:
        async with asyncio.timeout(STALL):
            await send({"type": "http.response.body", "body": body, "more_body": more})


def event(body: bytes, name: str = "") -> bytes:
    """One event."""
    return (f"event: {name}\n".encode() if name else b"") + b"data: " + body + b"\n\n"
