"""Before every fan-out the hardware may cool; without a sensor it says so once."""

from __future__ import annotations

import pytest

from mom_council.deliberation.events import Answered, Heat
from mom_council.graph.council import compile_council
from mom_council.models import thermal
from mom_council.models.thermal import HeatReading
from mom_council.tests.graph.desk import ask, desk, seat, told, voice
from mom_council.tests.stage import Stage


async def test_without_a_watch_nothing_is_told_of_heat(stage: Stage) -> None:
    seat(stage)
    assert not [event for event in await told(desk(stage)) if isinstance(event, Heat)]


async def test_with_a_watch_every_fan_out_takes_a_reading_or_says_once_that_it_cannot(
    stage: Stage,
) -> None:
    seat(stage)
    rules = {"rounds": {"min": 2, "max": 2}}
    council = desk(stage, thermal={"limit": 119, "resume": 118}, deliberation=rules)
    heat = [event.state for event in await told(council) if isinstance(event, Heat)]
    assert heat in (["no_sensor"], ["ok"] * 4)


async def test_a_question_waits_in_vain_once(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    heat_up(monkeypatch, 118)
    seat(stage)
    rules = {"limit": 90, "resume": 80, "poll": 0.01, "max_wait": 0.03}
    council = desk(stage, thermal=rules, deliberation={"rounds": {"min": 2, "max": 2}})
    events = await told(council)
    states = [event.state for event in events if isinstance(event, Heat)]
    assert states.count("gave_up") == 1
    answered = events[-1]
    assert isinstance(answered, Answered)
    assert sum("stayed above 90" in note for note in answered.status.notes) == 1


async def test_a_watch_on_a_cool_machine_leaves_no_note(stage: Stage) -> None:
    seat(stage)
    status = (await ask(desk(stage, thermal={"limit": 119, "resume": 118})))["status"]
    assert not status.degraded


async def test_a_picture_is_drawn_here_only_on_a_cool_machine(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    heat_up(monkeypatch, 118)
    seat(stage, ["Ada"])
    models = {
        "ada": voice(stage, "ada"),
        "pen": voice(stage, "pen"),
        "brush": {"provider": "diffusers", "model": "/no/such/folder"},
    }
    rules = {"limit": 90, "resume": 80, "poll": 0.01, "max_wait": 0.03}
    council = desk(stage, ["Ada"], models=models, painter={"model": "brush"}, thermal=rules)
    events = await told(council, "/image a cat")
    states = [event.state for event in events if isinstance(event, Heat)]
    assert states[0] == "waiting"
    assert states[-1] == "gave_up"
    answered = events[-1]
    assert isinstance(answered, Answered)
    assert any("stayed above 90" in note for note in answered.status.notes)


def heat_up(monkeypatch: pytest.MonkeyPatch, *celsius: float) -> None:
    """Have each reading of the hardware show the next of these, and then the last."""
    left = [*celsius]

    def read() -> list[HeatReading]:
        now = left.pop(0) if len(left) > 1 else left[0]
        return [HeatReading(celsius=now, device="GPU 0", source="nvml")]

    defaults = {**(thermal.cool_down.__kwdefaults__ or {}), "read": read}
    monkeypatch.setattr(thermal.cool_down, "__kwdefaults__", defaults)


async def steps(stage: Stage, monkeypatch: pytest.MonkeyPatch, *celsius: float) -> list[str]:
    """The nodes that had a superstep while the hardware was so hot."""
    heat_up(monkeypatch, *celsius)
    seat(stage)
    rules = {"limit": 90, "resume": 80, "poll": 0.01, "max_wait": 60}
    graph = compile_council(desk(stage, thermal=rules))
    assert "thermal_wait" in graph.get_graph().nodes
    updates = graph.astream(
        {"messages": [("user", "What is the best pet?")]}, stream_mode="updates"
    )
    return [name async for update in updates for name in update]


async def test_a_watch_on_a_cool_machine_takes_no_superstep(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "thermal_wait" not in await steps(stage, monkeypatch, 40)


def test_a_question_without_await_takes_no_superstep_either(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    heat_up(monkeypatch, 40)
    seat(stage)
    graph = compile_council(desk(stage, thermal={"limit": 90, "resume": 80, "max_wait": 60}))
    question = {"messages": [("user", "What is the best pet?")]}
    parts = list(graph.stream(question, stream_mode=["updates", "custom"]))
    assert "thermal_wait" not in [
        name for mode, part in parts if mode == "updates" for name in part
    ]
    assert 40 in [part.get("celsius") for mode, part in parts if mode == "custom"]


async def test_hot_hardware_is_waited_for_at_the_node(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = await steps(stage, monkeypatch, 118, 118, 118, 40)
    assert names.index("thermal_wait") == names.index("seating") + 1


async def test_one_reading_of_a_cool_machine_tells_the_same_as_the_node(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    heat_up(monkeypatch, 40)
    seat(stage)
    events = await told(desk(stage, thermal={"limit": 90, "resume": 80, "max_wait": 60}))
    heat = [event for event in events if isinstance(event, Heat)]
    assert {(one.state, one.celsius, one.limit, one.remaining) for one in heat} == {
        ("ok", 40, 90, 60)
    }
