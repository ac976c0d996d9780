"""Streamed replies over the loop's own aiohttp session: JSON out, JSON in, and little between.

The vendors' SDKs and LangChain spend 2 to 3 ms on a call and 0.2 ms on a token, nearly all of it on
making objects that are taken apart again. Here a request's body is LangChain's own, sent as it is,
and the reply is read by the handful: the first piece at once, then what came in a `FRAME` together.
A chat model that has a `Wire` still is a LangChain chat model: whoever follows it by callbacks gets
LangChain's chunks, made of the same JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import zlib
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing, suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from urllib.request import getproxies

import orjson

from mom_council.models.prices import current_departure
from mom_council.models.resolved import is_near
from mom_council.seams.clients import read_broken_off

if TYPE_CHECKING:
    import aiohttp
    from aiohttp import StreamReader

SWITCH = "MOM_THIN_WIRE"
"""The environment variable that turns it off, when it is `0`: the vendors' SDKs are used then."""
FRAME = 0.03
"""Seconds for which pieces are gathered once somebody reads along; a screen shows no more."""
QUIET_FRAME = 0.1
"""The same where nobody reads along. What a time limit cuts off loses no more than this."""
LONGEST_REPLY = 64_000_000
"""Bytes of one reply as they are unpacked, pictures in base64 included."""
LONGEST_LINE = 16_000_000
"""Bytes of one line; a server that sends more is not speaking the protocol."""
MOST_PARTS = 200_000
"""Values of one line: each takes some 100 bytes of memory, however short it is."""
_LINE = 64
"""Bytes that a line takes in memory, besides its own."""
_HANDFUL = 128 * 1024
"""Bytes that are read at most before others have their turn."""
_LONGEST_REFUSAL = 64 * 1024
_DRAIN = 0.1
"""Seconds to wait for the end of a reply that said that it is over, to keep its connection."""
_REDIRECTS = (301, 302, 303, 307, 308)
CONNECT = 10.0
"""Seconds to reach a server; what comes after is bounded by the model's own timeout."""
KEEP_ALIVE = 4.0
"""Seconds an idle connection is kept: less than the 5 that common servers keep theirs, so that
a request is not sent into a connection that is just being closed."""
ELSEWHERE = "the server is elsewhere: give `base_url` the address that it names"


class OversizedReplyError(ValueError):
    """A server sent more than anybody reads."""

    def __init__(self) -> None:
        super().__init__(f"the reply is longer than {LONGEST_REPLY // 1_000_000} MB")


_MOST_MEMBERS = 100
"""Packed parts of one reply; what follows is left out."""


class Unpacker:
    """Unpacks a reply by the handful, if a server packed it unasked; bounded in all that comes.

    Raises:
        ValueError: it is packed in a way that nobody asked for, or not as the server says.
        OversizedReplyError: there is more than `LONGEST_REPLY`, packed or unpacked.
    """

    def __init__(self, encoding: str, handful: int) -> None:
        how = encoding.strip().lower()
        if how not in ("", "identity", "gzip", "x-gzip", "deflate"):
            raise ValueError(f"the reply is packed as {encoding[:20]!r}, which was not asked for")
        self._handful = handful
        self._unpack = zlib.decompressobj(wbits=47) if how not in ("", "identity") else None
        self._left = b""
        self._packed = self._size = 0
        self._begun = False
        self._members = 1

    @property
    def is_full(self) -> bool:
        """Whether there is more of what came: it is asked for by adding nothing."""
        return bool(self._left)

    def add(self, data: bytes) -> bytes:
        """Some of what came, unpacked."""
        self._packed += len(data)
        part = data if self._unpack is None else self._next(self._left + data)
        self._size += len(part)
        if max(self._size, self._packed) > LONGEST_REPLY:
            raise OversizedReplyError
        return part

    def _next(self, data: bytes) -> bytes:
        unpack: Any = self._unpack
        if unpack.eof:  # only another part that is packed may follow
            self._members += 1
            if not data.startswith(b"\x1f\x8b") or self._members > _MOST_MEMBERS:
                self._left = b""
                return b""
            unpack = self._unpack = zlib.decompressobj(wbits=47)
        try:
            part: bytes = unpack.decompress(data, self._handful)
        except zlib.error:
            if self._begun:
                raise ValueError("the reply is not packed as its server says") from None
            # Many servers send `deflate` without the head that its standard wants.
            unpack = self._unpack = zlib.decompressobj(wbits=-15)
            part = self._begin_raw(unpack, data)
        self._begun = self._begun or bool(data)
        self._left = unpack.unconsumed_tail or unpack.unused_data
        return part

    def _begin_raw(self, unpack: Any, data: bytes) -> bytes:
        try:
            part: bytes = unpack.decompress(data, self._handful)
        except zlib.error:
            raise ValueError("the reply is not packed as its server says") from None
        return part


