"""Servers that send without end, packed bombs, other addresses: bounded where they are heard."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import itertools
import json
import os
import resource
import ssl
import subprocess
import threading
import time
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from mom_council.councils.loader import load_model
from mom_council.errors import ModelUnavailableError
from mom_council.models.providers.ollama_server import ask_ollama
from mom_council.models.resolved import resolve_alone
from mom_council.models.speaking import Reply, speak
from mom_council.models.stream_parser import LONGEST_ANSWER
from mom_council.models.transport import unpacked
from mom_council.models.wire import LONGEST_REPLY, OversizedReplyError, Unpacker
from mom_council.tests.graph.desk import ask as ask_council
from mom_council.tests.graph.desk import desk, seat
from mom_council.tests.stage import Stage

Handle = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
PROVIDERS = ["openai", "ollama", "anthropic", "mistralai"]
MILLION = 1_000_000


@contextlib.asynccontextmanager
async def server(handle: Handle, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A server of bytes; the port that it listens on."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await handle(reader, writer)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls) as opened:
        yield opened.sockets[0].getsockname()[1]


async def head_of(reader: asyncio.StreamReader) -> str:
    return (await reader.readuntil(b"\r\n\r\n")).decode()


def chunk(provider: str, text: str) -> bytes:
    """A piece of a streamed reply."""
    if provider == "ollama":
        said = {"model": "m", "message": {"role": "assistant", "content": text}, "done": False}
        return json.dumps(said).encode() + b"\n"
    if provider == "anthropic":
        delta = {"type": "content_block_delta", "index": 0}
        delta |= {"delta": {"type": "text_delta", "text": text}}  # type: ignore[dict-item]
        return f"event: content_block_delta\ndata: {json.dumps(delta)}\n\n".encode()
    said = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    said["choices"] = [{"index": 0, "delta": {"role": "assistant", "content": text}}]
    return f"data: {json.dumps(said)}\n\n".encode()


def opening(provider: str) -> bytes:
    if provider != "anthropic":
        return b""
    usage = {"input_tokens": 1, "output_tokens": 1}
    message = {"id": "1", "type": "message", "role": "assistant", "content": [], "model": "m"}
    start = {"type": "message_start", "message": {**message, "usage": usage}}
    block = {"type": "content_block_start", "index": 0}
    block |= {"content_block": {"type": "text", "text": ""}}  # type: ignore[dict-item]
    return b"".join(
        f"event: {one['type']}\ndata: {json.dumps(one)}\n\n".encode() for one in (start, block)
    )


async def ask(provider: str, address: str, **more: Any) -> Reply:
    values = {"provider": provider, "model": "m", "base_url": address, "retries": 0, **more}
    return await speak(resolve_alone(load_model(values)), [HumanMessage("Why?")])


def address(provider: str, port: int, scheme: str = "http") -> str:
    return f"{scheme}://127.0.0.1:{port}" + ("/v1" if provider in ("openai", "mistralai") else "")


@contextlib.contextmanager
def counting_turns() -> Iterator[list[int]]:
    """How often another task of the loop had its turn."""
    turns = [0]

    async def tick() -> None:
        while True:
            turns[0] += 1
            await asyncio.sleep(0)

    task = asyncio.get_running_loop().create_task(tick())
    yield turns
    task.cancel()


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_reply_without_end_is_cut_and_others_have_their_turns(
    provider: str, packed: bool
) -> None:
    piece = chunk(provider, "word " * 2000)
    sent = [0]

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head_of(reader)
        kind = "application/x-ndjson" if provider == "ollama" else "text/event-stream"
        encoding = "Content-Encoding: gzip\r\n" if packed else ""
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n{encoding}\r\n".encode())
        pack = zlib.compressobj(9, wbits=31)
        for data in (opening(provider), *[piece] * 5000):
            writer.write(pack.compress(data) if packed else data)
            sent[0] += len(data)
            if sent[0] % 50 == 0 or not packed:
                await writer.drain()
        writer.write(pack.flush() if packed else b"")
        await writer.drain()

    async with server(flood) as port:
        with counting_turns() as turns:
            reply = await ask(provider, address(provider, port), api_key_env="FLOOD_KEY")
    assert reply.finish == "length"
    assert len(reply.text) <= LONGEST_ANSWER
    assert turns[0] > 10, "a megabyte comes in many handfuls"


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOOD_KEY", "k-0123456789abcdef")


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_packed_bomb_is_not_unpacked_whole(provider: str) -> None:
    pack = zlib.compressobj(9, wbits=31)
    bomb = b"".join(pack.compress(b" " * MILLION) for _ in range(100)) + pack.flush()
    assert len(bomb) < MILLION

    async def explode(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head_of(reader)
        kind = "application/x-ndjson" if provider == "ollama" else "text/event-stream"
        length = f"Content-Length: {len(bomb)}\r\nContent-Encoding: gzip\r\n"
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n{length}\r\n".encode() + bomb)
        await writer.drain()

    async with server(explode) as port:
        with counting_turns() as turns, pytest.raises(ModelUnavailableError) as refused:
            await ask(provider, address(provider, port), api_key_env="FLOOD_KEY")
    assert "memory" not in str(refused.value).lower()
    assert turns[0] > 50, "others have their turn after each handful"


async def test_unpacking_is_bounded_in_steps_and_in_all() -> None:
    async def packed() -> AsyncIterator[bytes]:
        yield gzip.compress(b"a" * MILLION)

    parts = [part async for part in unpacked(packed(), "gzip")]
    assert max(map(len, parts)) <= 64 * 1024
    assert sum(map(len, parts)) == MILLION
    with pytest.raises(ValueError, match="not asked for"):
        [part async for part in unpacked(packed(), "br")]


def sender(provider: str, encoding: str, pieces: Iterable[bytes]) -> Handle:
    """Answers with these bytes."""
    kind = "application/x-ndjson" if provider == "ollama" else "text/event-stream"
    packed = f"Content-Encoding: {encoding}\r\n" if encoding else ""

    async def send(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head_of(reader)
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n{packed}\r\n".encode())
        for piece in pieces:
            writer.write(piece)
            await writer.drain()

    return send


async def hear(provider: str, encoding: str, pieces: Iterable[bytes]) -> Reply:
    async with server(sender(provider, encoding, pieces)) as port:
        return await ask(provider, address(provider, port), api_key_env="FLOOD_KEY")


def raw(data: bytes) -> bytes:
    pack = zlib.compressobj(9, wbits=-15)
    return pack.compress(data) + pack.flush()


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_reply_is_unpacked_however_it_is_packed(provider: str) -> None:
    parts = opening(provider) + chunk(provider, "so "), chunk(provider, "it is")
    for encoding, written in (
        ("gzip", [gzip.compress(parts[0]), gzip.compress(parts[1])]),
        ("gzip", [gzip.compress(b"".join(parts)), *[bytes(65536)] * 20]),
        ("deflate", [raw(b"".join(parts))]),
        ("deflate", [zlib.compress(b"".join(parts))]),
        ("x-gzip", [gzip.compress(b"".join(parts))]),
    ):
        assert (await hear(provider, encoding, written)).text == "so it is", encoding
    for encoding in ("br", "zstd", "gzip, gzip"):
        with pytest.raises(ModelUnavailableError, match="was not asked for"):
            await hear(provider, encoding, [gzip.compress(parts[0])])
    with pytest.raises(ModelUnavailableError, match="not packed as its server says"):
        await hear(provider, "gzip", [b"no gzip at all"])


@pytest.mark.parametrize("rest", [b"\0\0\0\xff\xff" * 20_000, gzip.compress(b"") * 5_000])
def test_what_unpacks_to_nothing_has_an_end(rest: bytes) -> None:
    pack = zlib.compressobj(9, wbits=31)
    unpacker = Unpacker("gzip", 65536)
    is_stored = rest.startswith(b"\0")
    start = pack.compress(b"so") + pack.flush(zlib.Z_SYNC_FLUSH if is_stored else zlib.Z_FINISH)
    assert unpacker.add(start) == b"so"
    for _ in range((LONGEST_REPLY - len(start)) // len(rest)):
        assert unpacker.add(rest) == b""
    with pytest.raises(OversizedReplyError):
        unpacker.add(rest)


def call_piece(provider: str, number: int, written: str) -> bytes:
    """A piece of a tool's call."""
    if provider == "ollama":
        function = {"name": "f", "arguments": {"a": written}}
        said: dict[str, Any] = {"role": "assistant", "content": ""}
        said["tool_calls"] = [{"function": function}]
        return json.dumps({"model": "m", "message": said, "done": False}).encode() + b"\n"
    if provider == "anthropic":
        block = {"type": "tool_use", "id": f"t{number}", "name": "f", "input": {}}
        events = [
            {"type": "content_block_start", "index": number, "content_block": block},
            {
                "type": "content_block_delta",
                "index": number,
                "delta": {"type": "input_json_delta", "partial_json": written},
            },
        ]
        return b"".join(
            f"event: {one['type']}\ndata: {json.dumps(one)}\n\n".encode() for one in events
        )
    call = {"index": number, "id": f"t{number}", "type": "function"}
    call["function"] = {"name": "f", "arguments": written}
    said = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    said["choices"] = [{"index": 0, "delta": {"tool_calls": [call]}}]
    return f"data: {json.dumps(said)}\n\n".encode()


