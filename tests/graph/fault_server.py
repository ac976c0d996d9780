"""Faults that a scripted model cannot have: a server that breaks the bytes of right answers.

It stands before a `Stage`, which writes the right answer to each request in its model's protocol.
A `Break` then says what goes over the wire in its place.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import re
import socket
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Self

import aiohttp

from mom_council.tests.stage import Stage

KEY = "sk-fault-0123456789abcdefghijklmnop"
"""The key that each request carries; no fault may bring it into sight."""
SSE = "text/event-stream"


@dataclass
class Exchange:
    """One request, and the right answer to it."""

    path: str
    body: dict[str, Any]
    kind: str
    """The answer's content type."""
    answer: bytes
    writer: asyncio.StreamWriter

    @property
    def pieces(self) -> list[bytes]:
        """The answer in the pieces of its protocol; one that is not streamed in two halves."""
        if SSE in self.kind:
            return [f"{one}\n\n".encode() for one in self.answer.decode().split("\n\n") if one]
        if "ndjson" in self.kind:
            return self.answer.splitlines(keepends=True)
        half = len(self.answer) // 2
        return [self.answer[:half], self.answer[half:]]

    @property
    def beginning(self) -> bytes:
        """Some of the answer."""
        return b"".join(self.pieces[: 2 if self.is_streamed else 1])

    @property
    def is_streamed(self) -> bool:
        """Whether the answer comes in pieces that are whole in themselves."""
        return SSE in self.kind or "ndjson" in self.kind

    def head(self, status: int = 200, kind: str = "", **headers: str) -> None:
        """Write a status line and headers; the body ends with the connection."""
        lines = [f"HTTP/1.1 {status} So", f"Content-Type: {kind or self.kind}", "Connection: close"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())

    async def send(self, body: bytes, status: int = 200, kind: str = "", **headers: str) -> None:
        """A whole answer."""
        self.head(status, kind, **headers)
        self.writer.write(body)
        await self.writer.drain()

    async def reset(self) -> None:
        """Break the connection so that the client hears of it."""
        await self.writer.drain()
        await asyncio.sleep(0.02)  # a reset discards what was not read yet
        connection = self.writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    def rewritten(self, change: Callable[[dict[str, Any]], None]) -> bytes:
        """The answer after a change to each of its JSON objects."""
        made = []
        for piece in self.pieces if self.is_streamed else [self.answer]:
            text = piece.decode()
            start = text.find("{")
            if start < 0:
                made.append(text)
                continue
            value = json.loads(text[start:])
            change(value)
            made.append(f"{text[:start]}{json.dumps(value)}{_end_of(text)}")
        return "".join(made).encode()


def _end_of(text: str) -> str:
    return text[len(text.rstrip()) :]


Break = Callable[[Exchange], Awaitable[None]]


