"""The status names the chain of models behind a seat, and whose price nobody knows."""

from __future__ import annotations

import pytest

from mom_council.deliberation.status import advise
from mom_council.errors import CouncilError
from mom_council.tests.graph.desk import ask, desk, seat, voice
from mom_council.tests.stage import Fault, Stage


async def test_a_seat_that_a_fallback_filled_is_told_with_its_chain_once(stage: Stage) -> None:
    seat(stage)
    for name in ("strong", "middling"):
        stage.model(name, always=Fault.status(503))
    sitting = desk(
        stage,
        models={
            "ada": voice(stage, "strong", fallbacks=["middling"]),
            "middling": voice(stage, "middling", fallbacks=["spare"]),
            "spare": voice(stage, "ada"),
        },
    )
    status = (await ask(sitting))["status"]
    [note] = [note for note in status.notes if note.startswith("Ada: ")]
    down = "did not answer (HTTP 503, the server is overloaded: The server is overloaded."
    assert note.startswith(f"Ada: the fallback 'spare' answered; 'ada' {down}")
    assert f"'middling' {down}" in note
    assert "Ada" in status.spoke


async def test_nothing_is_told_where_everyone_spoke_for_themselves(stage: Stage) -> None:
    seat(stage)
    assert (await ask(desk(stage)))["status"].notes == ()


PRICE = {"input": 1, "output": 1}


async def test_a_sum_of_dollars_names_the_models_that_it_leaves_out(stage: Stage) -> None:
    seat(stage)
    priced = desk(stage, models={"ada": voice(stage, "ada", price=PRICE)})
    status = (await ask(priced))["status"]
    assert status.usage.usd is not None
    [note] = [note for note in status.notes if "price" in note]
    assert note == (
        "No price is known for 'boris', 'clara', 'pen': the dollars are counted without."
    )


async def test_a_budget_of_dollars_without_a_price_is_refused_before_anybody_is_asked(
    stage: Stage,
) -> None:
    seat(stage, ("Ada",))
    with pytest.raises(CouncilError, match="no price is known for 'ada', 'pen'; write `price"):
        await ask(desk(stage, ("Ada",), budget={"usd": 1}))
    assert not stage.calls
    worst = {"usd": 1, "worst_price": {"input": 10, "output": 20}}
    status = (await ask(desk(stage, ("Ada",), budget=worst)))["status"]
    assert status.usage.usd is not None
    assert status.usage.usd > 0


async def test_where_every_price_is_known_or_none_nothing_is_said(stage: Stage) -> None:
    seat(stage, ("Ada",))
    everyone = {name: voice(stage, name, price=PRICE) for name in ("ada", "pen")}
    for models in ({}, everyone):
        assert (await ask(desk(stage, ("Ada",), models=models)))["status"].notes == (
            "Only 'Ada' answered: there was nothing to vote on.",
        )


def test_a_fault_of_an_advisory_step_is_noted_once_and_costs_nothing_else():
    notes: list[str] = []
    for _ in range(2):
        assert advise(lambda: "n't"[9], "none", what="The comparison", notes=notes) == "none"
    assert notes == ["The comparison was left out (IndexError: string index out of range)."]
    assert advise(lambda: "found", "none", what="The comparison", notes=notes) == "found"
    assert len(notes) == 1
