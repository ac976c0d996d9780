"""Before every fan-out the hardware may cool; without a sensor it says so once."""

from __future__ import annotations

from mixture_of_models.graph.events import Heat
from mixture_of_models.tests.graph.desk import ask, desk, seat, told
from mixture_of_models.tests.stage import Stage


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


async def test_a_watch_on_a_cool_machine_leaves_no_note(stage: Stage) -> None:
    seat(stage)
    status = (await ask(desk(stage, thermal={"limit": 119, "resume": 118})))["status"]
    assert not status.degraded