FLOODS: dict[str, Callable[[str], Iterable[bytes]]] = {
    "arguments that are no JSON": lambda p: itertools.repeat(call_piece(p, 1, "x" * 60_000), 2000),
    "calls": lambda p: (call_piece(p, number, "{}") for number in range(1, 40_000)),
    "lines of one event": lambda p: itertools.repeat(
        b"{}\n" * 9000 if p == "ollama" else b"data: a\n" * 9000, 60
    ),
    "tiny values": lambda p: [
        (b"" if p == "ollama" else b"data: ")
        + b'{"type":"ping","choices":['
        + b"{}," * MILLION
        + b"{}]}\n\n"
    ],
}


@pytest.mark.parametrize("flood", FLOODS.values(), ids=FLOODS)
@pytest.mark.parametrize("provider", PROVIDERS)
async def test_what_nobody_hears_is_bounded_too(
    provider: str, flood: Callable[[str], Iterable[bytes]]
) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    pieces = itertools.chain([opening(provider)], flood(provider))
    began = time.thread_time()
    with contextlib.suppress(ModelUnavailableError):
        assert (await hear(provider, "", pieces)).finish == "length"
    assert time.thread_time() - began < 20, "the event loop is held"
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 200_000, "kilobytes"


async def test_a_refusal_without_end_is_cut() -> None:
    said = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    said["choices"] = [{"index": 0, "delta": {"refusal": "no " * 2000}}]  # type: ignore[assignment]
    piece = f"data: {json.dumps(said)}\n\n".encode()
    sent = [0]

    def pieces() -> Iterator[bytes]:
        for sent[0] in range(5000):
            yield piece

    reply = await hear("openai", "", pieces())
    assert (reply.finish, reply.text) == ("refused", "")
    assert sent[0] < 2500, "it is not read to its end"


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_nobody_is_followed_to_another_host(stage: Stage, provider: str) -> None:
    async def redirect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        path = (await head_of(reader)).split()[1]
        to = f"http://localhost:{stage.port}{path}"
        writer.write(f"HTTP/1.1 307 Go\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n".encode())
        await writer.drain()

    stage.model("m", reply="I took it.")
    async with server(redirect) as port:
        with pytest.raises(ModelUnavailableError):
            await ask(provider, address(provider, port), api_key_env="FLOOD_KEY")
    assert not stage.calls
    assert not stage.lookups


