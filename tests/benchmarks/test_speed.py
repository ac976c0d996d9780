"""What the benchmark says about growth holds."""

from __future__ import annotations

from typing import Any

import pytest

from mom_council.benchmarks import goals, growth, serving
from mom_council.benchmarks.speed import Cost, stage_apart
from mom_council.benchmarks.ways import FLOOR


def test_each_goal_stands_beside_what_was_measured() -> None:
    def costs(floor: float, ours: float, *crowd: Cost) -> list[Cost]:
        return [Cost(FLOOR, 1, 1.0, floor, 0.0), Cost(goals.SQLITE, 1, 1.04, ours, 0.0), *crowd]

    crowd = Cost(goals.SQLITE, 100, 4.0, 2.0, 0.0)
    measured = {10: costs(1.0, 2.5, crowd), 100: costs(2.0, 3.5), 400: costs(4.9, 10.3)}
    by_name = {goal.what: goal for goal in goals.of_speed(measured)}
    assert len(by_name) == 6
    assert by_name["CPU a call over the floor's, 10 tokens, SQLite"].value == 2.5
    token = by_name["CPU a streamed token beyond the floor's"]
    assert token.value == pytest.approx(0.01)
    assert "| yes |" in token.row
    crowded = by_name["100 conversations at once, 10 tokens, SQLite: wall"]
    assert crowded.row == (
        "| 100 conversations at once, 10 tokens, SQLite: wall | 4 x | 3 x | **no** |  |"
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("measure", "options"),
    [
        (goals.first_token, {"times": 2}),
        (goals.straggler, {"times": 1, "latency": 0.2}),
        (goals.large_council, {"times": 1, "characters": 4, "latency": 0.05}),
    ],
)
async def test_the_shapes_can_be_measured(measure: Any, options: dict[str, Any]) -> None:
    goal = await measure(**options)
    assert goal.value > 0
    assert goal.row.count("|") == 6


@pytest.mark.slow
def test_a_thread_grows_with_what_was_said() -> None:
    first, tenth = growth.measure((1, 10))
    assert tenth.stored < 5_000_000 / 8
    assert tenth.stored - first.stored < 4 * (tenth.said - first.said)


@pytest.mark.slow
async def test_a_crowd_with_rude_clients_is_answered_without_an_error() -> None:
    script = {"reply": {"text": serving.TEXT, "chunks": 12}, "latency": 0.2}
    with stage_apart(script) as models, serving.served(models) as server:
        seen = await serving.crowd(server, at_once=20, seconds=3, rude=0.2)
    assert not [talk.fault for talk in seen["talks"] if talk.fault]
    assert seen["talks"]
    assert seen["left"]
    held = [sample.megabytes for sample in seen["samples"]]
    assert held[-1] < held[0] + 150
