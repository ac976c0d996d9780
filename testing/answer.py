"""Sending one answer as scripted: at its pace, and with what goes wrong."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from dataclasses import replace

from aiohttp import web

from .faults import Fault
from .log import Entry, Log
from .script import Script
from .wire import Turn, Wire

JSON = "application/json"
HTML = b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>nginx</body>\r\n</html>\r\n"
GARBAGE = bytes(range(128, 256)) * 2
_MESSAGES = {
    400: "Invalid request.",
    401: "Incorrect API key provided.",
    402: "Insufficient balance.",
    404: "Not found.",
    429: "Rate limit reached.",
    503: "The server is overloaded.",
}


class Answer:
    """The answer to one request. Its clock starts when it is made."""

    def __init__(self, request: web.BaseRequest, wire: Wire, log: Log, entry: Entry) -> None:
        self.request, self.wire, self.log, self.entry = request, wire, log, entry
        self.came = time.monotonic()

    async def go_wrong(self, fault: Fault) -> web.StreamResponse:
        """The faults that show before any of the answer does."""
        if fault.kind == "hang":
            await _for_ever()
        await asyncio.sleep(fault.delay)
        if fault.kind == "reset":
            await self._reset()
        if fault.kind == "bad_gateway":
            return self._fault(502, HTML, "text/html")
        if fault.kind == "garbage":
            return self._fault(200, GARBAGE)
        message = fault.message or _MESSAGES.get(fault.code, "Internal server error.")
        body = fault.body.encode() or self.wire.error(fault.code, message, fault.error)
        response = self._fault(fault.code, body)
        if fault.retry_after is not None:
            response.headers["Retry-After"] = f"{fault.retry_after:g}"
        return response

    async def speak(self, turn: Turn, script: Script, fault: Fault | None) -> web.StreamResponse:
        """The answer itself, whole or in chunks, up to where a mid-stream fault cuts it."""
        if turn.reply.status == 200 and self.wire.streams(turn.path, turn.body):
            return await self._stream(turn, script, fault)
        lasts = script.pace(len(turn.reply.pieces(turn.by_token)) or 1)[-1]
        await self._until(lasts)
        if turn.reply.status != 200:
            body = self.wire.error(turn.reply.status, turn.reply.text or "", "")
        else:
            body = self.wire.whole(replace(turn, speaking=lasts))
        if fault and fault.mid_stream:
            return await self._half(body, fault)
        self.entry.chunks_sent = 1
        self._end(fault, turn.reply.status)
        return web.Response(
            body=body, status=turn.reply.status, headers=turn.reply.headers, content_type=JSON
        )

    async def _stream(self, turn: Turn, script: Script, fault: Fault | None) -> web.StreamResponse:
        chunks = self.wire.chunks(turn)
        paced = script.pace(len(chunks))
        closing = self.wire.closing(replace(turn, speaking=max(paced, default=0.0)))
        cut = min(fault.after, len(chunks)) if fault and fault.mid_stream else None
        headers = {"Content-Type": self.wire.STREAM_TYPE, **turn.reply.headers}
        response = web.StreamResponse(headers=headers)
        response.enable_chunked_encoding()
        await response.prepare(self.request)
        ready = b""
        for chunk, due in zip(chunks[:cut], paced, strict=False):
            # What is due already goes out in one write.
            if ready and self.came + due > time.monotonic():
                await response.write(ready)
                ready = b""
            await self._until(due)
            self.entry.first_byte = self.entry.first_byte or time.monotonic()
            self.entry.chunks_sent += 1
            ready += chunk
        if fault and cut is not None:
            return await self._break_off(response, ready, (*chunks, closing)[cut], fault)
        self._end(fault)
        await response.write_eof(ready + closing)
        return response

    async def _break_off(
        self, response: web.StreamResponse, ready: bytes, rest: bytes, fault: Fault
    ) -> web.StreamResponse:
        """What a stream gives in place of its rest."""
        if fault.kind == "error_in_stream":
            ready += self.wire.error_frame(fault.message or "The model crashed.")
        elif fault.kind == "malformed":
            ready += rest[: len(rest) // 2].rstrip() + b"\n\n"
        if fault.kind in ("stall", "reset"):
            await response.write(ready)
            await self._cut(fault)
        self._end(fault)
        await response.write_eof(ready)
        return response

    async def _half(self, body: bytes, fault: Fault) -> web.StreamResponse:
        """An unstreamed answer under a fault that a stream would meet midway."""
        if fault.kind == "error_in_stream":
            return await self.go_wrong(replace(fault, kind="status", code=500))
        if fault.kind == "malformed":
            return self._fault(200, body[: len(body) // 2])
        response = web.StreamResponse(headers={"Content-Type": JSON})
        response.content_length = len(body)
        await response.prepare(self.request)
        await response.write(body[: len(body) // 2])
        self.entry.first_byte = time.monotonic()
        await self._cut(fault)
        return response

    async def _cut(self, fault: Fault) -> None:
        """Leave an answer unfinished: waiting for ever, by a reset, or by a plain closing."""
        if fault.kind == "stall":
            await _for_ever()
        if fault.kind == "reset":
            # A reset discards what the client has not read yet, so let it read.
            await asyncio.sleep(0.02)
            await self._reset()
        self._end(fault)
        if self.request.transport:
            self.request.transport.close()
        await _for_ever()

    async def _reset(self) -> None:
        self.log.end(self.entry, "fault")
        if transport := self.request.transport:
            # A linger of no seconds makes the closing a reset, not a farewell.
            linger = struct.pack("ii", 1, 0)
            transport.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, linger
            )
            transport.abort()
        await _for_ever()

    async def _until(self, due: float) -> None:
        left = self.came + due - time.monotonic()
        if left > 0:
            await asyncio.sleep(left)

    def _fault(self, status: int, body: bytes, content_type: str = JSON) -> web.Response:
        self.log.end(self.entry, "fault", status)
        return web.Response(status=status, body=body, content_type=content_type)

    def _end(self, fault: Fault | None, status: int = 200) -> None:
        # Said before the last byte goes, so that whoever has the answer finds the log complete.
        self.log.end(self.entry, "fault" if fault else "done", status)


async def _for_ever() -> None:
    """Until the connection is gone, which cancels the request."""
    await asyncio.get_running_loop().create_future()
