"""The status names the chain of models behind a seat, and whose price nobody knows."""

from __future__ import annotations

import pytest

from mom_council.deliberation.status import advise
from mom_council.errors import CouncilError
from mom_council.models.ledger import Ledger, Outcome
from mom_council.runs import words
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


def learned(right: dict[str, int], number: int = 20) -> None:
    """Have the ledger know how often each model on the stage was right on sums."""
    outcomes = [
        Outcome(f"openai/{model}", "sums", at < times)
        for model, times in right.items()
        for at in range(number)
    ]
    Ledger().learn(outcomes)


SUMS = {"method": "answers", "topic": "sums", "weights": "written"}


async def test_a_lone_dissenter_with_a_better_record_is_named(stage: Stage) -> None:
    learned({"ada": 10, "boris": 12, "clara": 18})
    seat(stage, {"Ada": "Answer: 42", "Boris": "Answer: 42", "Clara": "Answer: 47"})
    status = (await ask(desk(stage, deliberation=SUMS), "What is 17 + 30?"))["status"]
    assert status.verdict.options[0].answer == "42"
    [note] = status.notes
    assert note == (
        "Clara alone gave '47', and was right more often before (90% on such questions) than "
        "those who agree (Boris: 60%)."
    )
    assert any(note in line for line in words.label(status))


@pytest.mark.parametrize(
    ("right", "third"),
    [
        ({"ada": 10, "boris": 18, "clara": 18}, "Answer: 47"),  # no better than all who agree
        ({"clara": 18}, "Answer: 47"),  # nothing is known of the others
        ({"ada": 10, "boris": 12, "clara": 18}, "Answer: 42"),  # nobody dissents
        ({}, "Answer: 47"),
    ],
)
async def test_nobody_is_named_for_a_record_that_is_no_better(
    stage: Stage, right: dict[str, int], third: str
) -> None:
    if right:
        learned(right)
    seat(stage, {"Ada": "Answer: 42", "Boris": "Answer: 42", "Clara": third})
    status = (await ask(desk(stage, deliberation=SUMS), "What is 17 + 30?"))["status"]
    assert status.notes == ()