class Delta(NamedTuple):
    """Some of a reply: what was said, thought and counted in it."""

    content: str | list[Any] = ""
    thought: str = ""
    refusal: str = ""
    calling: bool = False
    """Whether a tool is asked for."""
    usage: Mapping[str, Any] | None = None
    """Tokens, as LangChain counts them."""
    finish: str = ""
    """What the vendor calls the end."""
    pieces: int = 1
    """In how many pieces it came."""


class WireRefusalError(RuntimeError):
    """The server answered with an HTTP status that is no success."""

    def __init__(self, status: int, headers: Mapping[str, str], body: Any) -> None:
        super().__init__(f"Error code: {status} - {body}")
        self.status_code = status
        self.headers = headers
        self.body = body


class ResponseError(RuntimeError):
    """The server said in its reply that it failed."""

    def __init__(self, message: str, body: Any = None) -> None:
        super().__init__(message)
        self.body = body


def is_on() -> bool:
    """Whether models are asked this way, where they can be."""
    return os.environ.get(SWITCH, "").strip() != "0"


@lru_cache(maxsize=256)
def needs_no_proxy(url: str) -> bool:
    """Whether a proxy is no way to this address: our own engine, this machine, this house."""
    return is_near(url)


def watch_departures() -> aiohttp.TraceConfig:
    """Tells who counts a request when it leaves; one that is given up before costs nothing."""
    import aiohttp

    async def prepare(_session: Any, about: Any, _of: Any) -> None:
        about.departure = current_departure()
        if about.departure is not None:
            about.departure.is_watched = True

    async def leave(_session: Any, about: Any, _of: Any) -> None:
        if about.departure is not None:
            about.departure.has_left = True

    config = aiohttp.TraceConfig()
    config.on_request_start.append(prepare)
    config.on_request_chunk_sent.append(leave)
    config.freeze()
    return config


class Sessions:
    """One aiohttp session for an event loop, opened by the first request."""

    def __init__(self, tls: Callable[[], ssl.SSLContext]) -> None:
        import aiohttp  # noqa: F401  (a tenth of a second: here it is a thread that waits)

        self._tls = tls
        self._sessions: dict[tuple[bool, bool], aiohttp.ClientSession] = {}
        """By whether it goes through a proxy, and whether it is encrypted."""

    def get(self, url: str) -> aiohttp.ClientSession:
        """The session for an address, opened where there is none."""
        import aiohttp

        by_proxy = not needs_no_proxy(url) and bool(getproxies())
        # Making TLS's context takes 20 ms and more, and a model on this machine needs none.
        is_encrypted = by_proxy or not url.lower().startswith("http:")
        kind = (by_proxy, is_encrypted)
        session = self._sessions.get(kind)
        if session is None or session.closed:
            tls = self._tls() if is_encrypted else True
            connector = aiohttp.TCPConnector(limit=0, ssl=tls, keepalive_timeout=KEEP_ALIVE)
            session = self._sessions[kind] = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                # Looked up for every request, netrc included: only where there is a proxy.
                trust_env=by_proxy,
                trace_configs=[watch_departures()],
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT),
            )
        return session

    async def close(self) -> None:
        """Close the sessions and their connections."""
        sessions, self._sessions = self._sessions, {}
        for session in sessions.values():
            await session.close()


