"""What a synthesis keeps of planted answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mom_council.evals.fact_retention import measure_fact_retention, mentions, planted_questions
from mom_council.tests.graph.desk import desk, proposals, said
from mom_council.tests.stage import Fault, Stage


def writes(stage: Stage, pen: Callable[[dict[str, Any]], str]) -> Any:
    stage.model("pen", reply=pen)
    return desk(stage, deliberation={"method": "answers"})


def leading(body: dict[str, Any]) -> str:
    """The first proposal of the leading option, as it is."""
    number = int(said(body).partition("The vote: proposal ")[2].split()[0])
    return proposals(body)[number - 1]


def all_and_the_leading_one_last(body: dict[str, Any]) -> str:
    """Every proposal; the answer at the end is the one that the council chose."""
    winner = leading(body)
    return "\n".join([*(text for text in proposals(body) if text != winner), winner])


async def test_a_synthesizer_that_keeps_everything_keeps_everything(stage: Stage):
    found = await measure_fact_retention(writes(stage, all_and_the_leading_one_last))
    assert found.questions == 20
    assert (found.unique.value, found.unique.of) == (1, 80)
    assert (found.common.value, found.common.of) == (1, 20)
    assert (found.corrected.value, found.repeated.value) == (1, 0)
    assert len(stage.calls) == 20  # the members cost nothing


async def test_a_synthesizer_that_follows_the_majority_repeats_its_poison(stage: Stage):
    found = await measure_fact_retention(writes(stage, leading))
    assert found.unique.value == pytest.approx(0.25)
    assert found.common.value == 1
    assert (found.corrected.value, found.repeated.value, found.repeated.of) == (0, 1, 10)
    assert (found.agrees.value, found.agrees.of) == (1, 10)
    assert "poisoned majorities repeated: 100 %" in found.in_words()


async def test_a_synthesizer_that_tells_none_of_it_keeps_nothing(stage: Stage):
    found = await measure_fact_retention(writes(stage, lambda _: "There is a town."))
    assert (found.unique.value, found.common.value, found.repeated.value) == (0, 0, 0)
    assert found.agrees.value == 0


async def test_of_a_synthesizer_that_contradicts_the_vote_the_winning_proposal_counts(
    stage: Stage,
):
    found = await measure_fact_retention(writes(stage, lambda _: "Answer: 5 crowns"))
    assert found.unique.value == pytest.approx(0.25)
    assert (found.common.value, found.repeated.value, found.agrees.value) == (1, 1, 1)
    assert len(stage.calls) == 40, "each was asked once more, with the contradiction named"


async def test_what_nobody_wrote_is_told(stage: Stage):
    stage.model("pen", always=Fault.status(500))
    found = await measure_fact_retention(
        desk(stage, deliberation={"method": "answers"}), planted_questions(2)
    )
    assert found.unwritten == 2


async def test_a_deeper_council_is_measured_by_its_synthesizer_alone(stage: Stage):
    stage.model("pen", reply=leading)
    council = desk(
        stage,
        layers=[["Ada", "Boris"], ["Clara"]],
        deliberation={"method": "answers", "cascade": True},
        synthesizer={"personality": "You are the clerk.", "dropout": 0.3},
    )
    await measure_fact_retention(council, planted_questions(2))
    assert {call.model for call in stage.calls} == {"pen"}
    assert "You are the clerk." in said(stage.calls[0].body)


def test_planted_questions_are_the_same_for_the_same_seed():
    assert (
        planted_questions(6, seed=3) == planted_questions(6, seed=3) != planted_questions(6, seed=4)
    )
    for one in planted_questions(40):
        for fact in one.facts:
            tellers = [name for name, text in one.answers.items() if mentions(text, fact.sign)]
            assert tuple(tellers) == fact.members
        for name, text in one.answers.items():
            assert mentions(text, one.truth) != mentions(text, one.poison or "no such words"), name


@pytest.mark.parametrize(
    ("text", "sign", "there"),
    [
        ("It costs 12  Crowns.", "12 crowns", True),
        ("It costs 112 crowns.", "12 crowns", False),
        ("In 1987, then.", "1987", True),
        ("The blue doors", "blue door", False),
        ("Ask for **Sindle**!", "sindle", True),
    ],
)
def test_a_sign_is_found_as_whole_words(text: str, sign: str, there: bool):
    assert mentions(text, sign) is there
