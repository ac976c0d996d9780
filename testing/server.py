"""The server: which request is whose, in a thread with its own event loop."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self, Unpack, cast

from aiohttp import web

from . import (
    anthropic_wire,
    cohere_wire,
    mistral_wire,
    ollama_wire,
    openai_wire,
    responses_wire,
)
from .answer import JSON, Answer
from .log import Call, Entry, Log, Protocol, overlap
from .memory import Load, Memory
from .script import Lines, Reply, Script, ScriptFields
from .wire import Turn, Wire

ASKING: dict[str, tuple[Protocol, Wire]] = {
    openai_wire.CHAT: ("openai", openai_wire),
    openai_wire.EMBEDDINGS: ("openai", openai_wire),
    openai_wire.IMAGES: ("openai", openai_wire),
    responses_wire.RESPONSES: ("openai", cast("Wire", responses_wire)),
    ollama_wire.CHAT: ("ollama", ollama_wire),
    ollama_wire.GENERATE: ("ollama", ollama_wire),
    ollama_wire.EMBED: ("ollama", ollama_wire),
    openai_wire.DEEPSEEK: ("deepseek", openai_wire),
    anthropic_wire.CHAT: ("anthropic", anthropic_wire),
    mistral_wire.CHAT: ("mistral", cast("Wire", mistral_wire)),
    mistral_wire.EMBEDDINGS: ("mistral", cast("Wire", mistral_wire)),
    cohere_wire.CHAT: ("cohere", cohere_wire),
}


class Stage:
    """A server of scripted models, open between `with` and its end."""

    def __init__(
        self,
        *,
        default: Lines | Script | None = None,
        slots: int | None = None,
        log: str | Path | None = None,
        port: int = 0,
    ) -> None:
        """Set the stage.

        `default` answers for every model that has no script, which otherwise is a 404; `slots` is
        how many Ollama models fit into memory at once; `log` is a file that gets one JSON line
        for each request that has ended.
        """
        self.scripts: dict[str, Script] = {}
        self.default = default if isinstance(default, Script | None) else Script(default)
        self.port = port
        self._memory = Memory(slots)
        self._log = Log(log)
        self._closing = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()
        self._open = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="stage", daemon=True)

    # What a test writes down.

    def model(self, name: str, reply: Lines = "ok", **script: Unpack[ScriptFields]) -> Script:
        """Write down what a model says and how; a second time replaces the first."""
        written = self.scripts[name] = Script(reply, **script)
        return written

    # What a test reads.

    @property
    def url(self) -> str:
        """The server itself."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def openai_url(self) -> str:
        """What an OpenAI client takes as its base URL."""
        return f"{self.url}/v1"

    @property
    def ollama_url(self) -> str:
        """What an Ollama client takes as its host."""
        return self.url

    def address(self, provider: str) -> str:
        """What a provider's client takes as its base URL."""
        own = {"mistralai": "/mistral/v1", "deepseek": "/deepseek/v1"}
        if provider in ("ollama", "anthropic", "cohere"):
            return self.url
        return self.url + own.get(provider, "/v1")

    @property
    def calls(self) -> list[Call]:
        """Every call of a model so far, in the order they came in."""
        return self._log.calls()

    @property
    def lookups(self) -> list[Call]:
        """Every other request: lists of models, capabilities, versions, wrong addresses."""
        return self._log.lookups()

    @property
    def loads(self) -> list[Load]:
        """Every loading of an Ollama model so far."""
        return list(self._memory.loads)

    def calls_to(self, model: str) -> list[Call]:
        """The calls of one model."""
        return [call for call in self.calls if call.model == model]

    def overlap(self, model: str | None = None) -> int:
        """How many calls (of one model) were under way at once, at most."""
        return overlap(self.calls if model is None else self.calls_to(model))

    def wait_for(
        self,
        n_calls: int,
        timeout: float = 5.0,
        *,
        started: bool = False,
        model: str | None = None,
    ) -> list[Call]:
        """Block until so many calls have ended, or have only `started`; else TimeoutError."""
        return self._log.wait_for(n_calls, timeout, started, model)

    def clear(self) -> None:
        """Forget calls and loads; the scripts go on where they are."""
        self._log.clear()
        self._memory.loads.clear()

    # The thread.

    def open(self) -> Self:
        """Start serving; `with` does it."""
        self._thread.start()
        self._open.wait()
        if self._failure:
            raise self._failure
        return self

    def close(self) -> None:
        """Stop serving; calls under way are dropped and stay `open` in the log."""
        self._closing = True
        if self._loop and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join()
        self._log.close()
        if self._failure:
            raise self._failure

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as failure:
            self._failure = failure
        finally:
            self._open.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        # Cancelling handlers is how a client that leaves is noticed at once.
        server = web.Server(self._answer, handler_cancellation=True, access_log=None)
        runner = web.ServerRunner(server, shutdown_timeout=0.01)
        await runner.setup()
        try:
            listener = socket.create_server(("127.0.0.1", self.port), backlog=1024)
            await web.SockSite(runner, listener, backlog=1024).start()  # which closes it
            self.port = runner.addresses[0][1]
            self._open.set()
            await self._stop.wait()
            # Whoever was accepted just now is taken first: a connection that is between its
            # accept and its transport when the server closes would never be closed.
            self._loop.remove_reader(listener)
            for _ in range(4):  # turns of the loop from one to the other
                await asyncio.sleep(0)
        finally:
            await runner.cleanup()

    # One request.

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.path
        if "/deployments/" in path:
            path = request.raw_path  # Azure names its version there
        own_path = _own_path(path)
        protocol, wire = ASKING.get(own_path, _whose(own_path))
        entry = self._log.begin(protocol, path, request.headers)
        try:
            # A body may hold pictures: the stream has no size limit, `request.read` does.
            raw = await request.content.read()
            body = _read(raw)
            if own_path not in ASKING:
                return self._look_up(request.method, entry, body)
            model = str(body.get("model", "")) if body else ""
            self._log.name(entry, model, body, lookup=False)
            if request.method != "POST" or body is None:
                return self._say(entry, 400, wire.error(400, "invalid JSON in the request", ""))
            script = self._script(model, protocol) or self.default
            if script is None:
                return self._say(entry, 404, wire.unknown(model))
            return await self._ask(Answer(request, wire, self._log, entry), script)
        except (asyncio.CancelledError, ConnectionResetError):
            # A client may also leave just before it is written to.
            if not self._closing:
                self._log.end(entry, "client_left")
            raise

    async def _ask(self, answer: Answer, script: Script) -> web.StreamResponse:
        entry = answer.entry
        body = entry.body
        ollama = entry.protocol == "ollama"
        only_loads = ollama and ollama_wire.asks_nothing(entry.path, body)
        if only_loads:
            leaves = body.get("keep_alive") in (0, "0", "0s")
            reply, fault = Reply("", finish="unload" if leaves else "load"), None
            script = Script(load_seconds=script.load_seconds)
        else:
            reply, fault = script.take(body)
            if script.hold is not None:
                await script.hold(body)
        if fault and not fault.mid_stream and not fault.in_the_answer:
            return await answer.go_wrong(fault)
        by_token = bool(script.tokens_per_second)
        turn = Turn(entry.number, entry.model, _own_path(entry.path), body, reply, by_token)
        if not ollama:
            return await answer.speak(turn, script, fault)
        name = ollama_wire.full_name(entry.model)
        if only_loads and reply.finish == "unload":
            self._memory.drop(name)
            return await answer.speak(turn, script, fault)
        options = body.get("options") or {}
        loading = await self._memory.enter(name, script.load_seconds, options.get("num_ctx"))
        try:
            turn = Turn(
                entry.number, entry.model, _own_path(entry.path), body, reply, by_token, loading
            )
            loaded = Answer(answer.request, answer.wire, self._log, entry)
            return await loaded.speak(turn, script, fault)
        finally:
            self._memory.leave(name, body.get("keep_alive"))

    def _look_up(
        self, method: str, entry: Entry, body: dict[str, Any] | None
    ) -> web.StreamResponse:
        """What there is to know without asking a model."""
        fields = body or {}
        model = str(fields.get("model") or fields.get("name") or "")
        self._log.name(entry, model, body, lookup=True)
        if entry.path == "/api/show":
            card = self._script(model, "ollama") or self.default
            if not card:
                return self._say(entry, 404, ollama_wire.unknown(model))
            return self._say(entry, 200, json.dumps(ollama_wire.show(card)).encode())
        named = {ollama_wire.full_name(name): script for name, script in self.scripts.items()}
        answers: dict[str, Callable[[], object]] = {
            "/v1/models": lambda: openai_wire.listing(self.scripts),
            "/api/tags": lambda: ollama_wire.tags(named),
            "/api/ps": lambda: ollama_wire.in_memory(
                named, self._memory.residents(), self._memory.context
            ),
            "/api/version": lambda: {"version": ollama_wire.VERSION},
        }
        if method == "GET" and entry.path in answers:
            return self._say(entry, 200, json.dumps(answers[entry.path]()).encode())
        wire = _whose(entry.path)[1]
        return self._say(entry, 404, wire.error(404, f"there is no {method} {entry.path}", ""))

    def _script(self, model: str, protocol: Protocol) -> Script | None:
        """A model's script; to Ollama a name without a tag is the name with `:latest`."""
        script = self.scripts.get(model)
        if script or protocol != "ollama":
            return script
        other = model.removesuffix(":latest") if ":" in model else f"{model}:latest"
        return self.scripts.get(other)

    def _say(self, entry: Entry, status: int, body: bytes) -> web.Response:
        self._log.end(entry, "done", status)
        return web.Response(status=status, body=body, content_type=JSON)


def _own_path(path: str) -> str:
    """A path as the wires know it: Azure and Bedrock serve OpenAI's protocol below /openai."""
    path = path.partition("?")[0]
    return re.sub(r"^/openai/deployments/[^/]+/", "/v1/", path).removeprefix("/openai")


def _whose(path: str) -> tuple[Protocol, Wire]:
    return ("ollama", ollama_wire) if path.startswith("/api/") else ("openai", openai_wire)


def _read(raw: bytes) -> dict[str, Any] | None:
    """A request body, or None where it is no JSON object."""
    try:
        body = json.loads(raw)
    except ValueError:
        return None
    return cast(dict[str, Any], body) if isinstance(body, dict) else None
