"""Serve: the councils of the catalogue, and uvicorn around the application.

A connection ends when its headers come too slowly or never end.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import logging
import math
import os
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import uvicorn
from prometheus_client import multiprocess
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from mom_council.councils.trust import load_trusted_council
from mom_council.errors import MixtureError, StorageError
from mom_council.redaction import logger
from mom_council.runs.discovery import choose_council, cost_notice
from mom_council.server.app import make_app, warm_up
from mom_council.server.catalogue import Catalogue
from mom_council.server.metrics import SHARED_FOLDER
from mom_council.server.state import VARIABLE, Keys, ServerSettings, ServerState

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
    place: WorkerPlace | None = None,
) -> None:
    """Serve on an open socket until a signal comes.

    Args:
        sock: listens.
        catalogue: what is offered.
        keys: who may come.
        settings: how the server behaves.
        ready: is called when the first request may come.
        reopen: reads the councils and the keys anew; called when SIGHUP comes.
        place: where this process is one of several workers.

    Raises:
        MixtureError: the server cannot be opened.
    """
    if place is not None:
        place.follow_parent()
    server = ServerState(catalogue, keys, settings)
    # Opened here and not in the application's lifespan, whose errors uvicorn only logs.
    await server.open()
    uvicorn_server = server_of(make_app(server), settings.drain)
    with _closing_first(uvicorn_server):
        try:
            await warm_up(server)
            # What has been imported stays: no collection needs to walk through it again.
            gc.collect()
            gc.freeze()
            ready()
            with reloading(server, reopen, place):
                await uvicorn_server.serve([sock])
        finally:
            await server.close()


@contextmanager
def _closing_first(server: uvicorn.Server) -> Iterator[None]:
    """Have a SIGTERM end the process only behind this, when everything is written and sent.

    Uvicorn raises it again as soon as its answers are done, which would be the end at once.
    """
    caught: list[int] = []

    def stop(number: int, frame: Any) -> None:
        caught.append(number)
        server.should_exit = True

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
        for number in caught:
            signal.raise_signal(number)


@contextmanager
def reloading(
    server: ServerState,
    reopen: Callable[[], Awaitable[tuple[Catalogue, Keys]]] | None,
    place: WorkerPlace | None = None,
) -> Iterator[None]:
    """Within it SIGHUP, and `/admin/reload`, replace the councils and the keys.

    Answers under way go on as they began. What cannot be read leaves everything as it is. A server
    in a terminal still ends with it.
    """
    if reopen is None:
        yield
        return

    async def reload_everywhere() -> None:
        await _reload(server, reopen)
        if place is not None:
            place.reload_others()

    server.reload = reload_everywhere
    if not hasattr(signal, "SIGHUP") or _is_at_terminal():
        yield
        return
    loop = asyncio.get_running_loop()
    reloads: set[asyncio.Task[None]] = set()

    async def reload_or_log() -> None:
        with contextlib.suppress(MixtureError):
            await _reload(server, reopen)

    def begin() -> None:
        task = asyncio.ensure_future(reload_or_log())
        reloads.add(task)
        task.add_done_callback(reloads.discard)

    loop.add_signal_handler(signal.SIGHUP, begin)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGHUP)
        for task in reloads:
            task.cancel()


async def _reload(
    server: ServerState, reopen: Callable[[], Awaitable[tuple[Catalogue, Keys]]]
) -> None:
    """Read the councils and the keys anew.

    Raises:
        MixtureError: they cannot be read, or there are no keys any more; nothing has changed.
    """
    try:
        catalogue, keys = await reopen()
        if server.keys and not keys:
            raise MixtureError("there are no keys any more", cure=f"set {VARIABLE}")
    except MixtureError as error:
        _log.warning("nothing was reloaded: %s", error)
        raise
    server.catalogue, server.keys = catalogue, keys
    await warm_up(server)
    _log.warning("councils and keys were reloaded")


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
    from mom_council.server.mcp_client import serve_stdio
    from mom_council.server.mcp_guard import GuardedApp
    from mom_council.server.mcp_tools import make_mcp
    from mom_council.server.request_log import RequestLog

    server = ServerState(catalogue, keys, settings)
    await server.open()
    try:
        tools = make_mcp(server)
        ready()
        if sock is None:
            await serve_stdio(tools)
        else:
            if keys:
                # The key says who may come; the address is whatever the owner gave the machine.
                tools.settings.transport_security = None
            app = RequestLog(GuardedApp(tools.streamable_http_app(), server))
            await server_of(app).serve([sock])
    finally:
        await server.close()


def server_of(app: Any, drain: float = 10.0) -> uvicorn.Server:
    """Uvicorn, set up for strangers; `drain`: seconds for answers under way when it stops."""
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
            timeout_graceful_shutdown=math.ceil(drain),
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
        if error.errno == errno.EADDRINUSE:
            cure = "name another with --port; --port 0 takes any that is free"
            raise StorageError(f"port {port} is taken", cure=cure) from None
        why = error.strerror or str(error)
        raise StorageError(
            f"nothing can listen at {host}:{port} ({why})", cure="name another --port"
        ) from None


WORKER = "MOM_WORKER"
"""Tells a process that it is a worker: its socket, where it says that it is ready, its parent."""
_QUICK = 10.0
"""Seconds; a worker that ended sooner is started again only after a while."""
_LONGEST_PAUSE = 30.0


class WorkerPlace(NamedTuple):
    """What a worker has from the process that started it."""

    listener: int
    """The file descriptor of the socket that all of them share."""
    lifeline: int
    """A pipe that ends with the parent, and takes one byte when the worker is ready."""
    parent: int
    """The parent's process."""

    @classmethod
    def from_environment(cls) -> WorkerPlace | None:
        """The place that this process was started in; None: it is no worker."""
        written = os.environ.pop(WORKER, "")
        return cls(*map(int, written.split())) if written else None

    def open_socket(self) -> socket.socket:
        """The socket that all of them share."""
        return socket.socket(fileno=self.listener)

    def say_ready(self) -> None:
        """Tell the parent that the first request may come."""
        os.write(self.lifeline, b"!")

    def reload_others(self) -> None:
        """Have the parent tell every worker to read councils and keys anew."""
        if os.getppid() == self.parent:
            os.kill(self.parent, signal.SIGHUP)

    def follow_parent(self) -> None:
        """Stop as soon as the parent is gone, however it went."""
        asyncio.get_running_loop().add_reader(self.lifeline, self._parent_gone)

    def _parent_gone(self) -> None:
        asyncio.get_running_loop().remove_reader(self.lifeline)
        os.kill(os.getpid(), signal.SIGTERM)