@pytest.mark.parametrize("state", ["dead", "listening"])
@pytest.mark.parametrize("provider", PROVIDERS)
async def test_what_is_near_is_asked_without_a_proxy(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, provider: str, state: str
) -> None:
    heard: list[str] = []

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await head_of(reader))

    stage.model("m", reply="So.")
    async with server(proxy) as port:
        there = f"http://127.0.0.1:{port if state == 'listening' else 9}"
        monkeypatch.delenv("NO_PROXY", raising=False)
        for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, there)
        reply = await ask(provider, stage.address(provider), api_key_env="FLOOD_KEY")
    assert reply.text == "So."
    assert heard == []


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_wrong_certificate_is_named_as_such(tmp_path: Path, provider: str) -> None:
    made = "openssl req -x509 -newkey rsa:2048 -nodes -keyout key -out cert -days 1 -subj /CN=other"
    subprocess.run(made.split(), cwd=tmp_path, check=True, capture_output=True)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(tmp_path / "cert", tmp_path / "key")

    async def never(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head_of(reader)

    async with server(never, tls) as port:
        with pytest.raises(ModelUnavailableError, match="certificate") as refused:
            await ask(provider, address(provider, port, "https"), api_key_env="FLOOD_KEY")
    assert "self-signed" in str(refused.value) or "self signed" in str(refused.value)


@pytest.mark.slow
def test_the_offline_demo_tells_a_proxy_nothing(tmp_path: Path) -> None:
    import socket
    import sys

    heard: list[bytes] = []
    python = [sys.executable, "-c", "from mom_council.cli import main; main()"]
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def listen() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listening.accept()
                    heard.append(connection.recv(65536))
                    connection.close()

        threading.Thread(target=listen, daemon=True).start()
        there = f"http://127.0.0.1:{listening.getsockname()[1]}"
        kept = {k: v for k, v in os.environ.items() if "proxy" not in k.lower()}
        done = subprocess.run(
            [*python, "ask", "-c", "demo", "What is 17 + 25?"],
            env={**kept, "HTTP_PROXY": there, "http_proxy": there, "HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert "42" in done.stdout, done.stderr
    assert heard == []


async def test_a_very_long_proposal_does_not_go_whole_to_every_voter(stage: Stage) -> None:
    seat(stage)
    stage.model("clara", reply="word " * (2 * MILLION) + "Answer: 42")
    result = await ask_council(desk(stage, deliberation={"method": "plurality"}), "Why?")
    others = [call for call in stage.calls if call.model != "clara"]
    assert max(len(json.dumps(call.body)) for call in others) < MILLION
    notes = "\n".join(result["status"].notes)
    assert "too long to be quoted whole" in notes


async def test_a_list_of_models_without_end_is_not_kept_in_memory() -> None:
    sent = 0

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await head_of(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n")
        while not writer.is_closing():
            writer.write(b" " * 1_000_000)
            sent += 1_000_000
            await writer.drain()

    async with server(handle) as port:
        assert await ask_ollama("GET", f"http://127.0.0.1:{port}/api/tags", seconds=60) is None
    assert 16_000_000 <= sent < 100_000_000
