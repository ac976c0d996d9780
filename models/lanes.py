"""Lanes: models that share one piece of hardware, or one rate limit, take turns.

A lane is as wide as its section in the council says, else as the smallest `concurrency` that one
of its models states; where nobody does, it is no limit. Lanes hold within an event loop, across the
councils in it that name the same lane with the same settings.

Turns are first come, first served, but for this: where models of this machine share a lane, those
in memory go before those that would have to be loaded (`models.memory`). A fan-out announces its
calls (`announce_calls`), so that one that comes a moment later is not overtaken by a load.

A rate limit is a window that slides over what was sent: no minute holds more than is allowed,
wherever it begins. (A bucket that refills would let nearly twice as much through in the minute
after a pause, and the vendor would answer 429.) Tokens are estimated when a request goes out and
put right when its answer has told.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import (
    Awaitable,
    Callable,
    Collection,
    Hashable,
    Iterable,
    Mapping,
    Sequence,
)
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from mom_council.models import memory
from mom_council.models.memory import LoadPlan, loads_as_they_come, plan, to_leave
from mom_council.models.resolved import LaneSettings, ModelInstance, ResolvedModel
from mom_council.models.retry import Wait, wait_teller
from mom_council.vendors.profile import ANSWER_BOUNDS

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage

    from mom_council.councils.schema import Model


PATIENCE = 1.0
"""Seconds that a free place is kept for an announced call that goes first by the plan."""
OVERTAKEN = 64
"""Younger calls that may go before an older one: nobody waits for ever."""


class Turn:
    """A place in a lane's queue, and the turn that it becomes; `async with` waits for it."""

    def __init__(self, lane: Lane, instance: ModelInstance, *, announced: bool = False) -> None:
        self._lane = lane
        self.instance = instance
        self.announced = announced
        self.number = 0
        self.overtaken = 0
        self.leaving: list[ModelInstance] = []
        """Who has to leave memory before this one is loaded."""
        self.place = 0
        """In the queue, as was told last."""
        self.loads = False
        """Whether its model has to be loaded first."""
        self.tell = wait_teller()
        self.granted: asyncio.Future[None] | None = None

    async def __aenter__(self) -> Self:
        """Wait for the turn."""
        await self._lane.take(self)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give it up."""
        self._lane.leave(self)


class Lane:
    """One lane of one event loop.

    Args:
        width: calls at a time; None is no limit.
        name: what the council calls it.
        fits: how many models fit into memory at once, where the council says; None: unknown.
        plans: whether its models are loaded, so that their order matters.
        allowance: its rate limits.
        unload: takes a model out of memory; None leaves that to whoever serves it.
    """

    def __init__(
        self,
        width: int | None = None,
        *,
        name: str = "",
        fits: int | None = None,
        plans: bool = False,
        allowance: RateWindow | None = None,
        unload: Callable[[ModelInstance], Awaitable[None]] | None = None,
    ) -> None:
        self.name = name
        self.width = width
        self.fits = fits
        self.plans = plans
        self.measured: int | None = None
        """How many were found to fit, where the council does not say."""
        self.loaded: list[ModelInstance] = []
        """In memory as far as is known, the longest unused first."""
        self.unload = unload
        self._running: Counter[ModelInstance] = Counter()
        self._waiting: list[Turn] = []
        self._expected: list[tuple[ModelInstance, float]] = []
        """Announced calls that are not here yet, and until when they are waited for."""
        self._ahead: Sequence[Collection[ModelInstance]] = ()
        self._count = 0
        self.allowance = allowance
        self._gate = asyncio.Lock()

    @property
    def capacity(self) -> int:
        """How many models are taken to fit."""
        return self.fits or self.measured or 1

    # What fan-outs and calls say.

    def expect(
        self, calls: Iterable[ModelInstance], ahead: Sequence[Collection[ModelInstance]] = ()
    ) -> LoadPlan[ModelInstance]:
        """Announce the calls of a fan-out, and the fan-outs that are to follow it."""
        calls = list(calls)
        self._ahead = ahead
        loop = asyncio.get_running_loop()
        until = loop.time() + PATIENCE
        self._expected += [(instance, until) for instance in calls]
        loop.call_at(until + 0.001, self._deal)
        return plan(calls, self.loaded, self.capacity, ahead)

    def withdraw(self, instance: ModelInstance) -> None:
        """An announced call does not need a turn after all: its answer was in a cache."""
        if self._forget(instance):
            self._deal()

    def _forget(self, instance: ModelInstance) -> bool:
        for place, (expected, _) in enumerate(self._expected):
            if expected == instance:
                del self._expected[place]
                return True
        return False

    def turn(self, instance: ModelInstance, *, announced: bool = False) -> Turn:
        """A turn for a call, which may be one that was announced."""
        return Turn(self, instance, announced=announced)

    def note_loaded(
        self, there: Collection[ModelInstance], among: Collection[ModelInstance]
    ) -> None:
        """Take note of which of some instances are in memory, from those who know."""
        present = {*there, *self._running}
        still_loaded = [
            instance for instance in self.loaded if instance in present or instance not in among
        ]
        self.loaded = still_loaded + [
            instance for instance in among if instance in present and instance not in still_loaded
        ]

    async def take(self, turn: Turn) -> None:
        """Wait for a turn, and have those leave memory who must."""
        loop = asyncio.get_running_loop()
        turn.granted = loop.create_future()
        self._count += 1
        turn.number = self._count
        self._waiting.append(turn)
        if turn.announced:
            self._forget(turn.instance)
        if self.plans:
            loop.call_soon(self._deal)  # who comes at the same moment is chosen from, too
        else:
            self._deal()
        try:
            await turn.granted
            if self.unload is not None:
                for instance in turn.leaving:
                    await self.unload(instance)
        except BaseException:
            if turn in self._waiting:
                turn.tell(None)
                self._waiting.remove(turn)
                self._deal()
            else:
                self.leave(turn)
            raise

    def leave(self, turn: Turn) -> None:
        """A turn is over."""
        if turn.loads:
            turn.tell(None)
        self._running[turn.instance] -= 1
        self._running += Counter()  # without those at zero
        self._deal()

    async def admit(
        self, tokens: float, notify: Callable[[str, float], None] | None
    ) -> SentRequest | None:
        """Wait until the rate limits allow a request of so many tokens; first come, first served.

        `told` is called with the lane's name and the seconds, before they are waited.
        """
        if self.allowance is None:
            return None
        now, tell = asyncio.get_running_loop().time, wait_teller()
        waited = self._gate.locked()
        if waited:
            tell(Wait("rate limit", self.name))
        try:
            async with self._gate:
                while (wait := self.allowance.wait(tokens, now())) > 0:
                    waited = True
                    tell(Wait("rate limit", self.name, seconds=wait))
                    if notify is not None:
                        notify(self.name, wait)
                    await asyncio.sleep(wait)
                return self.allowance.send(tokens, now())
        finally:
            if waited:
                tell(None)

    # Whose turn it is.

    def _deal(self) -> None:
        """Grant every turn that can be granted."""
        while self._waiting and self._has_place() and (turn := self._next()):
            self._grant(turn)
        for place, turn in enumerate(self._waiting, 1):
            if turn.place != place:
                turn.place = place
                turn.tell(Wait("lane", self.name, place))

    def _has_place(self) -> bool:
        return self.width is None or self._running.total() < self.width

    def _next(self) -> Turn | None:
        oldest = self._waiting[0]
        if not self.plans:
            return oldest
        if oldest.overtaken >= OVERTAKEN:
            return oldest if self._goes_in(oldest.instance) else None
        ready = [turn for turn in self._waiting if turn.instance in self.loaded]
        if ready:
            return next((turn for turn in ready if self._goes_in(turn.instance)), None)
        upcoming = [*(turn.instance for turn in self._waiting), *self._awaited()]
        instance = plan(upcoming, self.loaded, self.capacity, self._ahead).order[0]
        if not self._goes_in(instance) or self._would_cost_a_load(instance):
            return None
        # None also where it goes first and is still to come, which is waited for.
        return next((turn for turn in self._waiting if turn.instance == instance), None)

    def _goes_in(self, instance: ModelInstance) -> bool:
        """Whether there is room beside those who are speaking."""
        return self.fits is None or instance in self._running or len(self._running) < self.fits

    def _would_cost_a_load(self, instance: ModelInstance) -> bool:
        """Whether room for it would be made by one that is to stay, because the others speak."""
        if self.fits is None or len(self.loaded) < self.fits or not self._running:
            return False
        leaver, stays = self._leaves(instance)
        return leaver is None or leaver in stays

    def _awaited(self) -> list[ModelInstance]:
        now = asyncio.get_running_loop().time()
        self._expected = [(instance, until) for instance, until in self._expected if until > now]
        return [instance for instance, _ in self._expected]

    def _grant(self, turn: Turn) -> None:
        self._waiting.remove(turn)
        for older in self._waiting:
            older.overtaken += older.number < turn.number
        self._running[turn.instance] += 1
        if self.plans:
            self._bring_in(turn)
        if turn.place or turn.loads:
            turn.tell(Wait("load", self.name) if turn.loads else None)
        if turn.granted is not None and not turn.granted.done():
            turn.granted.set_result(None)

    def _bring_in(self, turn: Turn) -> None:
        """Take note that its model is loaded, and of who makes room for it."""
        if turn.instance in self.loaded:
            self.loaded.remove(turn.instance)
        else:
            turn.loads = True
            while len(self.loaded) >= self.capacity:
                leaver, _ = self._leaves(turn.instance)
                if leaver is None:
                    break
                self.loaded.remove(leaver)
                turn.leaving.append(leaver)
        self.loaded.append(turn.instance)

    def _leaves(
        self, instance: ModelInstance
    ) -> tuple[ModelInstance | None, Collection[ModelInstance]]:
        """Who would make room for a model, and who is to be in memory when all have spoken."""
        waiting = [one.instance for one in self._waiting]
        upcoming = [instance, *self._running, *waiting, *self._awaited()]
        stays = plan(upcoming, self.loaded, self.capacity, self._ahead).stays
        # Where all are wanted, whoever is not speaking comes back later.
        others = [one for one in self.loaded if one not in self._running]
        return to_leave(self.loaded, upcoming, stays) or next(iter(others), None), stays


Lanes = dict[Hashable, Lane]


def open_lane(lanes: Lanes, settings: LaneSettings | None) -> Lane | None:
    """The lane of a model in an event loop; None where it has none."""
    if settings is None:
        return None
    rules = settings.rules
    key: Hashable = (settings.shared, settings.width, rules)
    lane = lanes.get(key)
    if lane is None:
        lane = lanes[key] = Lane(settings.width, name=settings.name)
        if rules is not None:
            lane.fits, lane.unload = rules.fits, memory.unload_instance if rules.fits else None
            if rules.rpm or rules.tpm:
                lane.allowance = RateWindow(rules.rpm, rules.tpm)
    lane.plans = lane.plans or settings.plans
    return lane


@dataclass(frozen=True, slots=True)
class LanePlan:
    """In which order one lane takes the calls of a fan-out."""

    lane: str
    models: tuple[str, ...]
    """By their keys in the council, each once."""
    calls: tuple[int, ...]
    """How many each has."""
    loaded: tuple[str, ...]
    """Those of them that are in memory already."""
    loads: int
    unplanned: int
    """The loads if calls were served as they come."""


async def announce_calls(
    lanes: Lanes,
    calls: Sequence[ResolvedModel],
    ahead: Sequence[Collection[ResolvedModel]] = (),
) -> list[LanePlan]:
    """Announce the calls of a fan-out; the plans of the lanes in which there is an order to choose.

    Args:
        lanes: of the event loop.
        calls: the model of each call, in the order of the seats.
        ahead: the models of the fan-outs that are to follow.
    """
    planning: dict[int, tuple[Lane, list[ResolvedModel]]] = {}
    for model in calls:
        lane = open_lane(lanes, model.lane)
        if lane is not None and lane.plans:
            planning.setdefault(id(lane), (lane, []))[1].append(model)
    return [await _announce(lane, mine, ahead) for lane, mine in planning.values()]


async def _announce(
    lane: Lane, models: Sequence[ResolvedModel], ahead: Sequence[Collection[ResolvedModel]]
) -> LanePlan:
    later = [[one for one in some if one.lane and one.lane.name == lane.name] for some in ahead]
    names: dict[ModelInstance, str] = {}
    for model in (*models, *(one for some in later for one in some)):
        names.setdefault(model.instance, model.key)
    calls = [model.instance for model in models]
    await update_loaded(lane, [*names])
    loaded = [*lane.loaded]
    order = lane.expect(calls, [{one.instance for one in some} for some in later]).order
    number = Counter(calls)
    return LanePlan(
        lane=lane.name,
        models=tuple(names[one] for one in order),
        calls=tuple(number[one] for one in order),
        loaded=tuple(names[one] for one in order if one in loaded),
        loads=sum(one not in loaded for one in order),
        unplanned=loads_as_they_come(calls, loaded, lane.capacity),
    )


async def update_loaded(lane: Lane, instances: Sequence[ModelInstance]) -> None:
    """Find out which of a lane's models are in memory, and once, how many fit."""
    loaded, observed = await memory.loaded_among(instances)
    lane.note_loaded(loaded, observed)
    if lane.fits is not None:
        return
    if lane.measured is None:
        capacity = await memory.measure_capacity(instances)
        lane.measured = capacity.models
        if capacity.unloads:
            # These engines are ours: nobody else makes room among them.
            lane.fits, lane.unload = capacity.models, memory.unload_instance
    lane.measured = max(len(loaded), lane.measured)


