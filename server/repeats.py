"""Requests that come again: the same one with its Idempotency-Key, or an agent's next turn.

The same request is paid once:

- While the first is being answered, both follow one run.
- Where that run was killed, or its client left and it was stopped, the next continues it.
- Where it was answered, the stored answer is given again.

A key belongs to an API key, and counts for a day. It stands for one request: the same key with
another body is refused. The question is kept in a thread: the one that the request names, or
one of its own, which is deleted with the key.

An agent's client that runs tools sends the whole conversation again with each result. What the
council said on the question is remembered in memory, so that a result does not cost another
deliberation: the synthesizer reads the same messages as before with the call and its result behind
them, so that its vendor's prompt cache knows their beginning.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any, Generic, NamedTuple, TypeVar

import orjson
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, SystemMessage, ToolMessage

from mom_council.deliberation.context import AnswerForm, steady_time
from mom_council.deliberation.events import Answered
from mom_council.errors import ThreadBusyError
from mom_council.redaction import logger
from mom_council.runs.ask import Run
from mom_council.runs.checkpoints import thread_serializer
from mom_council.runs.tables import Tables
from mom_council.runs.threads import delete_thread
from mom_council.server.errors import Refusal

_log = logger(__name__)

KEEP_SECONDS = 24 * 3600.0
"""Seconds for which a key is remembered."""
_SWEEP = 3600.0
"""Seconds between two looks at what is to be forgotten."""

REQUESTS = (
    "CREATE TABLE IF NOT EXISTS mom_requests (request TEXT PRIMARY KEY, body TEXT NOT NULL, "
    "thread TEXT NOT NULL, created BIGINT NOT NULL, answer TEXT, thoughts TEXT)"
)
_CLAIM = (
    "INSERT INTO mom_requests (request, body, thread, created) VALUES (?, ?, ?, ?) "
    "ON CONFLICT (request) DO UPDATE SET body = mom_requests.body "
    "RETURNING body, created, answer, thoughts"
)
_KEEP_ANSWER = "UPDATE mom_requests SET answer = ?, thoughts = ? WHERE request = ?"
_FORGET = (
    "DELETE FROM mom_requests WHERE created < ? "
    "AND created < (SELECT max(created) FROM mom_requests) - 86400 RETURNING thread"
)
"""A clock that jumps ahead forgets nothing before a request came by it."""
_OWN_THREADS = "~request/"

P = TypeVar("P")


@dataclass(frozen=True, slots=True)
class RepeatableRequest:
    """A request that may come again."""

    id: str
    """Of its API key and its Idempotency-Key."""
    body: str
    """A digest of what it asks."""
    thread: str
    """As the store names it: the request's own, or the one that it names."""
    created: int = 0
    """Epoch seconds of the first time."""
    answer: Answered | None = None
    """What came of it."""
    thoughts: str = ""
    """What its client was told of how the council came to it."""

    def choice(self, number: int) -> RepeatableRequest:
        """The part of the request that is one of several choices."""
        return replace(
            self, id=f"{self.id}-{number}", thread=f"{self.thread}-{number}", answer=None
        )


def repeatable(owner: str, key: str, body: bytes, thread: str | None) -> RepeatableRequest:
    """A request by its key.

    Args:
        owner: whose API key it came with.
        key: the Idempotency-Key.
        body: what is asked, and where.
        thread: that the request names, as the store names it.
    """
    name = _digest(owner.encode(), key.encode())
    digest = _digest(body, (thread or "").encode())
    return RepeatableRequest(name, digest, thread or f"{_OWN_THREADS}{name}")


def _digest(*parts: bytes) -> str:
    whole = hashlib.sha256()
    for part in parts:
        whole.update(len(part).to_bytes(8, "big") + part)
    return whole.hexdigest()[:32]


