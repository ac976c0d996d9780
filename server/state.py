"""What all requests of a server share: councils, keys, limits, counters, the store of threads.

Bearer keys come from the environment; only their digests stay in memory.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import math
import os
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any, NamedTuple

from langgraph.checkpoint.base import BaseCheckpointSaver

from mom_council.errors import MixtureError
from mom_council.redaction import logger
from mom_council.runs.ask import open_runs
from mom_council.runs.checkpoints import MEMORY, open_pruned_store
from mom_council.runs.tables import Tables
from mom_council.server.catalogue import Catalogue
from mom_council.server.errors import Refusal
from mom_council.server.limits import SPENDING, DayLimits, ServerBudget
from mom_council.server.metrics import Metrics
from mom_council.server.repeats import REQUESTS, AgentTurns, Repeats

_log = logger(__name__)

_MOST_LOGGED_FIELDS = 200
"""Names of unused fields after which further ones are no warning: a client may make them up."""

VARIABLE = "MOM_SERVER_KEYS"
ADMIN_VARIABLE = "MOM_ADMIN_KEY"
SHORTEST = 16
EVERYONE = ""
"""The owner of requests where no key is asked for."""

_NAMED = re.compile(r"([A-Za-z0-9_-]{1,32})=(.+)")
_CURE = f"{VARIABLE} holds keys, or name=key, with commas between them"


class Keys:
    """The keys that are accepted; without any, everybody on this machine may ask."""

    def __init__(self, written: str = "", variable: str = VARIABLE) -> None:
        """Read the keys that a variable holds.

        Raises:
            MixtureError: one is too short to be one, or a name stands twice.
        """
        self._digests: dict[str, bytes] = {}
        for number, part in enumerate(filter(None, re.split(r"[,\s]+", written)), 1):
            match = _NAMED.fullmatch(part)
            key = match[2] if match else part
            digest = _digest(key)
            name = match[1] if match else f"key-{digest.hex()[:8]}"
            if len(key) < SHORTEST:
                raise MixtureError(
                    f"key {number} in {variable} has fewer than {SHORTEST} characters: "
                    "make one with `openssl rand -hex 24`"
                )
            if name in self._digests:
                raise MixtureError(f"{name!r} stands twice in {VARIABLE}", cure=_CURE)
            self._digests[name] = digest

    @classmethod
    def from_environment(cls, env: Mapping[str, str] = os.environ) -> Keys:
        """The keys that MOM_SERVER_KEYS holds.

        Raises:
            MixtureError: as above.
        """
        return cls(env.get(VARIABLE, ""))

    @classmethod
    def of_operator(cls, env: Mapping[str, str] = os.environ) -> Keys:
        """The key that MOM_ADMIN_KEY holds, or none.

        Raises:
            MixtureError: it is too short to be one.
        """
        key = env.get(ADMIN_VARIABLE, "").strip()
        return cls(f"admin={key}" if key else "", ADMIN_VARIABLE)

    @property
    def names(self) -> list[str]:
        """What the keys are called."""
        return [*self._digests]

    def __bool__(self) -> bool:
        """Whether a key is asked for."""
        return bool(self._digests)

    def owner(self, authorization: str | None) -> str | None:
        """Whose key an Authorization header holds; None: nobody's.

        It takes as long whether a key is nearly right or not at all.
        """
        scheme, _, key = (authorization or "").partition(" ")
        sent = _digest(key.strip() if scheme.lower() == "bearer" else "")
        owner = None
        for name, digest in self._digests.items():
            if hmac.compare_digest(sent, digest):
                owner = name
        return owner


def is_loopback(host: str) -> bool:
    """Whether an address is this machine's own."""
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


_LONGEST = 120
"""Seconds that a client is told to wait at the most."""


