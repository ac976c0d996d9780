"""httpx on aiohttp: the same client interface over a pool that does not collapse.

httpx's own pool of 100 connections costs 25 ms of CPU a call when 100 conversations run at once;
aiohttp's costs none to speak of. The OpenAI SDK brings such a transport for its own httpx2; this
one serves the libraries that are built on httpx: Ollama's and Mistral's.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from urllib.request import getproxies

import aiohttp
import httpx

CONNECT = 10.0
"""Seconds to reach a server; what comes after is bounded by the model's own timeout."""
KEEP_ALIVE = 4.0
"""Seconds an idle connection is kept: less than the 5 that common servers keep theirs, so that
a request is not sent into a connection that is just being closed."""
_CHUNK = 16 * 1024


class Sessions:
    """One aiohttp session for an event loop, opened by the first request."""

    def __init__(self, tls: ssl.SSLContext) -> None:
        self._tls = tls
        self._session: aiohttp.ClientSession | None = None

    def get(self) -> aiohttp.ClientSession:
        """The session, opened where there is none."""
        if self._session is None or self._session.closed:
            connector = aiohttp.TCPConnector(limit=0, ssl=self._tls, keepalive_timeout=KEEP_ALIVE)
            self._session = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                # Looked up for every request, netrc included: only where there is a proxy.
                trust_env=bool(getproxies()),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT),
            )
        return self._session

    async def close(self) -> None:
        """Close the session and its connections."""
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()


class AiohttpTransport(httpx.AsyncBaseTransport):
    """Sends httpx requests through a shared aiohttp session, which it does not own."""

    def __init__(self, sessions: Sessions, *, withhold: str | None = None) -> None:
        """Use `sessions`; an Authorization header equal to `withhold` is never sent."""
        self._sessions = sessions
        self._withhold = withhold

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request; the body of its answer is streamed."""
        headers = request.headers.copy()
        if self._withhold is not None and headers.get("authorization") == self._withhold:
            del headers["authorization"]
        with _as_httpx(request):
            response = await self._sessions.get().request(
                request.method,
                str(request.url),
                headers=headers.multi_items(),
                data=request.content or None,
                allow_redirects=False,
            )
        return httpx.Response(
            response.status,
            headers=response.raw_headers,
            stream=_Body(response, request),
            request=request,
        )


class _Body(httpx.AsyncByteStream):
    def __init__(self, response: aiohttp.ClientResponse, request: httpx.Request) -> None:
        self._response, self._request = response, request

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _as_httpx(self._request):
            async for chunk in self._response.content.iter_chunked(_CHUNK):
                yield chunk

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