class Wire:
    """Where a model's replies are streamed from."""

    def __init__(
        self,
        sessions: Sessions,
        url: str,
        headers: Mapping[str, str],
        form: Literal["events", "lines"],
    ) -> None:
        """Use the loop's session.

        Args:
            sessions: of the loop.
            url: that a reply is asked of.
            headers: of each request; with the key.
            form: server-sent events that end with `[DONE]`, or a JSON value a line.
        """
        self._sessions = sessions
        self._url = url
        self._headers = {**headers, "Accept-Encoding": "identity"}
        self._form = form

    def ask(self, body: Mapping[str, Any]) -> JsonStream:
        """The reply to a request; it is sent when the reply is iterated over."""
        return JsonStream(self._sessions, self._url, self._headers, _as_json(body), self._form)


class JsonStream:
    """One reply: lists of JSON values, as they come.

    Attributes:
        is_speaking: is set by the reader when the first piece is out; the next are gathered.
        frame: for so many seconds.
    """

    def __init__(
        self,
        sessions: Sessions,
        url: str,
        headers: Mapping[str, str],
        body: bytes,
        form: Literal["events", "lines"],
    ) -> None:
        self._sessions = sessions
        self._url = url
        self._headers = headers
        self._body = body
        self._form = form
        self._rest = b""
        self._after_return = False
        self._is_first = True
        self._event: list[bytes] = []
        self._event_size = 0
        self._fault: Exception | None = None
        self._over = False
        self._last = 0.0
        """When something arrived."""
        self.is_speaking = False
        self.frame = FRAME

    async def read(self) -> AsyncGenerator[list[Any], None]:
        """Send the request and read the reply to its end.

        Raises:
            WireRefusalError: the server answered with an HTTP status of 300 or more.
            ResponseError: it said in the reply that it failed.
            ValueError: what it sent is not JSON, or nothing came.
            aiohttp.ClientError: there is no connection, or it broke.
        """
        response = await self._sessions.get(self._url).post(
            self._url, data=self._body, headers=self._headers, allow_redirects=False
        )
        came = False
        body = _Body(response)
        try:
            await _check(response, body)
            is_stream = self._form == "lines" or response.content_type != "application/json"
            if not is_stream:
                # The server does not stream, or says with a success that it failed.
                self._form, self._rest = "lines", await body.whole(LONGEST_LINE)
            while is_stream and not (self._over or self._fault):
                data = await self._next(body)
                if not data:
                    break
                if values := self._decode(data):
                    came = True
                    yield values
            if self._form == "lines" and self._rest and not self._fault:
                rest, self._rest = self._rest, b""
                if values := self._parse([rest]):
                    came = True
                    yield values
            if self._fault is not None:
                raise self._fault
            if not came:
                raise ValueError("No generation chunks were returned")
            await _drain(response.content)
        finally:
            if response.content.at_eof():
                response.release()
            else:
                response.close()  # the server stops working

    async def _next(self, body: _Body) -> bytes:
        """What arrives: at once, and once somebody reads along, a frame's worth together."""
        data = await body.read()
        now = asyncio.get_running_loop().time
        left = self._last + self.frame - now()
        if data and self.is_speaking and left > 0 and len(data) < _HANDFUL // 4:
            more, self._fault = await body.gather(left)  # a fault comes after it
            data += more
        if len(data) >= _HANDFUL // 2:
            await asyncio.sleep(0)  # a server that floods us does not starve the others
        self._last = now()
        return data

    def _decode(self, data: bytes) -> list[Any]:
        """The JSON values that are whole now."""
        if self._is_first:
            self._is_first = False
            data = data.removeprefix(b"\xef\xbb\xbf")  # a mark of the byte order is no text
        if self._after_return and data.startswith(b"\n"):
            data = data[1:]  # the second half of one line's end
        data = self._rest + data
        self._after_return = data.endswith(b"\r")
        end = max(data.rfind(b"\n"), data.rfind(b"\r")) + 1
        self._rest = data[end:]
        if len(self._rest) > LONGEST_LINE:
            self._fault = OversizedReplyError()
            return []
        if self._form == "events" and (values := self._plain_events(data[:end])) is not None:
            return values
        lines = data[:end].splitlines()
        return self._parse(lines if self._form == "lines" else self._events(lines))

    def _plain_events(self, data: bytes) -> list[Any] | None:
        """The values of events of one line each, as nearly every server writes them; else None.

        They are read as one list, which costs a fraction of reading each.
        """
        if self._event or b"\r" in data or not data.endswith(b"\n\n") or len(data) > MOST_PARTS:
            return None
        events = data[:-2].split(b"\n\n")
        is_last = events[-1] == b"data: [DONE]"
        if is_last:
            del events[-1]
        for event in events:
            if b"\n" in event or event[:6] != b"data: " or event[6:7] != b"{":
                return None
        try:
            values: list[Any] = orjson.loads(
                b"[" + b",".join([event[6:] for event in events]) + b"]"
            )
        except orjson.JSONDecodeError:
            return None
        if len(values) != len(events) or b'"error"' in data:
            return None
        self._over = is_last
        return values

    def _events(self, lines: list[bytes]) -> list[bytes]:
        """The data of each event that ended, as the standard of server-sent events reads it."""
        events: list[bytes] = []
        for line in lines:
            if line.startswith(b"data:"):
                self._event.append(line[5:])
                self._event_size += len(line) + _LINE
                if self._event_size > LONGEST_LINE:
                    self._fault = OversizedReplyError()
                    break
            elif not line and self._event:
                written = b"\n".join(self._event).strip()
                self._event.clear()
                self._event_size = 0
                if written.startswith(b"[DONE]"):
                    self._over = True
                    break
                events.append(written)
        return events

    def _parse(self, written: list[bytes]) -> list[Any]:
        values: list[Any] = []
        for one in written:
            if not one.strip():
                continue
            if has_too_many_parts(one):
                self._fault = OversizedReplyError()
                break
            try:
                value = read_json(one)
            except ValueError as error:
                self._fault = _not_text(one) or error
                break
            if not isinstance(value, dict):
                self._fault = ValueError("No generation: the reply holds no objects")
                break
            if error_body := value.get("error"):
                self._fault = ResponseError(error_words(error_body), error_body)
                break
            values.append(value)
        return values