class QuestionSlots:
    """So many questions at once; the next ones wait in a row of bounded length."""

    def __init__(self, at_once: int, waiting: int) -> None:
        self.at_once = at_once
        self.most_waiting = waiting
        self.taken = 0
        self.waiting = 0
        self._free = asyncio.Semaphore(at_once)
        self._usual = 1.0
        """Seconds that a question has taken lately."""
        self.watch: Callable[[int, int], None] = lambda taken, waiting: None
        """Is told how many are answered and how many wait, when that changes."""

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Take a place, in the order of coming.

        Raises:
            Refusal: all are taken and the row is full: 429 with Retry-After.
        """
        if self._free.locked() and self.waiting >= self.most_waiting:
            raise self.full()
        self._count(waiting=1)
        try:
            await self._free.acquire()
        finally:
            self._count(waiting=-1)
        self._count(taken=1)
        began = time.monotonic()
        try:
            yield
        finally:
            self._count(taken=-1)
            self._free.release()
            self._usual += (time.monotonic() - began - self._usual) / 8

    def _count(self, *, taken: int = 0, waiting: int = 0) -> None:
        self.taken += taken
        self.waiting += waiting
        self.watch(self.taken, self.waiting)

    def full(self) -> Refusal:
        """The refusal of one question too many."""
        wait = self._usual * (self.waiting + 1) / self.at_once
        seconds = min(max(math.ceil(wait), 1), _LONGEST)
        return Refusal(
            429,
            f"{self.taken} questions are being answered and {self.waiting} wait; "
            f"ask again in {seconds} s",
            code="rate_limit_exceeded",
            headers={"Retry-After": str(seconds)},
            limit="places",
        )


RESPONSES = (
    "CREATE TABLE IF NOT EXISTS mom_responses (owner TEXT NOT NULL, id TEXT NOT NULL, "
    "created BIGINT NOT NULL, response TEXT NOT NULL, messages TEXT NOT NULL, "
    "PRIMARY KEY (owner, id))"
)
_MOST_IN_MEMORY = 64_000_000
"""Characters of the responses that are kept in memory; the oldest go first."""
_RESPONSE_KEPT = 30 * 24 * 3600
"""Seconds for which a response is kept in the store."""


class StoredResponse(NamedTuple):
    """A response of /v1/responses that can be read and gone on from; both parts are JSON."""

    response: str
    messages: str
    """The whole conversation up to its answer."""


class StoredResponses:
    """The responses that a client may name: in the store where it said so, else in memory.

    Args:
        open_saver: opens the store; None where nothing is kept there.
        shared: whether other processes are asked for them too, so that all go into the store.
    """

    def __init__(
        self, open_saver: Callable[[], Awaitable[Any]] | None, *, shared: bool = False
    ) -> None:
        self._open_saver = open_saver
        self._shared = shared
        self._tables: Tables | None = None
        self._memory: dict[tuple[str, str], StoredResponse] = {}
        self._size = 0

    async def _store(self) -> Tables | None:
        if self._tables is None and self._open_saver is not None:
            self._tables = Tables(await self._open_saver(), RESPONSES)
        return self._tables

    async def keep(self, owner: str, name: str, stored: StoredResponse, *, lasting: bool) -> None:
        """Keep a response; `lasting` ones outlive the server.

        Raises:
            StorageError: the store cannot be used.
        """
        tables = await self._store() if lasting or self._shared else None
        if tables is not None:
            now = int(time.time())
            statement = "DELETE FROM mom_responses WHERE created < ?"
            await tables.run(statement, (now - _RESPONSE_KEPT,))
            values = (owner, name, now, *stored)
            await tables.run("INSERT INTO mom_responses VALUES (?, ?, ?, ?, ?)", values)
            return
        self._memory[owner, name] = stored
        self._size += sum(map(len, stored))
        while self._size > _MOST_IN_MEMORY and self._memory:
            self._forget(next(iter(self._memory)))

    async def find(self, owner: str, name: str) -> StoredResponse | None:
        """A response of an owner's.

        Raises:
            StorageError: the store cannot be used.
        """
        if (stored := self._memory.get((owner, name))) is not None:
            return stored
        if (tables := await self._store()) is None:
            return None
        statement = "SELECT response, messages FROM mom_responses WHERE owner = ? AND id = ?"
        rows = await tables.run(statement, (owner, name))
        return StoredResponse(*rows[0]) if rows else None

    async def delete(self, owner: str, name: str) -> None:
        """Forget a response.

        Raises:
            StorageError: the store cannot be used.
        """
        self._forget((owner, name))
        if (tables := await self._store()) is not None:
            statement = "DELETE FROM mom_responses WHERE owner = ? AND id = ?"
            await tables.run(statement, (owner, name))

    def _forget(self, key: tuple[str, str]) -> None:
        if (stored := self._memory.pop(key, None)) is not None:
            self._size -= sum(map(len, stored))


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """How a server is to behave."""

    database: str | None = None
    """Where threads are kept, as `open_pruned_store` takes it; None: the usual file."""
    at_once: int = 256
    waiting: int = 256
    most_bytes: int = 32_000_000
    """Of a request's body: a long conversation with pictures in it."""
    threads: bool = True
    """Whether a request may name a thread."""
    candid: bool = True
    """Whether clients read an error's own words. Off where they are not on this machine."""
    strict: bool = False
    """Whether fields that are unknown or cannot be used are refused, as OpenAI does."""
    limits: Mapping[str, DayLimits] = field(default_factory=dict)
    """What may be asked and spent in a day, by whom it is for."""
    workers: int = 1
    """Processes that serve together. More than one keep in the store what one keeps in memory."""
    drain: float = 10.0
    """Seconds that answers under way get when the server is stopped."""
    patience: float = 30.0
    """Seconds for which a run goes on whose client has left, and may come again by its key."""