class WorkerGroup:
    """Several processes that serve on one socket.

    A worker that ends is started again. SIGHUP goes to all of them; SIGTERM and SIGINT too, and
    then their answers under way are waited for.

    Args:
        command: starts one.
        count: how many.
        sock: where they listen.
        folder: where they count together for `/metrics`.
    """

    def __init__(
        self, command: Sequence[str], count: int, sock: socket.socket, folder: str
    ) -> None:
        self._command, self._count, self._sock, self._folder = command, count, sock, folder
        self._processes: dict[int, asyncio.subprocess.Process] = {}
        self._lifelines: dict[int, socket.socket] = {}
        self._stopping = asyncio.Event()
        self._signal = 0

    async def run(self, ready: Callable[[], None]) -> int:
        """Serve until a signal comes.

        Returns:
            The signal as a negative number, or the exit code of a first worker that did not start.

        Args:
            ready: is called when all are ready.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop, number)
        loop.add_signal_handler(signal.SIGHUP, self._send, signal.SIGHUP)
        # The first one alone: what is wrong is said once.
        if (code := await self._start(0)) is not None and not self._stopping.is_set():
            return code
        await asyncio.gather(*map(self._start, range(1, self._count)))
        if not self._stopping.is_set():
            ready()
        keeping = [asyncio.ensure_future(self._keep(number)) for number in range(self._count)]
        await self._stopping.wait()
        await asyncio.gather(*keeping)
        return -self._signal

    async def _start(self, number: int) -> int | None:
        """Start a worker and wait until it is ready; its exit code where it ended before."""
        ours, theirs = socket.socketpair()
        with ours, theirs:
            descriptors = (self._sock.fileno(), theirs.fileno())
            place = " ".join(map(str, (*descriptors, os.getpid())))
            process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=descriptors,
                env={**os.environ, WORKER: place, SHARED_FOLDER: self._folder},
                start_new_session=True,  # the terminal's Ctrl-C comes through us, and once
            )
            self._processes[number] = process
            theirs.close()
            ours.setblocking(False)
            if self._stopping.is_set():
                process.terminate()
            is_ready = await asyncio.get_running_loop().sock_recv(ours, 1)
            # It stays open for as long as we live.
            self._lifelines[number] = ours.dup()
        return None if is_ready else await process.wait()

    def _stop(self, number: signal.Signals) -> None:
        """End all of them: after their answers, or at once where it is said again."""
        self._send(signal.SIGINT if self._stopping.is_set() else signal.SIGTERM)
        self._signal = number
        self._stopping.set()

    def _send(self, number: signal.Signals) -> None:
        for process in self._processes.values():
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(number)

    async def _keep(self, number: int) -> None:
        """Wait for a worker, and start it again unless everything stops."""
        pause = 0.0
        while True:
            began = time.monotonic()
            process = self._processes[number]
            code = await process.wait()
            multiprocess.mark_process_dead(process.pid, self._folder)  # type: ignore[no-untyped-call]
            if self._stopping.is_set():
                return
            _log.error("worker %d ended with %d, and is started again", process.pid, code)
            is_quick = time.monotonic() - began < _QUICK
            pause = min(max(2 * pause, 0.5), _LONGEST_PAUSE) if is_quick else 0.0
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause or 0.01)
                return
            await self._start(number)
