"""HTTP for strangers: headers that come slowly, or never end, end the connection.

Serving: the councils to catalogue, and uvicorn around the application.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from mom_council.councils.trust import load_trusted_council
from mom_council.errors import MixtureError, StorageError
from mom_council.redaction import logger
from mom_council.runs.discovery import choose_council, cost_notice
from mom_council.server.app import make_app
from mom_council.server.catalogue import Catalogue
from mom_council.server.state import Keys, ServerSettings, ServerState

_log = logger(__name__)

HEADER_SECONDS = 10.0
"""From a request's first byte, or the connection's opening, to the end of its headers."""
HEADER_BYTES = 64 * 1024


class HeaderLimitProtocol(HttpToolsProtocol):
    """Uvicorn's protocol with a limit on how long and how large the headers of a request are."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Somebody has come; headers are awaited."""
        super().connection_made(transport)
        self._headers_size: int | None = 0
        """Bytes of unfinished headers; None: there are none."""
        self._limit: asyncio.TimerHandle | None = None
        self._await_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        """Somebody has left."""
        self._headers_are_here()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Some bytes have come."""
        super().data_received(data)
        if self._headers_size is not None and self.parser is not None:
            self._headers_size += len(data)
            if self._headers_size > HEADER_BYTES:
                self._turn_away(b"431 Request Header Fields Too Large")

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._headers_size = 0
        self._await_headers()

    def on_headers_complete(self) -> None:
        """Its headers are complete."""
        self._headers_are_here()
        super().on_headers_complete()

    def _await_headers(self) -> None:
        if self._limit is None:
            self._limit = self.loop.call_later(
                HEADER_SECONDS, self._turn_away, b"408 Request Timeout"
            )

    def _headers_are_here(self) -> None:
        self._headers_size = None
        if self._limit is not None:
            self._limit.cancel()
            self._limit = None

    def _turn_away(self, status: bytes) -> None:
        self._headers_are_here()
        if not self.transport.is_closing():
            self.transport.write(
                b"HTTP/1.1 " + status + b"\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            )
            self.transport.close()


BACKLOG = 2048
GOODBYE = 10
"""Seconds that answers under way get when the server is stopped."""


async def open_catalogue(
    named: Sequence[str], *, only: bool = False, say: Callable[[str], None] = lambda line: None
) -> Catalogue:
    """What a server offers: the named councils, or the best that this machine can seat; and more.

    Args:
        named: names of presets, or files.
        only: leave presets and the chat page's councils out.
        say: is told what is asked, and what may cost money.

    Raises:
        CouncilError: a named council cannot sit.
    """
    if named:
        first = [await asyncio.to_thread(load_trusted_council, name) for name in named]
    else:
        choice = await choose_council(None, os.environ, say=say)
        first = [choice.council]
        for line in (choice.notice, cost_notice(choice)):
            if line:
                say(line)
    more: dict[str, Any] = {"presets": False, "saved": None} if only else {}
    return Catalogue(first, **more)


async def serve(
    sock: socket.socket,
    catalogue: Catalogue,
    keys: Keys,
    settings: ServerSettings,
    ready: Callable[[], None],
    reopen: Callable[[], Awaitable[tuple[Catalogue, Keys]]] | None = None,
) -> None:
    """Serve on an open socket until a signal comes.

    Args:
        sock: listens.
        catalogue: what is offered.
        keys: who may come.
        settings: how the server behaves.
        ready: is called when the first request may come.
        reopen: reads the councils and the keys anew; called when SIGHUP comes.

    Raises:
        MixtureError: the server cannot be opened.
    """
    server = ServerState(catalogue, keys, settings)
    # Opened here and not in the application's lifespan, whose errors uvicorn only logs.
    await server.open()
    ready()
    try:
        with reloading(server, reopen):
            await server_of(make_app(server)).serve([sock])
    finally:
        await server.close()


@contextmanager
def reloading(
    server: ServerState, reopen: Callable[[], Awaitable[tuple[Catalogue, Keys]]] | None
) -> Iterator[None]:
    """Within it SIGHUP replaces the councils and the keys; answers under way go on as they began.

    What cannot be read leaves everything as it is. A server in a terminal still ends with it.
    """
    if reopen is None or not hasattr(signal, "SIGHUP") or _is_at_terminal():
        yield
        return
    loop = asyncio.get_running_loop()
    reloads: set[asyncio.Task[None]] = set()

    async def reload() -> None:
        try:
            catalogue, keys = await reopen()
        except MixtureError as error:
            _log.warning("nothing was reloaded: %s", error)
            return
        if server.keys and not keys:
            _log.warning("nothing was reloaded: there are no keys any more")
            return
        server.catalogue, server.keys = catalogue, keys
        _log.warning("councils and keys were reloaded")

    def begin() -> None:
        task = asyncio.ensure_future(reload())
        reloads.add(task)
        task.add_done_callback(reloads.discard)

    loop.add_signal_handler(signal.SIGHUP, begin)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGHUP)
        for task in reloads:
            task.cancel()


def _is_at_terminal() -> bool:
    return sys.stdin is not None and sys.stdin.isatty()


async def serve_tools(
    sock: socket.socket | None,
    catalogue: Catalogue,
    keys: Keys,
    settings: ServerSettings,
    ready: Callable[[], None],
) -> None:
    """Serve the MCP tools: over HTTP on an open socket, or over stdin and stdout.

    Raises:
        MixtureError: the server cannot be opened.
    """
    from mom_council.server.mcp_tools import GuardedApp, make_mcp

    server = ServerState(catalogue, keys, settings)
    await server.open()
    try:
        tools = make_mcp(server)
        ready()
        if sock is None:
            await tools.run_stdio_async()
        else:
            if keys:
                # The key says who may come; the address is whatever the owner gave the machine.
                tools.settings.transport_security = None
            await server_of(GuardedApp(tools.streamable_http_app(), server)).serve([sock])
    finally:
        await server.close()


def server_of(app: Any) -> uvicorn.Server:
    """Uvicorn, set up for strangers."""
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    return uvicorn.Server(
        uvicorn.Config(
            app,
            http=HeaderLimitProtocol,
            ws="none",
            access_log=False,  # `RequestLog` writes it
            log_config=None,
            server_header=False,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=GOODBYE,
            backlog=BACKLOG,
        )
    )


def open_socket(host: str, port: int) -> socket.socket:
    """A socket that listens there.

    Raises:
        StorageError: it cannot.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        why = error.strerror or str(error)
        raise StorageError(
            f"nothing can listen at {host}:{port} ({why})", cure="name another --port"
        ) from None
