"""Lanes: models that share one piece of hardware, or one rate limit, take turns.

A lane is as wide as its section in the council says, else as the smallest `concurrency` that one
of its models states; where nobody does, it is no limit. A model with a `concurrency` and no lane
has a lane of its own. Lanes hold within an event loop, across the councils in it that name the
same lane with the same settings.

Turns are first come, first served, but for this: where models of this machine share a lane, those
in memory go before those that would have to be loaded (`models.planner`). A fan-out announces its
calls (`Lane.expect`), so that one that comes a moment later is not overtaken by a load.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Hashable, Iterable, Sequence
from types import TracebackType
from typing import Self

from mom_council.councils.schema import Council
from mom_council.models.planner import Plan, plan, to_leave
from mom_council.models.rates import RateWindow, SentRequest
from mom_council.models.voices import LOCAL, ModelInstance, instance_of, settled

PATIENCE = 1.0
"""Seconds that a free place is kept for an announced call that goes first by the plan."""
OVERTAKEN = 64
"""Younger calls that may go before an older one: nobody waits for ever."""


class Turn:
    """A place in a lane's queue, and the turn that it becomes; `async with` waits for it."""

    def __init__(self, lane: Lane, voice: ModelInstance, *, announced: bool = False) -> None:
        self._lane = lane
        self.voice = voice
        self.announced = announced
        self.number = 0
        self.overtaken = 0
        self.leaving: list[ModelInstance] = []
        """Who has to leave memory before this one is loaded."""
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
        let_go: takes a model out of memory; None leaves that to whoever serves it.
    """

    def __init__(
        self,
        width: int | None = None,
        *,
        name: str = "",
        fits: int | None = None,
        plans: bool = False,
        allowance: RateWindow | None = None,
        let_go: Callable[[ModelInstance], Awaitable[None]] | None = None,
    ) -> None:
        self.name = name
        self.width = width
        self.fits = fits
        self.plans = plans
        self.measured: int | None = None
        """How many were found to fit, where the council does not say."""
        self.loaded: list[ModelInstance] = []
        """In memory as far as is known, the longest unused first."""
        self.let_go = let_go
        self._running: Counter[ModelInstance] = Counter()
        self._waiting: list[Turn] = []
        self._expected: list[tuple[ModelInstance, float]] = []
        """Announced calls that are not here yet, and until when they are waited for."""
        self._ahead: Sequence[Collection[ModelInstance]] = ()
        self._count = 0
        self.allowance = allowance
        self._gate = asyncio.Lock()

    @property
    def room(self) -> int:
        """How many models are taken to fit."""
        return self.fits or self.measured or 1

    # What fan-outs and calls say.

    def expect(
        self, calls: Iterable[ModelInstance], ahead: Sequence[Collection[ModelInstance]] = ()
    ) -> Plan[ModelInstance]:
        """Announce the calls of a fan-out, and the fan-outs that are to follow it."""
        calls = list(calls)
        self._ahead = ahead
        loop = asyncio.get_running_loop()
        until = loop.time() + PATIENCE
        self._expected += [(voice, until) for voice in calls]
        loop.call_at(until + 0.001, self._deal)
        return plan(calls, self.loaded, self.room, ahead)

    def withdraw(self, voice: ModelInstance) -> None:
        """An announced call does not need a turn after all: its answer was in a cache."""
        if self._forget(voice):
            self._deal()

    def _forget(self, voice: ModelInstance) -> bool:
        for place, (expected, _) in enumerate(self._expected):
            if expected == voice:
                del self._expected[place]
                return True
        return False

    def turn(self, voice: ModelInstance, *, announced: bool = False) -> Turn:
        """A turn for a call, which may be one that was announced."""
        return Turn(self, voice, announced=announced)

    def found(self, there: Collection[ModelInstance], among: Collection[ModelInstance]) -> None:
        """Take note of which of some voices are in memory, from those who know."""
        held = {*there, *self._running}
        known = [voice for voice in self.loaded if voice in held or voice not in among]
        self.loaded = known + [voice for voice in among if voice in held and voice not in known]

    async def take(self, turn: Turn) -> None:
        """Wait for a turn, and have those leave memory who must."""
        loop = asyncio.get_running_loop()
        turn.granted = loop.create_future()
        self._count += 1
        turn.number = self._count
        self._waiting.append(turn)
        if turn.announced:
            self._forget(turn.voice)
        if self.plans:
            loop.call_soon(self._deal)  # who comes at the same moment is chosen from, too
        else:
            self._deal()
        try:
            await turn.granted
            if self.let_go is not None:
                for voice in turn.leaving:
                    await self.let_go(voice)
        except BaseException:
            if turn in self._waiting:
                self._waiting.remove(turn)
                self._deal()
            else:
                self.leave(turn)
            raise

    def leave(self, turn: Turn) -> None:
        """A turn is over."""
        self._running[turn.voice] -= 1
        self._running += Counter()  # without those at zero
        self._deal()

    async def admit(
        self, tokens: float, told: Callable[[str, float], None] | None
    ) -> SentRequest | None:
        """Wait until the rate limits allow a request of so many tokens; first come, first served.

        `told` is called with the lane's name and the seconds, before they are waited.
        """
        if self.allowance is None:
            return None
        now = asyncio.get_running_loop().time
        async with self._gate:
            while (wait := self.allowance.wait(tokens, now())) > 0:
                if told is not None:
                    told(self.name, wait)
                await asyncio.sleep(wait)
            return self.allowance.send(tokens, now())

    # Whose turn it is.

    def _deal(self) -> None:
        """Grant every turn that can be granted."""
        while self._waiting and self._has_place() and (turn := self._next()):
            self._grant(turn)

    def _has_place(self) -> bool:
        return self.width is None or self._running.total() < self.width

    def _next(self) -> Turn | None:
        oldest = self._waiting[0]
        if not self.plans:
            return oldest
        if oldest.overtaken >= OVERTAKEN:
            return oldest if self._goes_in(oldest.voice) else None
        ready = [turn for turn in self._waiting if turn.voice in self.loaded]
        if ready:
            return next((turn for turn in ready if self._goes_in(turn.voice)), None)
        wanted = [*(turn.voice for turn in self._waiting), *self._awaited()]
        voice = plan(wanted, self.loaded, self.room, self._ahead).order[0]
        if not self._goes_in(voice) or self._would_cost_a_load(voice):
            return None
        # None also where it goes first and is still to come, which is waited for.
        return next((turn for turn in self._waiting if turn.voice == voice), None)

    def _goes_in(self, voice: ModelInstance) -> bool:
        """Whether there is room beside those who are speaking."""
        return self.fits is None or voice in self._running or len(self._running) < self.fits

    def _would_cost_a_load(self, voice: ModelInstance) -> bool:
        """Whether room for it would be made by one that is to stay, because the others speak."""
        if self.fits is None or len(self.loaded) < self.fits or not self._running:
            return False
        gone, stays = self._leaves(voice)
        return gone is None or gone in stays

    def _awaited(self) -> list[ModelInstance]:
        now = asyncio.get_running_loop().time()
        self._expected = [(voice, until) for voice, until in self._expected if until > now]
        return [voice for voice, _ in self._expected]

    def _grant(self, turn: Turn) -> None:
        self._waiting.remove(turn)
        for older in self._waiting:
            older.overtaken += older.number < turn.number
        self._running[turn.voice] += 1
        if self.plans:
            self._bring_in(turn)
        if turn.granted is not None and not turn.granted.done():
            turn.granted.set_result(None)

    def _bring_in(self, turn: Turn) -> None:
        """Take note that its model is loaded, and of who makes room for it."""
        if turn.voice in self.loaded:
            self.loaded.remove(turn.voice)
        else:
            while len(self.loaded) >= self.room:
                gone, _ = self._leaves(turn.voice)
                if gone is None:
                    break
                self.loaded.remove(gone)
                turn.leaving.append(gone)
        self.loaded.append(turn.voice)

    def _leaves(
        self, voice: ModelInstance
    ) -> tuple[ModelInstance | None, Collection[ModelInstance]]:
        """Who would make room for a model, and who is to be in memory when all have spoken."""
        waiting = [one.voice for one in self._waiting]
        wanted = [voice, *self._running, *waiting, *self._awaited()]
        stays = plan(wanted, self.loaded, self.room, self._ahead).stays
        # Where all are wanted, whoever is not speaking comes back later.
        others = [one for one in self.loaded if one not in self._running]
        return to_leave(self.loaded, wanted, stays) or next(iter(others), None), stays


Lanes = dict[Hashable, Lane]


def lane_of(lanes: Lanes, council: Council, key: str) -> Lane | None:
    """The lane of a model, None where it shares nothing and has no limit."""
    spec = council.models[key]
    section = None if spec.lane is None else council.lanes.get(spec.lane)
    sharing = {key: spec}
    if spec.lane is not None:
        sharing = {name: one for name, one in council.models.items() if one.lane == spec.lane}
    width = min((one.concurrency for one in sharing.values() if one.concurrency), default=None)
    if section is not None:
        width = section.concurrency or width
    elif width is None:
        return None
    named: Hashable = (spec.lane or (spec.provider, spec.base_url, spec.model), width, section)
    lane = lanes.get(named)
    if lane is None:
        lane = lanes[named] = Lane(width, name=spec.lane or key)
        if section is not None:
            lane.fits, lane.let_go = section.fits, unload if section.fits else None
            if section.rpm or section.tpm:
                lane.allowance = RateWindow(section.rpm, section.tpm)
    by_plan = section is None or section.order == "planned"
    if by_plan and not lane.plans and any(one.provider in LOCAL for one in sharing.values()):
        lane.plans = len({instance_of(settled(council, name)) for name in sharing}) > 1
    return lane


async def unload(voice: ModelInstance) -> None:
    """Take a model out of memory."""
    from mom_council.models.memory import unload_instance

    await unload_instance(voice)
