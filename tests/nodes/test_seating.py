"""Whose turn it is, and what it may cost."""

from __future__ import annotations

import pytest

from mom_council.deliberation.context import CouncilContext
from mom_council.deliberation.events import Seated
from mom_council.errors import BudgetError, QuorumError
from mom_council.nodes.synthesizer import LABEL
from mom_council.tests.graph.desk import ALL, ask, desk, seat, speaking, told, voting
from mom_council.tests.stage import Fault, Reply, Stage

pytestmark = pytest.mark.slow


async def test_each_layer_of_each_round_is_seated_in_its_turn(stage: Stage) -> None:
    seat(stage)
    rules = {"rounds": {"min": 2, "max": 2}}
    council = desk(stage, layers=[["Ada"], ["Boris", "Clara"]], deliberation=rules)
    seated = [event for event in await told(council) if isinstance(event, Seated)]
    assert [(event.round, event.layer, event.seated) for event in seated] == [
        (1, 1, ("Ada",)),
        (1, 2, ("Boris", "Clara")),
        (2, 1, ("Ada",)),
        (2, 2, ("Boris", "Clara")),
    ]


async def test_who_is_dropped_out_is_told_and_not_asked(stage: Stage) -> None:
    seat(stage, ALL)
    council = desk(stage, ALL, synthesizer={"dropout": 0.6}, deliberation={"method": "none"})
    (seated,) = [event for event in await told(council) if isinstance(event, Seated)]
    assert seated.dropped
    assert {*seated.seated} | {*seated.dropped} == {*ALL}
    assert {call.model.title() for call in speaking(stage.calls)} == {*seated.seated, "Pen"}


async def test_the_last_in_line_is_left_out_when_the_calls_do_not_reach(stage: Stage) -> None:
    seat(stage)
    status = (await ask(desk(stage, budget={"calls": 3})))["status"]
    assert status.spoke == ("Ada", "Boris")
    assert [(a.character, a.reason) for a in status.absent] == [("Clara", "budget")]
    assert status.degraded
    assert [call.model for call in stage.calls][-1] == "pen"
    assert len(stage.calls) == 3


async def test_a_budget_of_one_call_has_room_for_nobody(stage: Stage) -> None:
    seat(stage)
    with pytest.raises(BudgetError, match="raise `budget`"):
        await ask(desk(stage, budget={"calls": 1}))
    assert not stage.calls


@pytest.mark.parametrize("calls", range(2, 10))
async def test_no_budget_of_calls_is_ever_overspent(stage: Stage, calls: int) -> None:
    seat(stage)
    rules = {"rounds": {"min": 3, "max": 3}}
    result = await ask(desk(stage, budget={"calls": calls}, deliberation=rules))
    assert len(stage.calls) <= calls
    assert result["status"].usage.calls == len(stage.calls)
    assert result["status"].written_by == "pen"


async def test_retries_count_and_none_takes_the_call_that_is_kept_for_the_answer(
    stage: Stage,
) -> None:
    seat(stage)
    stage.scripts["ada"].faults = [Fault.status(500, retry_after=0)] * 2
    council = desk(stage, budget={"calls": 4})
    patient = council.models["ada"].model_copy(update={"retries": 2})
    council = council.model_copy(update={"models": {**council.models, "ada": patient}})
    result = await ask(council)
    assert len(stage.calls_to("ada")) == 1
    assert len(stage.calls) == result["status"].usage.calls == 4
    assert [(a.character, a.reason) for a in result["status"].absent] == [("Ada", "failed")]
    assert result["status"].written_by == "pen"


async def test_spent_tokens_leave_no_ballots_and_the_voted_best_answers(stage: Stage) -> None:
    for name in ("ada", "boris", "clara"):
        stage.model(name, reply=Reply(f"The view of {name}", usage=(400, 100)))
    result = await ask(desk(stage, budget={"tokens": 2300}))
    assert result["status"].spoke == ("Ada", "Boris", "Clara")
    assert not voting(stage.calls)
    assert not stage.calls_to("pen")
    assert result["status"].stop_reason == "budget"
    assert result["messages"][-1].text.endswith(LABEL)
    assert any(note.startswith("The vote was skipped") for note in result["status"].notes)
    assert all(0 < call.body["max_tokens"] <= 2300 for call in stage.calls)


async def test_at_the_deadline_characters_are_cut_off_and_the_voted_best_answers(
    stage: Stage,
) -> None:
    seat(stage)
    await _warm(stage)
    stage.scripts["clara"].latency = 60
    result = await ask(desk(stage), context=CouncilContext(max_seconds=1.5))
    status = result["status"]
    assert [(a.character, a.reason) for a in status.absent] == [("Clara", "budget")]
    assert status.spoke == ("Ada", "Boris")
    assert status.written_by == "vote"
    assert result["messages"][-1].text.endswith(LABEL)
    assert not stage.calls_to("pen")
    stage.wait_for(3)
    assert [call.outcome for call in stage.calls_to("clara")] == ["client_left"]


async def test_a_synthesizer_is_cut_off_at_the_deadline_too(stage: Stage) -> None:
    seat(stage)
    await _warm(stage)
    stage.scripts["pen"].latency = 60
    result = await ask(desk(stage), context=CouncilContext(max_seconds=2))
    assert result["status"].written_by == "vote"
    assert "The budget is spent (2 seconds)" in " ".join(result["status"].notes)


async def test_voters_are_cut_off_at_the_deadline(stage: Stage) -> None:
    seat(stage)
    await _warm(stage)
    for name in ("ada", "boris", "clara"):
        stage.model(name, reply=f"The view of {name}", faults=[None], always=Fault.hang())
    status = (await ask(desk(stage), context=CouncilContext(max_seconds=1.5)))["status"]
    assert {(a.stage, a.reason) for a in status.absent} == {("vote", "budget")}
    assert len(status.absent) == 3
    assert status.stop_reason == "budget"
    assert status.written_by == "vote"


async def test_when_the_time_is_over_before_anybody_spoke_it_is_the_budget(stage: Stage) -> None:
    seat(stage, latency=60)
    with pytest.raises(BudgetError, match="before anybody had answered"):
        await ask(desk(stage), context=CouncilContext(max_seconds=0.5))


async def test_a_later_layer_that_cannot_be_paid_for_does_not_hide_a_dead_first_one(
    stage: Stage,
) -> None:
    seat(stage)
    stage.model("ada", always=Fault.status(500))
    council = desk(stage, layers=[["Ada"], ["Boris", "Clara"]], budget={"calls": 2})
    with pytest.raises(QuorumError, match="'Ada'"):
        await ask(council)


async def _warm(stage: Stage) -> None:
    """Have every model's client loaded, which is no part of the time that a test gives."""
    await ask(desk(stage))
    stage.clear()