def read_json(written: bytes) -> Any:
    """A JSON value; half a surrogate pair in a text is no reason to lose the reply.

    Raises:
        ValueError: it is none.
    """
    try:
        return orjson.loads(written)
    except orjson.JSONDecodeError:
        if b"\\ud" not in written.lower():
            raise
        return json.loads(written)


def has_too_many_parts(written: bytes) -> bool:
    """Whether JSON holds so many small values that reading it takes far more memory than it has."""
    return len(written) > MOST_PARTS and written.count(b",") > MOST_PARTS


async def read_deltas(
    stream: JsonStream, read: Callable[[dict[str, Any]], Delta | str], frame: float
) -> AsyncGenerator[list[Delta], None]:
    """What a reply says, by the handful.

    Args:
        stream: the reply.
        read: takes one JSON value of its protocol; a text is a value that only speaks.
        frame: seconds for which pieces are gathered.
    """
    stream.frame = frame
    async with aclosing(stream.read()) as handfuls:
        async for values in handfuls:
            try:
                deltas = merge([read(value) for value in values])
            except (AttributeError, TypeError, LookupError) as error:
                raise ValueError("No generation: a part is not as its protocol says") from error
            if not stream.is_speaking:
                stream.is_speaking = any(one.content or one.thought for one in deltas)
            yield deltas


def merge(deltas: Sequence[Delta | str]) -> list[Delta]:
    """The same deltas with neighbours that only speak, or only think, joined."""
    merged: list[Delta] = []
    texts: list[str] = []
    thoughts: list[str] = []

    def flush() -> None:
        if texts or thoughts:
            count = len(texts) + len(thoughts)
            merged.append(Delta("".join(texts), "".join(thoughts), pieces=count))
            texts.clear()
            thoughts.clear()

    for delta in deltas:
        if isinstance(delta, str):
            content: Any = delta
            thought = ""
        elif _says_more(delta):
            flush()
            merged.append(delta)
            continue
        else:
            content, thought = delta[:2]
        if content:
            if thoughts:
                flush()
            texts.append(content)
        elif thought:
            if texts:
                flush()
            thoughts.append(thought)
    flush()
    return merged


