"""The budget of a batch, and what answers its rows: this process, or those of a Ray cluster.

Each row has a thread of its own, so that a batch that was killed repeats no finished call.

The cluster is the one that RAY_ADDRESS names, else one on this machine that ends with the batch.
Rows are shared out by their number, so that the thread of each row is found again: in the
batch's folder, which all machines must see under one path, or in PostgreSQL. Keys are never sent:
each machine has them in its own environment.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from langgraph.checkpoint.base import BaseCheckpointSaver
from pydantic import ValidationError

from mom_council.batch.journal import Journal, lock_file
from mom_council.batch.rows import Row, RowOutcome, answered_row
from mom_council.councils.loader import load_council
from mom_council.councils.schema import Council
from mom_council.deliberation.budget import amount_of
from mom_council.deliberation.context import AnswerForm, CouncilContext
from mom_council.errors import BudgetError, ProviderNotInstalledError, StorageError
from mom_council.models.spending import LEAST_CALLS, NOTHING, Account, Amount, SpendingLimits
from mom_council.records import Usage
from mom_council.redaction import redact
from mom_council.runs.ask import OpenCouncil, Run, open_runs
from mom_council.runs.discovery import calls_at_most
from mom_council.runs.follow import is_open

_SPARE = 1.5
"""How many times the usual price of a row must be left for another to be begun."""

BatchLimits = SpendingLimits
"""What a batch may spend; None is no limit."""

NO_LIMITS = BatchLimits()


@dataclass(frozen=True)
class _Hold:
    """What a row under way may take, and what an earlier try of it has taken."""

    amount: Amount
    before: Amount


@dataclass
class BatchBudget:
    """What is left of a batch's limits: each row under way holds a part, and cannot spend more.

    So the rows together never exceed a limit, wherever they run.
    """

    limits: BatchLimits
    spent: Usage
    council: Council
    concurrency: int = 1
    """Rows that run at a time."""
    rows: int = 0
    """Finished in this sitting, for the usual price of a row."""
    _account: Account = field(init=False)
    _held: dict[int, _Hold] = field(default_factory=dict)
    _fresh: Amount = NOTHING
    _is_spent: bool = False

    def __post_init__(self) -> None:
        """Begin with what earlier sittings have spent."""
        self._account = Account(self.limits, amount_of(self.spent), owner="the batch's budget")

    @property
    def most_calls(self) -> int:
        """Of one row, by the council's own rules, where every model answers at the first try."""
        most = calls_at_most(self.council)
        return min(most, self.council.budget.calls or most)

    def begin(self, index: int, before: Usage) -> CouncilContext | None:
        """What a row may spend; None where nothing is left for it, or others must end first.

        Args:
            index: which row.
            before: what an earlier try of the row has used. The row tells what it used in all.
        """
        seconds = self._account.seconds_left
        if self._is_spent or seconds <= 0:
            return None
        earlier = amount_of(before)
        calls_left, tokens_left, usd_left = self._account.remaining()
        calls = self._calls(calls_left, earlier.calls)
        tokens = self._part(self.limits.tokens, tokens_left, self._fresh.tokens)
        usd = self._part(self.limits.usd, usd_left, self._fresh.usd)
        if calls is None or tokens is None or usd is None:
            return None
        hold = Amount(calls, int(tokens), usd)
        self._held[index] = _Hold(hold, earlier)
        self._account.reserved = self._account.reserved.plus(hold)
        limits, own = self.limits, self.council.budget
        tokens, usd = hold.tokens + earlier.tokens, hold.usd + earlier.usd
        return CouncilContext(
            max_calls=None if limits.calls is None else hold.calls + earlier.calls,
            max_tokens=None if limits.tokens is None else min(tokens, own.tokens or tokens),
            max_usd=None if limits.usd is None else min(usd, own.usd or usd),
            max_seconds=None if limits.seconds is None else min(seconds, own.seconds or seconds),
        )

    def end(self, index: int, used: Usage, *, is_spent: bool = False) -> None:
        """A row is finished: what it used is spent, and what it had been given is free again.

        Args:
            index: which row.
            used: by the row in all.
            is_spent: whether its part was too small; then no other row is begun.
        """
        self._is_spent = self._is_spent or (is_spent and self.limits.are_set)
        hold = self._held.pop(index, _Hold(NOTHING, NOTHING))
        fresh = amount_of(used).minus(hold.before)
        self._account.reserved = self._account.reserved.minus(hold.amount)
        self._account.charge(fresh)
        self._fresh = self._fresh.plus(fresh)
        self.rows += 1

    def _calls(self, left: float, before: int) -> int | None:
        if self.limits.calls is None:
            return 0
        most = self.most_calls
        if left < most and (self._held or left < LEAST_CALLS):
            return None
        return int(min(left, most + before))

    def _part(self, limit: float | None, left: float, fresh: float) -> float | None:
        """Of the tokens or dollars; the first row has all, until it is known what one takes."""
        if limit is None:
            return 0.0
        usual = fresh / self.rows if self.rows else left
        if left <= 0 or (left < usual * _SPARE and (self._held or self.rows)):
            return None
        free = max(1, self.concurrency - len(self._held))
        return min(left, max(left / free, usual * _SPARE))

    def in_words(self) -> str:
        """The limits, for messages."""
        return self.limits.in_words()


