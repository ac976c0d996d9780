"""httpx on aiohttp: the same client interface over a pool that does not collapse.

httpx's own pool of 100 connections costs 25 ms of CPU a call when 100 conversations run at once;
aiohttp's costs none to speak of. The OpenAI SDK brings such a transport for its own httpx2; this
one serves the libraries that are built on httpx: Ollama's and Mistral's.

Whatever a server sends is bounded here: it is unpacked by the handful, others have their turn after
each, and a reply that is too long ends in an error. Nobody is followed to another address. What is
on this machine or in this house is reached without a proxy.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import aiohttp
import httpx

from mom_council.models.wire import (
    ELSEWHERE,
    MOST_PARTS,
    OversizedReplyError,
    Sessions,
    Unpacker,
)

_CHUNK = 16 * 1024
_PART = 64 * 1024
"""Bytes that are unpacked at most before others have their turn."""


_LINE = 20
"""Values that a line of an event counts as."""
LONGEST_EVENT = 4_000_000
"""Bytes of one event of a stream; the SDKs take time with the square of it."""


async def unpacked(
    chunks: AsyncIterable[bytes], encoding: str, *, in_events: bool = False
) -> AsyncIterator[bytes]:
    """The bytes of a reply by the handful, unpacked if a server packed them unasked.

    Args:
        chunks: what comes over the wire.
        encoding: how the server says that it is packed.
        in_events: whether they are events, which end with an empty line.

    Raises:
        OversizedReplyError: there are more than `LONGEST_REPLY` of them.
        ValueError: they are packed in a way that nobody asked for, or not as the server says.
    """
    unpacker = Unpacker(encoding, _PART)
    since = event = values = 0
    async for chunk in chunks:
        rest = chunk
        while True:
            part, rest = unpacker.add(rest), b""
            if part:
                yield part
            if in_events:
                plain = part.replace(b"\r", b"")
                if (ends := plain.rfind(b"\n\n")) >= 0:
                    event, values, plain = 0, 0, plain[ends + 1 :]
                event += len(plain)
                lines = plain.count(b"\n") if ends >= 0 else max(map(part.count, (b"\r", b"\n")))
                values += plain.count(b",") + lines * _LINE
                if event > LONGEST_EVENT or values > MOST_PARTS:
                    raise OversizedReplyError
            since += max(len(part), len(chunk))
            if since >= _PART:
                since = 0
                await asyncio.sleep(0)
            # An unpacker may hold more than it gave, also when it has read everything.
            if not unpacker.is_full and (part == chunk or len(part) < _PART):
                break


class AiohttpTransport(httpx.AsyncBaseTransport):
    """Sends httpx requests through a shared aiohttp session, which it does not own."""

    def __init__(self, sessions: Sessions, *, withhold: str | None = None) -> None:
        """Use `sessions`; an Authorization header equal to `withhold` is never sent."""
        self._sessions = sessions
        self._withhold = withhold

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request; the body of its answer is streamed."""
        headers = request.headers.copy()
        headers["accept-encoding"] = "identity"
        if self._withhold is not None and headers.get("authorization") == self._withhold:
            del headers["authorization"]
        with _as_httpx(request):
            url = str(request.url)
            response = await self._sessions.get(url).request(
                request.method,
                url,
                headers=headers.multi_items(),
                data=request.content or None,
                allow_redirects=False,
            )
        if 300 <= response.status < 400:
            response.close()
            return httpx.Response(421, json={"error": ELSEWHERE}, request=request)
        raw = response.raw_headers
        return httpx.Response(
            response.status,
            headers=[pair for pair in raw if pair[0].lower() != b"content-encoding"],
            stream=_Body(response, request),
            request=request,
        )


class _Body(httpx.AsyncByteStream):
    def __init__(self, response: aiohttp.ClientResponse, request: httpx.Request) -> None:
        self._response, self._request = response, request

    async def __aiter__(self) -> AsyncIterator[bytes]:
        packed = self._response.headers.get("content-encoding", "")
        with _as_httpx(self._request):
            async for part in unpacked(self._response.content.iter_chunked(_CHUNK), packed):
                yield part

    async def aclose(self) -> None:
        # A body that was not read to its end closes its connection: the server stops working.
        self._response.release()


@contextmanager
def _as_httpx(request: httpx.Request) -> Iterator[None]:
    try:
        yield
    except aiohttp.ServerTimeoutError as error:
        raise httpx.ConnectTimeout(str(error), request=request) from error
    except aiohttp.ClientConnectorError as error:
        raise httpx.ConnectError(str(error), request=request) from error
    except (aiohttp.ClientError, OSError) as error:
        raise httpx.ReadError(str(error), request=request) from error


async def bound_sdk_response(response: Any) -> None:
    """Bound what an SDK reads: a hook of its httpx2 client, called before the body is read."""
    import httpx2

    packed = response.headers.get("content-encoding", "")
    if packed:
        del response.headers["content-encoding"]
    inner = response.stream
    in_events = "event-stream" in response.headers.get("content-type", "")

    class _Bounded(httpx2.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            async for part in unpacked(inner, packed, in_events=in_events):
                yield part

        async def aclose(self) -> None:
            await inner.aclose()

    response.stream = _Bounded()