class _SharedRun(Generic[P]):
    """One run that any number of requests follow, each from its beginning.

    Args:
        parts: the run.
        patience: seconds for which it goes on when nobody follows it any more.
        ended: is called at its end.
    """

    def __init__(
        self, parts: AsyncGenerator[P, None], patience: float, ended: Callable[[], None]
    ) -> None:
        self._parts: list[P] = []
        self._news = asyncio.Event()
        self._patience = patience
        self._followers = 0
        self._last_call: asyncio.TimerHandle | None = None
        self.is_stopping = False
        self.task = asyncio.create_task(self._listen(parts))
        self._ended = ended
        self.task.add_done_callback(self._end)

    async def _listen(self, parts: AsyncGenerator[P, None]) -> None:
        try:
            async with aclosing(parts):
                async for part in parts:
                    self._parts.append(part)
                    self._tell()
        finally:
            self._tell()

    def _end(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled():
            task.exception()  # perhaps nobody is there any more whom it could be told
        self._ended()

    def _tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    async def follow(self) -> AsyncGenerator[P, None]:
        """The parts, from the first to the last.

        Raises:
            Exception: as the run raises it.
        """
        self._followers += 1
        if self._last_call is not None:
            self._last_call.cancel()
            self._last_call = None
        try:
            at = 0
            while True:
                news, is_over = self._news, self.task.done()
                for part in self._parts[at:]:
                    at += 1
                    yield part
                if is_over:
                    self.task.result()
                    return
                if at == len(self._parts) and not self.task.done():
                    await self._wait(news)
        finally:
            self._followers -= 1
            if not self._followers and not self.task.done():
                loop = asyncio.get_running_loop()
                self._last_call = loop.call_later(self._patience, self.stop)

    async def _wait(self, news: asyncio.Event) -> None:
        waiting = asyncio.ensure_future(news.wait())
        try:
            await asyncio.wait({waiting, self.task}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()

    def stop(self) -> None:
        """End the run, down to the connections to the models."""
        self.is_stopping = True
        self.task.cancel()


class Repeats:
    """The requests of a server that may come again.

    Args:
        tables: where they are written down.
        saver: gives the store of their threads.
        patience: seconds for which a run goes on whose clients have left.
    """

    def __init__(self, tables: Tables, saver: Any, patience: float) -> None:
        self._tables = tables
        self.saver = saver
        self._patience = patience
        self._runs: dict[str, _SharedRun[Any]] = {}
        self._swept: float | None = None

    async def claim(self, request: RepeatableRequest) -> RepeatableRequest:
        """Write a request down; what is known of it from the first time.

        Raises:
            Refusal: its key stands for another request.
            StorageError: it cannot be written down.
        """
        await self._forget_old_ones()
        values = (request.id, request.body, request.thread, int(time.time()))
        [(body, created, answer, thoughts)] = await self._tables.run(_CLAIM, values)
        if body != request.body:
            raise Refusal(
                422,
                "This Idempotency-Key was used for another request; use a new key for a new "
                "request.",
                code="idempotency_key_reused",
                headers={"x-should-retry": "false"},
            )
        earlier = None if answer is None else Answered.model_validate_json(answer)
        return replace(request, created=created, answer=earlier, thoughts=thoughts or "")

    async def keep(self, request: RepeatableRequest, answer: Answered, thoughts: str) -> None:
        """Write down the answer of a request, and what its client was told before it."""
        await self._tables.run(_KEEP_ANSWER, (answer.model_dump_json(), thoughts, request.id))

    async def follow(
        self, request: RepeatableRequest, begin: Callable[[], AsyncGenerator[P, None]]
    ) -> AsyncGenerator[P, None]:
        """The parts of a request's one run, which is begun where it is not under way.

        Raises:
            Exception: as the run raises it.
        """
        while (shared := self._runs.get(request.id)) is not None and shared.is_stopping:
            await asyncio.wait({shared.task})
        if shared is None:
            shared = _SharedRun(begin(), self._patience, lambda: self._ended(request.id))
            self._runs[request.id] = shared
        async with aclosing(shared.follow()) as parts:
            async for part in parts:
                yield part

    def _ended(self, name: str) -> None:
        del self._runs[name]

    async def close(self) -> None:
        """Stop what is under way; the next server goes on with it."""
        tasks = []
        for shared in [*self._runs.values()]:
            shared.stop()
            tasks.append(shared.task)
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _forget_old_ones(self) -> None:
        now = time.monotonic()
        if self._swept is not None and now - self._swept < _SWEEP:
            return
        self._swept = now
        for (thread,) in await self._tables.run(_FORGET, (int(time.time() - KEEP_SECONDS),)):
            if not thread.startswith(_OWN_THREADS):
                continue
            try:
                await delete_thread(self.saver, thread)
            except ThreadBusyError:
                _log.warning("thread %s is still being answered, and stays", thread)


TABLE = (
    *("route", "sight", "annotation", "seating", "trust", "comparison", "proposals", "ballots"),
    *("absences", "verdicts", "judgements", "notes"),
)
"""The parts of the state that a synthesizer writes from."""
_MOST = 512

TURNS = (
    "CREATE TABLE IF NOT EXISTS mom_turns (mark TEXT PRIMARY KEY, created BIGINT NOT NULL, "
    "kind TEXT NOT NULL, tables TEXT NOT NULL)"
)
_KEEP_TURN = "INSERT INTO mom_turns VALUES (?, ?, ?, ?) ON CONFLICT (mark) DO NOTHING"
_FORGET_TURNS = "DELETE FROM mom_turns WHERE created < ?"
_SHARED_SECONDS = 3600


class AgentTurns:
    """The newest questions whose answers were calls of a client's tools.

    Args:
        open_saver: opens the store, where several processes answer together: then what the council
            said stands there for an hour.
    """

    def __init__(self, open_saver: Callable[[], Awaitable[Any]] | None = None) -> None:
        self._memory: dict[str, Mapping[str, Any]] = {}
        self._open_saver = open_saver
        self._tables: Tables | None = None

    async def go_on(self, turn: AgentTurn | None, recipe: Run) -> None:
        """Have a run go on with its turn: with the synthesizer alone, where the council spoke."""
        if turn is None:
            return
        recipe.state_keys = TABLE
        if not isinstance(turn.messages[-1], ToolMessage):
            return
        marks = dict(turn.marks())
        await self._read_shared([*marks.values()])
        for length, mark in marks.items():
            if (table := self._memory.pop(mark, None)) is not None:
                self._memory[mark] = table  # the newest stand last
                recipe.known = {**table, "asked_at": steady_time()}
                form = recipe.context.form or AnswerForm()
                form = form.model_copy(update={"continues_from": length})
                recipe.context = recipe.context.model_copy(update={"form": form})
                recipe.opened = recipe.opened.synthesizer_alone()
                return

    async def keep(self, turn: AgentTurn | None, recipe: Run, answered: Answered) -> None:
        """Remember what the council said, where tools are called whose results will come."""
        values = recipe.values
        if turn is None or recipe.known or not answered.calls or not values.get("verdicts"):
            return
        *_, (_, mark) = turn.marks()
        table = self._memory[mark] = {name: values[name] for name in TABLE if name in values}
        while len(self._memory) > _MOST:
            del self._memory[next(iter(self._memory))]
        if (tables := await self._shared()) is not None:
            kind, written = thread_serializer().dumps_typed(table)
            text = base64.b64encode(written).decode()
            now = int(time.time())
            await tables.run(_FORGET_TURNS, (now - _SHARED_SECONDS,))
            await tables.run(_KEEP_TURN, (mark, now, kind, text))

    async def _shared(self) -> Tables | None:
        if self._tables is None and self._open_saver is not None:
            self._tables = Tables(await self._open_saver(), TURNS)
        return self._tables

    async def _read_shared(self, marks: Sequence[str]) -> None:
        """Have in memory what another process wrote down of a turn."""
        if any(mark in self._memory for mark in marks):
            return
        if (tables := await self._shared()) is None:
            return
        places = ", ".join("?" * len(marks))
        statement = f"SELECT mark, kind, tables FROM mom_turns WHERE mark IN ({places})"  # noqa: S608
        for mark, kind, text in await tables.run(statement, marks):
            self._memory[mark] = thread_serializer().loads_typed((kind, base64.b64decode(text)))


class AgentTurn(NamedTuple):
    """A question with all that its client's tools have given for it."""

    owner: str
    """Whose key it came with."""
    model: str
    """Which council is asked."""
    messages: Sequence[AnyMessage]

    def marks(self) -> Iterator[tuple[int, str]]:
        """The beginnings of the conversation that hold the question: their lengths, and a digest.

        Instructions are left out: programs write the time into them.
        """
        humans = [at for at, one in enumerate(self.messages) if isinstance(one, HumanMessage)]
        digest = hashlib.sha256(orjson.dumps([self.owner, self.model]))
        for place, message in enumerate(self.messages):
            if not isinstance(message, SystemMessage):
                digest.update(orjson.dumps(_fields(message)))
            if place >= humans[-1]:
                yield place + 1, digest.hexdigest()


def _fields(message: AnyMessage) -> Sequence[Any]:
    calls = message.tool_calls if isinstance(message, AIMessage) else []
    result_of = message.tool_call_id if isinstance(message, ToolMessage) else ""
    requests = [[call["id"], call["name"], call["args"]] for call in calls]
    return [message.type, message.content, requests, result_of]