class RowRunner:
    """Answers the rows of a batch with one council, each row in a thread of its own.

    Nobody sits in front of a batch: a person of the council is absent, and a call of a tool that
    needs approval is declined.

    Args:
        council: who answers.
        saver: where the threads of the rows are kept until they are answered.
        name: the beginning of the threads' names.
        traced: whether each row leaves a local trace.
    """

    def __init__(
        self,
        council: Council,
        saver: BaseCheckpointSaver[Any],
        name: str,
        *,
        traced: bool = False,
    ) -> None:
        self._opened = OpenCouncil(council, saver)
        self._saver = saver
        self._name = name
        self._traced = traced

    async def answer(self, row: Row, context: CouncilContext) -> RowOutcome:
        """Answer a row, or finish answering it; that nobody answered is an outcome too.

        Raises:
            StorageError: its thread cannot be kept.
        """
        if row.fault:
            return RowOutcome(index=row.index, error=row.fault, unasked=True)
        try:
            form = AnswerForm.model_validate(row.form)
        except ValidationError as error:
            wrong = error.errors()[0]
            where = ".".join(map(str, wrong["loc"]))
            return RowOutcome(index=row.index, error=f"body.{where}: {wrong['msg']}", unasked=True)
        run = Run(
            self._opened,
            list(row.messages) or [{"role": "user", "content": row.question}],
            thread=self._thread(row.index),
            context=context.model_copy(update={"form": form}),
            traced=self._traced,
        )
        try:
            values = await self._values(run)
        except StorageError:
            raise
        except Exception as error:
            # Whatever it is, it is this row's: the others are not held up by it.
            state = (await self._opened.graph.aget_state(run.config)).values
            used = sum((one.usage for one in state.get("segments", [])), Usage())
            message = redact(f"{type(error).__name__}: {error}")
            spent = isinstance(error, BudgetError)
            error_text = _whole(message)
            return RowOutcome(index=row.index, error=error_text, usage=used, over_budget=spent)
        return answered_row(row.index, _whole(values["messages"][-1].text), values["status"])

    async def forget(self, index: int) -> None:
        """Drop the thread of a row whose outcome is kept."""
        drop = getattr(self._saver, "drop_thread", self._saver.adelete_thread)
        await drop(self._thread(index))

    async def _values(self, run: Run) -> Mapping[str, Any]:
        begun = await self._opened.graph.aget_state(run.config)
        if begun.values and not is_open(begun):
            return begun.values  # answered, and killed before that was written down
        if begun.values:
            run.messages = None
        return await run.finish()

    def _thread(self, index: int) -> str:
        return f"{self._name}-{index}"


def _whole(text: str) -> str:
    """A text that any file can lock_file: no halves of characters."""
    return text.encode("utf-8", "replace").decode("utf-8")


class RowAnswers(Protocol):
    """Answers rows, several at a time."""

    async def answer(self, row: Row, context: CouncilContext, /) -> RowOutcome:
        """Answer one row within what it may spend."""
        ...

    async def forget(self, index: int, /) -> None:
        """Drop what was kept to go on with a row that is finished."""
        ...


Engine = Callable[[Council, Journal, str], AbstractAsyncContextManager[RowAnswers]]
"""Opens what answers: for a council, beside a journal, with a name for its threads."""


def local_engine(db: str | None = None, *, traced: bool = False) -> Engine:
    """Rows are answered here.

    Args:
        db: where their threads are kept meanwhile; left out, in the batch's own folder.
        traced: whether each row leaves a local trace.
    """

    @asynccontextmanager
    async def opened(council: Council, journal: Journal, name: str) -> AsyncIterator[RowAnswers]:
        journal.remember(engine="local")
        place = db or str(journal.folder / "threads.db")
        async with open_runs(place) as saver:
            yield RowRunner(council, saver, f"batch-{name[:12]}", traced=traced)

    return opened