class ServerState:
    """Opened once for each server, in its event loop."""

    def __init__(self, catalogue: Catalogue, keys: Keys, settings: ServerSettings) -> None:
        self.catalogue = catalogue
        self.keys = keys
        self.settings = settings
        self.slots = QuestionSlots(settings.at_once, settings.waiting)
        shares = settings.workers > 1
        self.turns = AgentTurns(self.saver if shares else None)
        self.metrics = Metrics()
        self.slots.watch = self.metrics.count_questions
        self.memory: BaseCheckpointSaver[Any]
        """Threads that live as long as one question."""
        self._saver: BaseCheckpointSaver[Any] | None = None
        self._opening = asyncio.Lock()
        self._logged_fields: set[str] = set()
        self._stack = contextlib.AsyncExitStack()
        self._answering: set[str] = set()
        self._repeats: Repeats | None = None
        self.budget: ServerBudget | None = None
        self.responses = StoredResponses(self.saver if settings.threads else None, shared=shares)
        self.reload: Callable[[], Awaitable[None]] | None = None
        """Reads the councils and the keys anew."""

    def log_ignored(self, fields: Sequence[str]) -> None:
        """Write the fields that a request had and nobody used to the log; new ones as a warning."""
        is_new = not self._logged_fields.issuperset(fields)
        if is_new and len(self._logged_fields) < _MOST_LOGGED_FIELDS:
            self._logged_fields.update(fields)
            _log.warning("fields of requests that are not used: %s", ", ".join(fields))
        else:
            _log.info("fields of a request that are not used: %s", ", ".join(fields))

    async def open(self) -> None:
        """Make ready for the first request; a database that was named is opened now.

        Raises:
            StorageError: threads cannot be kept there.
        """
        self.memory = await self._stack.enter_async_context(open_runs(MEMORY))
        limits = self.settings.limits
        if self.settings.database is None and not limits:
            return
        try:
            saver = await self.saver()
            self.budget = ServerBudget(limits, Tables(saver, SPENDING)) if limits else None
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Close the store and the connections to the models."""
        if self._repeats is not None:
            await self._repeats.close()
        if self.budget is not None:
            await self.budget.drain()
        await self._stack.aclose()

    @property
    def opened_saver(self) -> BaseCheckpointSaver[Any] | None:
        """The store of threads, where it was opened."""
        return self._saver

    async def saver(self) -> BaseCheckpointSaver[Any]:
        """The store of threads, opened when it is first asked for.

        Raises:
            StorageError: it cannot be opened.
        """
        async with self._opening:
            if self._saver is None:
                opened = open_pruned_store(self.settings.database)
                self._saver = await self._stack.enter_async_context(opened)
        return self._saver

    async def repeats(self) -> Repeats:
        """The requests that may come again, beside the threads; in memory where none are kept.

        Raises:
            StorageError: the store cannot be opened.
        """
        if self._repeats is None:
            saver = await self.saver() if self.settings.threads else self.memory
            if self._repeats is None:
                tables = Tables(saver, REQUESTS)
                self._repeats = Repeats(tables, saver, self.settings.patience)
        return self._repeats

    @contextlib.asynccontextmanager
    async def alone_in(self, thread: str | None) -> AsyncIterator[None]:
        """Be the only one to answer in a thread.

        Raises:
            Refusal: somebody is; two answers at once would be woven into each other.
        """
        if thread is None:
            yield
            return
        if thread in self._answering:
            raise Refusal(
                409,
                "a question is being answered in this thread; wait for its answer",
                code="thread_busy",
                headers={"x-should-retry": "false"},
            )
        self._answering.add(thread)
        try:
            yield
        finally:
            self._answering.discard(thread)
