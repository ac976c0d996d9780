"""The benchmark works, and what it measures has not run away."""

from __future__ import annotations

import pytest

from mixture_of_models.tests.bench import growth, speed

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("way", ["asyncio + aiohttp", "council, SQLite"])
def test_a_conversation_takes_not_much_longer_than_its_critical_path(way: str) -> None:
    with speed.stage_apart() as url:
        [cost] = speed.measure(way, url, [1], repeats=3)
    assert 1.0 <= cost.ratio < 2.0
    assert 0 < cost.cpu_ms < 30


def test_a_thread_grows_with_what_was_said() -> None:
    first, tenth = growth.measure((1, 10))
    assert tenth.stored < 5_000_000 / 8
    assert tenth.stored - first.stored < 4 * (tenth.said - first.said)
