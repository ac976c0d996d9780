"""Who shares a lane waits for a turn; who does not, does not."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from mixture_of_models.councils.schema import Council
from mixture_of_models.models.lanes import Lanes, lane_of


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


async def most_at_once(sitting: Council, keys: str) -> int:
    lanes: Lanes = {}
    busy = most = 0

    async def work(key: str) -> None:
        nonlocal busy, most
        async with lane_of(lanes, sitting, key):
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
    async with lane_of(lanes, sitting, "a"):
        waiting = asyncio.create_task(enter(lanes, sitting))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    await asyncio.wait_for(enter(lanes, sitting), 1)


async def enter(lanes: Lanes, sitting: Council) -> None:
    async with lane_of(lanes, sitting, "a"):
        pass
