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
import json
from collections.abc import AsyncIterable, AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import aiohttp
import httpx

from mom_council.models.wire import (
    ELSEWHERE,
    LONGEST_LINE,
    MOST_PARTS,
    OversizedReplyError,
    ResponseError,
    Sessions,
    Unpacker,
    error_words,
    read_json,
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


_ASKS_FOR_A_STREAM = (b'"stream":true', b'"stream": true')
_STREAM = "text/event-stream"
_FIELDS = (b"data", b"event", b"id", b"retry", b":")


def is_streamed(body: bytes, status: int, kind: str) -> bool:
    """Whether a reply is to be events: they were asked for, whatever the server calls them."""
    asks = any(wish in body for wish in _ASKS_FOR_A_STREAM)
    return asks and status < 300 and "ndjson" not in kind


async def checked_events(chunks: AsyncIterable[bytes], kind: str) -> AsyncIterator[bytes]:
    """A stream of events as vendors' libraries can read it, and no other.

    They leave out an event that is cut, take a text in another charset for what it is not, and lose
    an answer for token counts that are no numbers. Here each event is read as our own wire reads
    it (`models.wire`), and handed on.

    Args:
        chunks: the bytes of the reply, unpacked.
        kind: its content type. Of JSON only an error is read: nothing was streamed.

    Raises:
        ResponseError: the server says that it failed.
        ValueError: an event is no JSON, or no text.
    """
    if "application/json" in kind:
        whole = b""
        async for chunk in chunks:
            whole = (whole + chunk)[:LONGEST_LINE]
        if whole.strip():
            _raise_error(read_json(whole))
        return
    events = _Events()
    async for chunk in chunks:
        if part := events.add(chunk):
            yield part
        if events.fault is not None:
            raise events.fault


class _Events:
    """Reads events as their standard says."""

    def __init__(self) -> None:
        self._is_first = True
        self._after_return = False
        self._rest = b""
        self._lines: list[bytes] = []
        """Of the event that has not ended."""
        self.fault: Exception | None = None
        """Why an event cannot be read; what came before it can."""

    def add(self, data: bytes) -> bytes:
        """The events that have ended now."""
        if self._is_first:
            self._is_first = False
            data = data.removeprefix(b"\xef\xbb\xbf")
        if self._after_return and data.startswith(b"\n"):
            data = data[1:]  # the second half of one line's end
        data = self._rest + data
        self._after_return = data.endswith(b"\r")
        end = max(data.rfind(b"\n"), data.rfind(b"\r")) + 1
        self._rest = data[end:]
        ended = []
        for line in data[:end].splitlines():
            if line:
                self._lines.append(line)
            elif self._lines:
                lines, self._lines = self._lines, []
                try:
                    ended.append(_check_event(lines))
                except (ResponseError, ValueError) as fault:
                    self.fault = fault
                    break
        return b"".join(ended)


def _check_event(lines: list[bytes]) -> bytes:
    """One event, if it can be read."""
    for line in lines:
        if line.strip() and not line.startswith(_FIELDS):
            _raise_error(read_json(line))  # some say so without the form of an event
    data = b"\n".join(line[5:] for line in lines if line.startswith(b"data:")).strip()
    others = b"".join(line + b"\n" for line in lines if line.startswith(b"event:"))
    if not data:
        return b""  # a mark that keeps the connection open
    if not data.startswith(b"[DONE]"):
        data.decode()
        value = read_json(data)
        _raise_error(value)
        if isinstance(value, dict) and "choices" in value and not _is_count(value.get("usage")):
            data = json.dumps({**value, "usage": None}).encode()
    return others + b"".join(b"data: " + line + b"\n" for line in data.splitlines()) + b"\n"


def _raise_error(value: Any) -> None:
    if isinstance(value, dict) and (error := value.get("error")):
        raise ResponseError(error_words(error), error)


def _is_count(usage: Any) -> bool:
    """Whether token counts are numbers, or not told."""
    if usage is None:
        return True
    named = ("prompt_tokens", "completion_tokens", "total_tokens")
    return isinstance(usage, dict) and all(isinstance(usage.get(name, 0), int) for name in named)


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
        kind = response.headers.get("content-type", "").lower()
        in_events = is_streamed(request.content, response.status, kind)
        changed = (b"content-encoding", *((b"content-type",) if in_events else ()))
        raw = response.raw_headers
        reply_headers = [pair for pair in raw if pair[0].lower() not in changed]
        if in_events:
            reply_headers.append((b"content-type", _STREAM.encode()))
        return httpx.Response(
            response.status,
            headers=reply_headers,
            stream=_Body(response, request, in_events=in_events),
            request=request,
        )


class _Body(httpx.AsyncByteStream):
    def __init__(
        self, response: aiohttp.ClientResponse, request: httpx.Request, *, in_events: bool
    ) -> None:
        self._response, self._request, self._in_events = response, request, in_events

    async def __aiter__(self) -> AsyncIterator[bytes]:
        headers = self._response.headers
        packed, kind = headers.get("content-encoding", ""), headers.get("content-type", "")
        content = self._response.content.iter_chunked(_CHUNK)
        with _as_httpx(self._request):
            parts = unpacked(content, packed, in_events=self._in_events)
            async for part in checked_events(parts, kind) if self._in_events else parts:
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
    kind = response.headers.get("content-type", "").lower()
    in_events = is_streamed(response.request.content, response.status_code, kind)

    class _Bounded(httpx2.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            parts = unpacked(inner, packed, in_events=in_events)
            async for part in checked_events(parts, kind) if in_events else parts:
                yield part

        async def aclose(self) -> None:
            await inner.aclose()

    response.stream = _Bounded()
