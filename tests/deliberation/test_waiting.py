"""What a speaker waits for, beside its model, makes it no later; on a clock that tests turn."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any

import pytest

from mom_council.deliberation.events import Event, ModelAsked, Speaker, Waited
from mom_council.deliberation.fan_out import Race, TooLate
from mom_council.models.lanes import Lane, RateWindow
from mom_council.models.resolved import ModelInstance
from mom_council.models.retry import Wait, listening, wait_teller
from mom_council.runs.follow import RunView
from mom_council.runs.words import held_back, ordinal, wait_in_words
from mom_council.tests.graph.desk import desk, seat, told
from mom_council.tests.stage import Stage


class Clock(selectors.DefaultSelector):  # type: ignore[misc, valid-type]
    """A selector that turns the clock on instead of waiting."""

    now = 0.0

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0)
        if not ready and timeout:
            self.now += timeout
        return ready


def on_a_turned_clock(work: Coroutine[Any, Any, Any]) -> Any:
    """Run something on an event loop whose clock jumps to whatever comes next."""
    clock = Clock()
    loop = asyncio.SelectorEventLoop(clock)
    loop.time = lambda: clock.now  # type: ignore[method-assign]
    try:
        return loop.run_until_complete(work)
    finally:
        loop.close()


def model(name: str) -> ModelInstance:
    return ModelInstance("ollama", None, name)


async def race_on(lane: Lane, race: Race, seconds: list[float]) -> list[Any]:
    """Speakers of so many seconds each, all on one lane; what became of each."""

    async def speak(own: float) -> float:
        async with lane.turn(model("m")):
            await asyncio.sleep(own)
        return own

    running = [race.run(speak(own)) for own in seconds]
    return await asyncio.gather(*running, return_exceptions=True)


def test_who_waits_for_the_lane_is_not_late() -> None:
    async def work() -> list[Any]:
        return await race_on(Lane(1, name="gpu"), Race(3, 5.0, 5), [30.0] * 5)

    assert on_a_turned_clock(work()) == [30.0] * 5


def test_who_is_slow_itself_is_late_though_it_had_to_wait_too() -> None:
    async def work() -> list[Any]:
        return await race_on(Lane(1, name="gpu"), Race(2, 5.0, 4), [30.0, 20.0, 34.0, 36.0])

    *in_time, late = on_a_turned_clock(work())
    assert in_time == [30.0, 20.0, 34.0]
    assert isinstance(late, TooLate)


def test_without_a_wait_the_race_is_as_it_was() -> None:
    async def work() -> list[Any]:
        return await race_on(Lane(None), Race(2, 5.0, 4), [1.0, 10.0, 14.0, 16.0])

    *in_time, late = on_a_turned_clock(work())
    assert in_time == [1.0, 10.0, 14.0]
    assert isinstance(late, TooLate)


def test_who_is_let_go_while_it_waits_leaves_the_queue() -> None:
    async def work() -> tuple[list[Any], float]:
        lane, race = Lane(1, name="gpu"), Race(None, 0.0, 3)

        async def speak(own: float) -> float:
            async with lane.turn(model("m")):
                await asyncio.sleep(own)
            return own

        running = [race.run(speak(own), settles=lambda got: len(got) == 1) for own in (3.0, 4, 5)]
        came = await asyncio.gather(*running, return_exceptions=True)
        async with lane.turn(model("m")):
            return came, asyncio.get_running_loop().time()

    came, now = on_a_turned_clock(work())
    assert came[0] == 3.0
    assert [type(one) for one in came[1:]] == [TooLate, TooLate]
    assert now == 3.0


def test_the_queue_tells_each_its_place_and_the_end_of_its_wait() -> None:
    told_to: dict[str, list[Wait | None]] = {}

    async def work() -> None:
        lane = Lane(1, name="gpu")

        async def speak(name: str) -> None:
            with listening(told_to.setdefault(name, []).append):
                async with lane.turn(model("m")):
                    await asyncio.sleep(1)

        await asyncio.gather(*(speak(name) for name in "abc"))

    on_a_turned_clock(work())
    assert told_to["a"] == []
    assert told_to["b"] == [Wait("lane", "gpu", 1), None]
    assert told_to["c"] == [Wait("lane", "gpu", 2), Wait("lane", "gpu", 1), None]


def test_a_load_is_a_wait_until_the_model_has_spoken() -> None:
    told_to: list[Wait | None] = []

    async def work() -> None:
        lane = Lane(1, name="gpu", plans=True)
        with listening(told_to.append):
            async with lane.turn(model("a")):
                assert told_to == [Wait("load", "gpu")]
            async with lane.turn(model("a")):
                pass  # it is in memory

    on_a_turned_clock(work())
    assert told_to == [Wait("load", "gpu"), None]


def test_who_is_held_back_by_a_rate_limit_is_not_late() -> None:
    async def work() -> list[Any]:
        lane, race = Lane(None, name="key", allowance=RateWindow(1, None)), Race(1, 5.0, 3)

        async def speak() -> float:
            await lane.admit(1, None)
            await asyncio.sleep(2)
            return asyncio.get_running_loop().time()

        return await asyncio.gather(*(race.run(speak()) for _ in range(3)))

    assert on_a_turned_clock(work()) == [2.0, 62.0, 122.0]


def test_a_wait_that_is_over_is_told_once() -> None:
    told_to: list[Wait | None] = []
    with listening(told_to.append):
        tell = wait_teller()
    tell(Wait("lane", "gpu", 1))
    tell(None)
    assert told_to == [Wait("lane", "gpu", 1), None]


def test_a_cards_clock_stands_still_while_it_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("mom_council.runs.follow.time.monotonic", lambda: now[0])
    ada = Speaker(node="character", name="Ada", round=1, layer=1)
    waiting = Waited(speaker=ada, lane="gpu", reason="lane", place=2)
    view = RunView()
    view.take(ModelAsked(speaker=ada, model="m"))
    [card] = view.round.seats.values()
    now[0] += 1
    view.take(waiting)
    now[0] += 50
    assert (card.seconds, card.wait) == (1.0, waiting)
    view.take(waiting.model_copy(update={"over": True}))
    now[0] += 2
    assert (card.seconds, card.wait) == (3.0, None)


def test_it_is_said_in_words() -> None:
    ada = Speaker(node="character", name="Ada")
    lane = Waited(speaker=ada, lane="gpu", reason="lane", place=2)
    assert wait_in_words(lane) == "waiting for the GPU, 2nd"
    assert held_back(lane) == "Ada: waiting for the GPU, 2nd"
    assert "loading" in wait_in_words(lane.model_copy(update={"reason": "load"}))
    assert [ordinal(n) for n in (1, 3, 11, 21)] == ["1st", "3rd", "11th", "21st"]


async def test_one_lane_and_a_quorum_lose_nobody(stage: Stage) -> None:
    seat(stage, likes="count twice")
    council = desk(stage, deliberation={"quorum": 0.3, "grace": 60, "method": "none"})
    models = {
        key: one.model_copy(update={"lane": "gpu", "concurrency": 1})
        for key, one in council.models.items()
    }
    events: list[Event] = await told(council.model_copy(update={"models": models}))
    waits = [event for event in events if event.kind == "waited"]
    assert {w.reason for w in waits} == {"lane"}
    began = {w.speaker.name for w in waits if not w.over}
    assert {w.speaker.name for w in waits if w.over} == began
    assert not [event for event in events if event.kind == "missed"]
