"""Around a fan-out: cool the hardware, plan the lanes, and race the branches against each other.

LangGraph's superstep waits for its slowest branch. Here each branch races its own call against the
branches beside it: with a quorum below 1, the quorum's last answer starts a grace period, and what
is still running at its end is cancelled, its connection to the model included.
"""

from __future__ import annotations

import asyncio
import math
import os
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Any, TypeVar

from langchain_core.callbacks import adispatch_custom_event
from langgraph.runtime import Runtime

from mom_council.councils.schema import Council, Deliberation
from mom_council.deliberation.context import CouncilContext
from mom_council.deliberation.events import Heat, Planned, emit
from mom_council.deliberation.schedule import next_voters
from mom_council.deliberation.selectors import current_turn, notes_of, pending_speakers
from mom_council.deliberation.state import CouncilState
from mom_council.models.clients import loop_resources
from mom_council.models.lanes import announce_calls
from mom_council.models.resolved import resolve_model
from mom_council.models.retry import OwnTime, listening
from mom_council.models.thermal import ThermalReport, cool_down, with_limit_of_environment
from mom_council.records import Note


async def wait_until_cool(
    state: CouncilState, runtime: Runtime[CouncilContext], council: Council
) -> Note | None:
    """Wait while a GPU is above the council's limit; what there is to note, when it was in vain.

    Having waited in vain once, a question does not wait again.

    Raises:
        ThermalError: it stayed too hot, and the council says to stop then.
    """
    if council.thermal is None or _waited_in_vain(state):
        return None

    def report(poll: ThermalReport) -> None:
        runtime.heartbeat()
        _tell(state, runtime, poll)

    policy = with_limit_of_environment(council.thermal, os.environ)
    outcome = await cool_down(policy, report=report)
    if outcome.state != "gave_up":
        return None
    text = f"The GPU stayed above {policy.limit:g} °C; the council went on."
    return Note(kind="stayed_hot", text=text)


async def is_cool_now(
    state: CouncilState, runtime: Runtime[CouncilContext], council: Council
) -> bool:
    """Whether there is nothing to wait for, by one reading; then it is told as the node tells it.

    So a council on cool hardware, or on none that can be read, spends no superstep on the wait.
    """
    if council.thermal is not None and not _waited_in_vain(state):
        policy = with_limit_of_environment(council.thermal, os.environ)
        polls: list[ThermalReport] = []
        once = policy.model_copy(update={"max_wait": 0.0, "then": "proceed"})
        outcome = await cool_down(once, report=polls.append)
        if outcome.state == "gave_up":
            return False
        for poll in polls:
            _tell(state, runtime, poll.model_copy(update={"remaining": policy.max_wait}))
    await announce_turns(state, runtime, council)
    return True


def _waited_in_vain(state: CouncilState) -> bool:
    return any(note.kind == "stayed_hot" for note in notes_of(state))


def _tell(state: CouncilState, runtime: Runtime[CouncilContext], poll: ThermalReport) -> None:
    turn = current_turn(state)
    is_first_wait = turn.round <= 1 and turn.layer <= 1 and not state.get("proposals")
    if poll.state != "no_sensor" or is_first_wait:  # said once a question
        emit(runtime, Heat(**{**poll.model_dump(), "device": poll.device or ""}))


async def announce_turns(
    state: CouncilState, runtime: Runtime[CouncilContext], council: Council
) -> None:
    """Announce the calls of the fan-out that comes next, and tell the order they will take."""
    if all(model.lane is None for model in council.models.values()):
        return
    speakers = pending_speakers(state)
    names = speakers or next_voters(state, council)
    calls = [resolve_model(council, council.character(name).model) for name in names]
    ahead = [
        [resolve_model(council, key) for key in keys]
        for keys in _ahead(state, council, voting=not speakers)
    ]
    for order in await announce_calls((await loop_resources()).lanes, calls, ahead):
        planned = Planned(
            lane=order.lane,
            round=current_turn(state).round,
            models=order.models,
            calls=order.calls,
            loaded=order.loaded,
            loads=order.loads,
            unplanned=order.unplanned,
        )
        emit(runtime, planned)
        await _trace(planned)


def _ahead(state: CouncilState, council: Council, *, voting: bool) -> list[set[str]]:
    """The models of the fan-outs that are sure to follow, the synthesizer's last."""

    def of(names: Iterable[str]) -> set[str]:
        return {council.character(name).model for name in names}

    turn, rules = current_turn(state), council.deliberation
    layers = [of(layer) for layer in council.seats]
    voters = of(who.name for who in council.characters if who.votes)
    votes = [voters] if rules.asks_voters else []
    this_round = [] if voting else [*layers[turn.layer :], *votes]
    further = max(0, rules.rounds.min - turn.round)
    return [*this_round, *[*layers, *votes] * further, {council.synthesizer.model}]


async def _trace(planned: Planned) -> None:
    """Write the plan into the trace, where there is one."""
    turns = ", ".join(f"{m} x {n}" for m, n in zip(planned.models, planned.calls, strict=True))
    line = f"lane {planned.lane}: {turns}; {planned.loads} loads instead of {planned.unplanned}"
    try:
        await adispatch_custom_event("plan", line)
    except RuntimeError:
        return  # nobody listens