def _says_more(delta: Delta) -> bool:
    """Whether it does more than speak or think."""
    content, thought, refusal, calling, usage, finish, _ = delta
    if refusal or calling or usage or finish or not isinstance(content, str):
        return True
    return bool(content and thought)


class _Body:
    """The bytes of a reply; unpacked where a server packed what it was asked not to pack."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        encoding = response.headers.get("content-encoding", "")
        self._content = response.content
        self._unpacker = Unpacker(encoding, _HANDFUL)
        self._is_packed = encoding.lower() not in ("", "identity")

    async def read(self) -> bytes:
        """Some more; nothing at the end. Whoever gives up waiting loses nothing."""
        while True:
            data = b"" if self._unpacker.is_full else await self._content.readany()
            if not data and not self._unpacker.is_full:
                return b""
            if part := self._unpacker.add(data):
                return part
            await asyncio.sleep(0)  # what is packed may be nothing at all

    async def gather(self, seconds: float) -> tuple[bytes, Exception | None]:
        """What arrives within some seconds, or up to the end; and what broke it off there."""
        if not self._is_packed:
            more, fault = await read_until_end(self._content, seconds)
            return self._unpacker.add(more), fault
        parts: list[bytes] = []
        try:
            async with asyncio.timeout(seconds):
                while sum(map(len, parts)) < _HANDFUL and (part := await self.read()):
                    parts.append(part)
        except TimeoutError:
            pass
        except Exception as error:
            return b"".join(parts), error
        return b"".join(parts), None

    async def whole(self, most: int) -> bytes:
        """All of it, but no more than so many bytes."""
        parts, size = [], 0
        while size < most and (part := await self.read()):
            parts.append(part)
            size += len(part)
            await asyncio.sleep(0)  # a bomb is unpacked in many turns
        return b"".join(parts)[:most]


async def read_until_end(content: StreamReader, seconds: float) -> tuple[bytes, Exception | None]:
    """What comes of a reply within some seconds, or up to its end, and what broke it off.

    Nobody is woken for each piece, which is most of what a streamed token costs.
    """
    if content.exception() is None:
        with suppress(Exception):  # of the connection: it is returned
            async with asyncio.timeout(seconds):
                await content.wait_eof()
    fault = content.exception()
    if fault is None:
        return content.read_nowait(), None
    return read_broken_off(content), fault if isinstance(fault, Exception) else None


async def _check(response: aiohttp.ClientResponse, body: _Body) -> None:
    """Raise what the server refused the request with."""
    status = response.status
    if status < 300:
        return
    written = await body.whole(_LONGEST_REFUSAL)
    try:
        reason = orjson.loads(written)
        reason = reason.get("error", reason) if isinstance(reason, dict) else reason
    except orjson.JSONDecodeError:
        reason = written.decode(errors="replace")
    if status in _REDIRECTS:
        status, reason = 421, ELSEWHERE
    headers = {name.lower(): value for name, value in response.headers.items()}
    raise WireRefusalError(status, headers, reason)


async def _drain(content: aiohttp.StreamReader) -> None:
    """Read the end of a reply that is over, so that its connection can be used again."""
    import aiohttp

    if content.at_eof():
        return
    try:
        async with asyncio.timeout(_DRAIN):
            while await content.readany():
                pass
    except (TimeoutError, aiohttp.ClientError):
        pass


def _as_json(body: Mapping[str, Any]) -> bytes:
    try:
        return orjson.dumps(body)
    except TypeError:  # half a surrogate pair, a number of more than 64 bits
        return json.dumps(body).encode()


def _not_text(written: bytes) -> UnicodeDecodeError | None:
    """What says that some bytes are no text at all; None where they are."""
    try:
        written.decode()
    except UnicodeDecodeError as error:
        error.__context__ = None
        return error
    return None


def error_words(error: Any) -> str:
    """What a server says of its failure."""
    message = error.get("message") if isinstance(error, dict) else error
    return message if isinstance(message, str) and message else "the server failed"