_ANSWER = 500
"""Tokens an answer is taken to have where the council sets no bound."""


@dataclass(slots=True)
class SentRequest:
    """One request in the window."""

    at: float
    tokens: float


@dataclass(slots=True)
class RateWindow:
    """What one key may send.

    Args:
        requests: at most, in any `period`; None is no limit.
        tokens: at most, read and written together; None is no limit.
        period: seconds.
    """

    requests: int | None
    tokens: int | None
    period: float = 60.0
    _sent: deque[SentRequest] = field(default_factory=deque)

    def wait(self, tokens: float, now: float) -> float:
        """Seconds until a request of so many tokens may go; 0: now.

        One that is larger than the whole limit goes when nothing else is in the window.
        """
        while self._sent and self._sent[0].at <= now - self.period:
            self._sent.popleft()
        until = now
        if self.requests is not None and len(self._sent) >= self.requests:
            until = self._sent[len(self._sent) - self.requests].at + self.period
        if self.tokens is not None:
            over = sum(one.tokens for one in self._sent) + min(tokens, self.tokens) - self.tokens
            for one in self._sent:
                if over <= 0:
                    break
                over -= one.tokens
                until = max(until, one.at + self.period)
        return until - now

    def send(self, tokens: float, now: float) -> SentRequest:
        """Note a request; put its `tokens` right when they are known."""
        sent = SentRequest(now, tokens)
        self._sent.append(sent)
        return sent


def estimate_tokens(messages: Sequence[BaseMessage], spec: Model) -> float:
    """Tokens that a request may take: a quarter of its characters, and its answer."""
    most = answer_bound(spec.params) or _ANSWER
    return sum(len(message.text) for message in messages) / 4 + float(most)


def answer_bound(params: Mapping[str, Any]) -> int | None:
    """The most tokens that an answer may have, as the parameters say; None: they do not."""
    bounds = (params.get(name) for name in ANSWER_BOUNDS)
    return next((bound for bound in bounds if isinstance(bound, int) and bound > 0), None)