_HOLD_SECONDS = 60


def ray_engine(workers: int, db: str | None = None, *, traced: bool = False) -> Engine:
    """Rows are answered by so many workers of a Ray cluster.

    Args:
        workers: how many; a batch goes on with as many as it was begun with.
        db: where threads are kept; left out, in the batch's own folder, a file for each worker.
        traced: whether each row leaves a local trace, on the worker's machine.
    """

    @asynccontextmanager
    async def opened(council: Council, journal: Journal, name: str) -> AsyncIterator[RowAnswers]:
        ray = _ray()
        journal.remember(f"ray, {workers} workers")
        began = await asyncio.to_thread(_join, ray)
        worker = ray.remote(Worker).options(
            # Placed one on each machine as far as they go; a lost one is begun again elsewhere.
            scheduling_strategy="SPREAD",
            num_cpus=0,
            max_restarts=-1,
            max_task_retries=-1,
        )
        written = council.model_dump(mode="json", exclude_defaults=True)
        places = [db or str(journal.folder.absolute() / f"threads-{n}.db") for n in range(workers)]
        actors = [worker.remote(written, place, f"batch-{name[:12]}", traced) for place in places]
        try:
            yield RayAnswers(ray, actors)
        finally:
            for actor in actors:
                ray.kill(actor)
            if began:
                await asyncio.to_thread(ray.shutdown)

    return opened


def _ray() -> Any:
    # Ray's own counting of its users, and its page on a port, stay off.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError:
        raise ProviderNotInstalledError(
            "a Ray cluster needs its package", cure="pip install 'mom-council[ray]'"
        ) from None
    return ray


def _join(ray: Any) -> bool:
    """Join the cluster; whether that was our doing, and so is leaving it."""
    if ray.is_initialized():
        return False
    how: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    address = os.environ.get("RAY_ADDRESS") or "local"
    if address == "local":
        how |= {"include_dashboard": False, "_node_ip_address": "127.0.0.1"}
    ray.init(address=address, **how)
    return True


class Worker:
    """One process of the cluster: a council that answers rows."""

    def __init__(self, council: dict[str, Any], place: str, name: str, traced: bool) -> None:
        self._council = load_council(council)
        self._place, self._name, self._traced = place, name, traced
        self._stack = AsyncExitStack()
        self._opening = asyncio.Lock()
        self._runner: RowRunner | None = None
        self._lock: Any = None

    async def answer(self, row: tuple[Any, ...], context: dict[str, Any]) -> dict[str, Any]:
        """Answer a row."""
        runner = await self._open()
        outcome = await runner.answer(Row(*row), CouncilContext.model_validate(context))
        return outcome.model_dump(mode="json")

    async def forget(self, index: int) -> None:
        """Drop a finished row's thread."""
        await (await self._open()).forget(index)

    async def _open(self) -> RowRunner:
        async with self._opening:
            if self._runner is None:
                await asyncio.to_thread(self._lock_file)
                saver = await self._stack.enter_async_context(open_runs(self._place))
                self._runner = RowRunner(self._council, saver, self._name, traced=self._traced)
            return self._runner

    def _lock_file(self) -> None:
        """Wait for the worker of a batch that was killed: it may still be asking."""
        if "://" in self._place:
            return
        self._lock = lock_file(Path(f"{self._place}.lock"), _HOLD_SECONDS)
        if self._lock is None:
            raise StorageError(
                f"another worker is at work in {self._place}", cure="wait for it, or end it"
            )


class RayAnswers:
    """Rows answered by the workers of a cluster, as the batch sees it."""

    def __init__(self, ray: Any, actors: list[Any]) -> None:
        self._ray = ray
        self._actors = actors

    async def answer(self, row: Row, context: CouncilContext, /) -> RowOutcome:
        """Have the row's worker answer it."""
        actor = self._actors[row.index % len(self._actors)]
        # The columns stay here: only the question is asked.
        under_way = actor.answer.remote(
            (row.index, {}, row.question, row.fault, row.messages, row.form),
            context.model_dump(mode="json"),
        )
        try:
            return RowOutcome.model_validate(await under_way)
        except asyncio.CancelledError:
            self._ray.cancel(under_way)
            raise

    async def forget(self, index: int, /) -> None:
        """Have the row's worker drop its thread."""
        await self._actors[index % len(self._actors)].forget.remote(index)
