"""Who shares a lane waits for a turn; who does not, does not."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mom_council.councils.schema import Council
from mom_council.models.lanes import OVERTAKEN, Lane, Lanes, open_lane
from mom_council.models.memory import plan
from mom_council.models.resolved import ModelInstance, instance_of, resolve_model


def council(**models: dict[str, Any]) -> Council:
    first = next(iter(models))
    return Council.model_validate(
        {
            "name": "test",
            "models": {
                key: {"provider": "ollama", "model": key, **more} for key, more in models.items()
            },
            "characters": [{"name": "A", "model": first}],
            "synthesizer": {"model": first},
        }
    )


def turn(lanes: Lanes, sitting: Council, key: str) -> AbstractAsyncContextManager[Any]:
    lane = open_lane(lanes, resolve_model(sitting, key).lane)
    return lane.turn(instance_of(sitting.models[key])) if lane else nullcontext()


async def most_at_once(sitting: Council, keys: str) -> int:
    lanes: Lanes = {}
    busy = most = 0

    async def work(key: str) -> None:
        nonlocal busy, most
        async with turn(lanes, sitting, key):
            busy += 1
            most = max(most, busy)
            await asyncio.sleep(0.01)
            busy -= 1

    await asyncio.gather(*(work(key) for key in keys))
    return most


@pytest.mark.parametrize(
    ("models", "keys", "most"),
    [
        ({"a": {}, "b": {}}, "aabb", 4),
        ({"a": {"lane": "gpu"}, "b": {"lane": "gpu"}}, "aabb", 4),
        ({"a": {"lane": "gpu", "concurrency": 1}, "b": {"lane": "gpu"}}, "aabb", 1),
        (
            {"a": {"lane": "gpu", "concurrency": 3}, "b": {"lane": "gpu", "concurrency": 2}},
            "aabb",
            2,
        ),
        ({"a": {"lane": "x", "concurrency": 1}, "b": {"lane": "y", "concurrency": 1}}, "aabb", 2),
        ({"a": {"concurrency": 2}, "b": {}}, "aaaa", 2),
    ],
)
async def test_a_lane_is_as_wide_as_its_narrowest_model_says(models, keys, most):
    assert await most_at_once(council(**models), keys) == most


async def test_who_gives_up_waiting_gives_up_the_place():
    lanes: Lanes = {}
    sitting = council(a={"lane": "gpu", "concurrency": 1})
    async with turn(lanes, sitting, "a"):
        waiting = asyncio.create_task(enter(lanes, sitting))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    await asyncio.wait_for(enter(lanes, sitting), 1)


async def enter(lanes: Lanes, sitting: Council) -> None:
    async with turn(lanes, sitting, "a"):
        pass


# Models of this machine take their turns by what is in memory.


class Desk:
    """Calls through one lane, and a memory that holds so many of their models."""

    def __init__(self, fits: int = 1, width: int | None = 1) -> None:
        self.lane = Lane(width, fits=fits, plans=True, unload=self.let_go)
        self.fits = fits
        self.memory: list[ModelInstance] = []
        self.served: list[str] = []
        self.loads = 0

    async def let_go(self, voice: ModelInstance) -> None:
        self.memory.remove(voice)

    async def call(self, model: str) -> None:
        voice = named(model)
        async with self.lane.turn(voice, announced=True):
            if voice not in self.memory:
                self.loads += 1
                self.memory.append(voice)
            assert len(self.memory) <= self.fits
            self.served.append(model)
            await asyncio.sleep(0)

    async def calls(self, models: str) -> int:
        """Serve them and return the loads that they took."""
        before = self.loads
        await asyncio.wait_for(asyncio.gather(*map(self.call, models)), 10)
        return self.loads - before


def named(model: str) -> ModelInstance:
    return ModelInstance("ollama", None, model)


async def test_calls_of_a_loaded_model_go_before_those_that_would_load_another():
    desk = Desk()
    assert await desk.calls("abcabcabc") == 3
    assert await desk.calls("abcabcabc") == 2
    assert desk.served[:9] == list("aaabbbccc")
    assert desk.served[9:12] == list("ccc")


@settings(max_examples=60)
@given(
    st.lists(st.text("abcd", min_size=1, max_size=10), min_size=1, max_size=4),
    st.integers(1, 3),
    st.integers(1, 4),
)
def test_announced_fan_outs_take_the_fewest_loads_that_any_order_could(fan_outs, fits, width):
    async def play() -> tuple[int, int]:
        desk = Desk(fits, width)
        least = plan(fan_outs[0], [], fits, fan_outs[1:]).loads
        loads = 0
        for place, calls in enumerate(fan_outs):
            ahead = [{named(m) for m in later} for later in fan_outs[place + 1 :]]
            desk.lane.expect([named(m) for m in calls], ahead)
            loads += await desk.calls(calls)
        return loads, least

    loads, least = asyncio.run(play())
    assert loads == least


async def test_an_announced_call_that_comes_late_is_waited_for_when_its_model_is_loaded():
    desk = Desk()
    await desk.calls("b")
    desk.lane.expect([named("a"), named("b")])

    async def later() -> None:
        await asyncio.sleep(0.05)
        await desk.call("b")

    await asyncio.gather(desk.call("a"), later())
    assert desk.served == list("bba")


async def test_an_announced_call_that_never_comes_holds_nobody_up_for_long(monkeypatch):
    monkeypatch.setattr("mom_council.models.lanes.PATIENCE", 0.05)
    desk = Desk()
    await desk.calls("b")
    desk.lane.expect([named("a"), named("b")])
    await asyncio.wait_for(desk.call("a"), 5)
    assert desk.served == ["b", "a"]


async def test_an_announced_call_that_needs_no_turn_is_not_waited_for(monkeypatch):
    monkeypatch.setattr("mom_council.models.lanes.PATIENCE", 3600.0)
    desk = Desk()
    await desk.calls("b")
    desk.lane.expect([named("a"), named("b")])
    calling = asyncio.create_task(desk.call("a"))
    await asyncio.sleep(0)
    desk.lane.withdraw(named("b"))  # its answer was in the cache
    await asyncio.wait_for(calling, 5)


async def test_nobody_is_overtaken_for_ever():
    desk = Desk()
    await desk.calls("b")
    served = asyncio.Event()

    async def crowd() -> None:
        while not served.is_set():
            await asyncio.gather(desk.call("b"), desk.call("b"))

    async def lonely() -> None:
        await desk.call("a")
        served.set()

    first = asyncio.create_task(desk.call("b"))
    await asyncio.wait_for(asyncio.gather(first, crowd(), crowd(), lonely()), 10)
    assert 8 < desk.served.index("a") <= OVERTAKEN + 8


async def test_who_is_cancelled_in_the_queue_or_in_its_turn_leaves_the_lane_free():
    desk = Desk()
    running = [asyncio.create_task(desk.call(model)) for model in "aabbcc"]
    await asyncio.sleep(0)
    for task in (running[0], running[3], running[4]):
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    assert await desk.calls("abc") <= 3


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.integers(0, 3), st.integers(0, 3), st.booleans()),
        max_size=25,
    ),
    st.integers(1, 2),
    st.integers(1, 4),
    st.data(),
)
def test_whoever_comes_late_or_leaves_everyone_else_is_served(calls, fits, width, data):
    """Each call comes, speaks and may be cancelled after so many turns of the event loop."""
    ghosts = data.draw(st.lists(st.sampled_from("abc"), max_size=3))
    speaking: list[ModelInstance] = []

    async def call(lane: Lane, model: str, comes: int, speaks: int) -> str:
        for _ in range(comes):
            await asyncio.sleep(0)
        async with lane.turn(named(model), announced=True):
            speaking.append(named(model))
            assert len(speaking) <= width
            assert len(set(speaking)) <= fits
            try:
                for _ in range(speaks):
                    await asyncio.sleep(0)
            finally:
                speaking.remove(named(model))
        return model

    async def play() -> None:
        lane = Lane(width, fits=fits, plans=True, unload=lambda voice: asyncio.sleep(0))
        # Some who were announced never come.
        lane.expect([named(model) for model in [*ghosts, *(one[0] for one in calls)]])
        running = [asyncio.ensure_future(call(lane, *one[:3])) for one in calls]
        for _ in range(2):
            await asyncio.sleep(0)
        for task, one in zip(running, calls, strict=True):
            if one[3]:
                task.cancel()
        async with asyncio.timeout(10):
            ended = await asyncio.gather(*running, return_exceptions=True)
        for one, end in zip(calls, ended, strict=True):
            assert end == one[0] or (one[3] and isinstance(end, asyncio.CancelledError))
        async with asyncio.timeout(10), lane.turn(named("z")):
            pass

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mom_council.models.lanes.PATIENCE", 0.01)
        asyncio.run(play())


async def test_models_that_fit_together_are_asked_together():
    desk = Desk(fits=2, width=None)
    assert await desk.calls("abababcc") == 3
    assert sorted(desk.served[:6]) == list("aaabbb")


# One model, one size of context; and kept.


def test_voices_of_one_model_are_asked_with_the_largest_of_their_contexts():
    sitting = Council.model_validate(
        {
            "name": "test",
            "models": {
                "short": {"provider": "ollama", "model": "m", "context": 2048},
                "long": {"provider": "ollama", "model": "m:latest", "context": 8192, "lane": "gpu"},
                "own": {"provider": "ollama", "model": "n", "params": {"num_ctx": 512}},
            },
            "lanes": {"gpu": {"keep_alive": "2h"}},
            "characters": [{"name": "A", "model": "short"}],
            "synthesizer": {"model": "long"},
        }
    )
    assert resolve_model(sitting, "short").instance == resolve_model(sitting, "long").instance
    assert resolve_model(sitting, "long").settings.params == {"num_ctx": 8192, "keep_alive": "2h"}
    assert resolve_model(sitting, "own").settings.params == {"num_ctx": 512}
