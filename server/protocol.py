"""HTTP for strangers: headers that come slowly, or never end, end the connection."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEADER_SECONDS = 10.0
"""From a request's first byte, or the connection's opening, to the end of its headers."""
HEADER_BYTES = 64 * 1024


class PatientToAPoint(HttpToolsProtocol):
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