@dataclass
class FaultServer:
    """A server whose answers break, open between `async with` and its end.

    Attributes:
        breaks: what each call gets, by its number; after the last the same again. None is the
            right answer.
    """

    stage: Stage
    breaks: list[Break | None]
    calls: list[dict[str, Any]] = field(default_factory=list)
    port: int = 0
    _server: asyncio.Server | None = None
    _open: set[asyncio.Task[Any]] = field(default_factory=set)

    @property
    def url(self) -> str:
        """The server itself."""
        return f"http://127.0.0.1:{self.port}"

    def address(self, provider: str) -> str:
        """What a provider's client takes as its base URL."""
        return self.stage.address(provider).replace(self.stage.url, self.url)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.close()
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._open.add(task)
            task.add_done_callback(self._open.discard)
        try:
            await self._answer(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client has left, or the cell is over
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        length = re.search(r"content-length: (\d+)", head, re.IGNORECASE)
        raw = await reader.readexactly(int(length[1])) if length else b""
        path = head.split()[1]
        body = json.loads(raw) if raw else {}
        broken: Break | None = None
        if raw:  # lists of models are no calls
            broken = self.breaks[min(len(self.calls), len(self.breaks) - 1)]
            self.calls.append(body)
        async with (
            aiohttp.ClientSession() as session,
            session.request(head.split()[0], self.stage.url + path, data=raw or None) as right,
        ):
            kind, answer = right.headers["Content-Type"], await right.read()
            status = right.status
        exchange = Exchange(path, body, kind, answer, writer)
        if broken is None:
            await exchange.send(answer, status)
        else:
            await broken(exchange)
        await writer.drain()


# What goes wrong. Each is a `Break`, or makes one.


def status(
    code: int, body: bytes | str = "", kind: str = "application/json", **headers: str
) -> Break:
    """An HTTP status with this body."""

    async def breaks(exchange: Exchange) -> None:
        await exchange.send(body.encode() if isinstance(body, str) else body, code, kind, **headers)

    return breaks


def said(message: str, **more: Any) -> str:
    """An error's body as most vendors write it."""
    return json.dumps({"error": {"message": message, "type": "error", **more}})


def body_of(content: bytes, kind: str = "", **headers: str) -> Break:
    """A success with another body."""

    async def breaks(exchange: Exchange) -> None:
        await exchange.send(content, 200, kind, **headers)

    return breaks


async def closes(exchange: Exchange) -> None:
    """The connection ends before any answer."""
    exchange.writer.close()


async def resets(exchange: Exchange) -> None:
    """The connection is reset before any answer."""
    await exchange.reset()


async def resets_after_headers(exchange: Exchange) -> None:
    exchange.head()
    await exchange.reset()


async def resets_midway(exchange: Exchange) -> None:
    exchange.head()
    exchange.writer.write(
        b"".join(exchange.pieces[:2]) if exchange.is_streamed else exchange.pieces[0]
    )
    await exchange.reset()


async def closes_midway(exchange: Exchange) -> None:
    """A length is promised, and half of it comes."""
    exchange.head(Content_Length=str(len(exchange.answer)))
    exchange.writer.write(exchange.pieces[0])


async def hangs(exchange: Exchange) -> None:
    await asyncio.sleep(3600)


async def hangs_after_headers(exchange: Exchange) -> None:
    exchange.head()
    await exchange.writer.drain()
    await asyncio.sleep(3600)


async def hangs_midway(exchange: Exchange) -> None:
    exchange.head()
    exchange.writer.write(
        b"".join(exchange.pieces[:2]) if exchange.is_streamed else exchange.pieces[0]
    )
    await exchange.writer.drain()
    await asyncio.sleep(3600)


def drips(seconds: float, size: int) -> Break:
    """So many bytes at a time, with a pause after each."""

    async def breaks(exchange: Exchange) -> None:
        exchange.head()
        for at in range(0, len(exchange.answer), size):
            exchange.writer.write(exchange.answer[at : at + size])
            await exchange.writer.drain()
            await asyncio.sleep(seconds)

    return breaks


async def packs(exchange: Exchange) -> None:
    """The right answer, packed although nobody asked for it."""
    await exchange.send(gzip.compress(exchange.answer), Content_Encoding="gzip")


async def packs_a_bomb(exchange: Exchange) -> None:
    await exchange.send(BOMB, Content_Encoding="gzip")


BOMB = gzip.compress(b" " * 70_000_000)


async def floods(exchange: Exchange) -> None:
    """Text without end."""
    exchange.head()
    text = "word " * 20_000

    def longer(value: dict[str, Any]) -> None:
        for choice in value.get("choices", ()):
            if choice.get("delta", {}).get("content"):
                choice["delta"]["content"] = text
        if (value.get("message") or {}).get("content"):
            value["message"]["content"] = text
        if (value.get("delta") or {}).get("text"):
            value["delta"]["text"] = text

    flood = Exchange(
        exchange.path, {}, exchange.kind, b"".join(exchange.pieces[:-2]), exchange.writer
    )
    piece = flood.rewritten(longer) or exchange.answer
    for _ in range(2_000):
        exchange.writer.write(piece)
        await exchange.writer.drain()


async def breaks_a_line(exchange: Exchange) -> None:
    """One piece in the middle is cut, and the rest comes as if nothing were."""
    pieces = exchange.pieces
    if exchange.is_streamed:
        spoken = [number for number, one in enumerate(pieces) if b"content_block_delta" in one]
        at = spoken[1] if spoken else 1  # a mark that keeps the connection open is no loss
        pieces[at] = pieces[at][: len(pieces[at]) // 2]
        pieces[at] += b"\n\n" if SSE in exchange.kind else b"\n"
    else:
        pieces = pieces[:1]
    await exchange.send(b"".join(pieces))


async def ends_twice(exchange: Exchange) -> None:
    await exchange.send(exchange.answer + exchange.pieces[-1] * 2)


async def is_called_text(exchange: Exchange) -> None:
    await exchange.send(exchange.answer, kind="text/plain")


async def is_called_binary(exchange: Exchange) -> None:
    await exchange.send(exchange.answer, kind="application/octet-stream")


async def writes_carriage_returns(exchange: Exchange) -> None:
    await exchange.send(exchange.answer.replace(b"\n", b"\r\n"))


async def writes_comments(exchange: Exchange) -> None:
    """Marks that keep a connection open between the pieces."""
    mark = b": still here\n\n" if SSE in exchange.kind else b"\n"
    pieces = exchange.pieces if exchange.is_streamed else [exchange.answer]
    await exchange.send(b"".join(mark + piece for piece in pieces))


async def writes_a_byte_order_mark(exchange: Exchange) -> None:
    await exchange.send(b"\xef\xbb\xbf" + exchange.answer)


def charset(name: str) -> Break:
    """The answer, with a letter that is not ASCII, in another charset."""

    async def breaks(exchange: Exchange) -> None:
        text = re.sub('"(content|text)": "', "\\g<0>\u00e9", exchange.answer.decode())
        await exchange.send(
            text.encode(name), kind=f"{exchange.kind.split(';')[0]}; charset={name}"
        )

    return breaks


def usage(value: Any) -> Break:
    """Token counts that are missing (None) or wrong."""

    async def breaks(exchange: Exchange) -> None:
        def change(one: dict[str, Any]) -> None:
            if "usage" in one and value is None:
                del one["usage"]
            elif "usage" in one:
                one["usage"] = value
            for name in ("prompt_eval_count", "eval_count"):
                if name in one and value is None:
                    del one[name]
                elif name in one:
                    one[name] = value.get("prompt_tokens") if isinstance(value, dict) else value

        await exchange.send(exchange.rewritten(change))

    return breaks


def strange_fields(**fields: Any) -> Break:
    """Fields that nobody knows, and others of another type than the vendor says."""

    async def breaks(exchange: Exchange) -> None:
        await exchange.send(exchange.rewritten(lambda one: one.update(fields)))

    return breaks


def redirects(to: str) -> Break:
    """The client is sent to another host."""

    async def breaks(exchange: Exchange) -> None:
        await exchange.send(b"", 307, Location=f"{to}{exchange.path}")

    return breaks
