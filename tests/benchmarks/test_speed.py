"""What the benchmark says about growth holds."""

from __future__ import annotations

import pytest

from mom_council.benchmarks import growth, serving
from mom_council.benchmarks.speed import stage_apart

pytestmark = pytest.mark.slow


def test_a_thread_grows_with_what_was_said() -> None:
    first, tenth = growth.measure((1, 10))
    assert tenth.stored < 5_000_000 / 8
    assert tenth.stored - first.stored < 4 * (tenth.said - first.said)


async def test_a_crowd_with_rude_clients_is_answered_without_an_error() -> None:
    script = {"reply": {"text": serving.TEXT, "chunks": 12}, "latency": 0.2}
    with stage_apart(script) as models, serving.served(models) as server:
        seen = await serving.crowd(server, at_once=20, seconds=3, rude=0.2)
    assert not [talk.fault for talk in seen["talks"] if talk.fault]
    assert seen["talks"]
    assert seen["left"]
    held = [sample.megabytes for sample in seen["samples"]]
    assert held[-1] < held[0] + 150