T = TypeVar("T")


class TooLate(Exception):  # noqa: N818 - it ends a branch, it is no error
    """Enough others had answered, and the grace period was over."""


class OutOfTime(Exception):  # noqa: N818
    """The question's own time was over."""


def never(_: object) -> bool:
    """Nothing settles the race before its time."""
    return False


class Race:
    """One fan-out in progress.

    It is run on the speakers' own time: what one waits for its turn in a lane, for a load or for a
    rate limit makes it no later than the others.

    Args:
        enough: answers that end the waiting; None waits for everyone.
        grace: seconds of their own that the others get from then on.
        seats: how many branches there are.
        ended: called when the last of them is through.
    """

    def __init__(
        self,
        enough: int | None,
        grace: float,
        seats: int = 0,
        ended: Callable[[], object] = lambda: None,
    ) -> None:
        self._enough = enough
        self._grace = grace
        self._left = seats
        self._ended = ended
        self._answers: list[Any] = []
        self._took: list[float] = []
        """The own time of each answer."""
        self._limit = math.inf
        """The own time after which a speaker is late."""
        self._news: set[asyncio.Event] = set()
        self._clock = asyncio.get_running_loop().time
        self._began = self._clock()
        self.settled = False

    @property
    def waits_for_all(self) -> bool:
        """Whether nobody is let go for being slow."""
        return self._enough is None

    async def run(
        self,
        call: Awaitable[T],
        *,
        counts: Callable[[T], bool] = lambda _: True,
        settles: Callable[[list[T]], bool] = never,
        seconds: float | None = None,
    ) -> T:
        """Await `call` unless the race is over first.

        Args:
            call: the branch's own work.
            counts: whether its result counts towards enough.
            settles: whether the results so far end a race at once, without grace, also one that
                waits for everyone.
            seconds: the question's remaining time, None for no limit.

        Raises:
            TooLate: the grace period ended before the call did.
            OutOfTime: `seconds` were over before the call was.
        """
        if self._enough is None and settles is never and seconds is None:
            try:
                return await call  # nothing can end it before its time
            finally:
                self._leave()
        news = asyncio.Event()
        own = OwnTime(self._clock, news.set, self._began)
        with listening(own.take):
            task = asyncio.ensure_future(call)
        if self.settled or own.seconds >= self._limit:
            task.cancel()  # before its first step: who comes too late sends no request
        self._news.add(news)
        try:
            await self._until_done(task, own, news, seconds)
            if task.cancelled() and (self.settled or own.seconds >= self._limit):
                raise TooLate
            result = task.result()
            if counts(result):
                self._answer(result, own.seconds, settles)
            return result
        finally:
            self._news.discard(news)
            if not task.done():
                task.cancel()
                await asyncio.wait({task})  # until the connection is closed
            self._leave()

    def _leave(self) -> None:
        self._left -= 1
        if self._left == 0:
            self._ended()

    async def _until_done(
        self, task: asyncio.Future[Any], own: OwnTime, news: asyncio.Event, seconds: float | None
    ) -> None:
        """Wait for a call, as long as the race does."""
        end = math.inf if seconds is None else self._clock() + seconds
        task.add_done_callback(lambda _: news.set())
        while not task.done():
            news.clear()
            limit = math.inf if own.is_waiting else self._limit - own.seconds
            left = min(limit, end - self._clock())
            if self.settled or limit <= 0:
                raise TooLate
            if left <= 0:
                raise OutOfTime
            with suppress(TimeoutError):
                async with asyncio.timeout(None if left == math.inf else left):
                    await news.wait()

    def _answer(self, result: T, took: float, settles: Callable[[list[T]], bool]) -> None:
        self._answers.append(result)
        self._took.append(took)
        if settles(self._answers):
            self.settled = True
        elif len(self._answers) == self._enough:
            self._limit = max(self._took) + self._grace
        for news in self._news:
            news.set()


class Races:
    """The races of a graph, found by the superstep that their branches share."""

    KEPT = 4096  # of a cancelled run, a race is never through

    def __init__(self) -> None:
        self._races: OrderedDict[tuple[str, ...], Race] = OrderedDict()

    def __len__(self) -> int:
        return len(self._races)

    def join(self, runtime: Runtime[Any], rules: Deliberation, seats: int) -> Race:
        """The race of this superstep, begun by whichever branch comes first."""
        key = superstep_of(runtime)
        race = self._races.get(key)
        if race is None:
            needed = max(1, math.ceil(rules.quorum * seats))
            enough = None if needed >= seats else needed
            race = Race(enough, rules.grace, seats, lambda: self._races.pop(key, None))
            self._races[key] = race
            if len(self._races) > self.KEPT:
                self._races.popitem(last=False)
        return race


def superstep_of(runtime: Runtime[Any]) -> tuple[str, ...]:
    """What names the superstep of a node: its siblings have the same."""
    at = runtime.execution_info
    if at is None:
        raise RuntimeError("a race needs LangGraph's execution_info; a node runs in a graph")
    # A task's namespace ends in the task's own id; its siblings share what stands before it.
    parent = at.checkpoint_ns.rpartition("|")[0]
    return (at.thread_id or "", at.run_id or "", parent, at.checkpoint_id)
