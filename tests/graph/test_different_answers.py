"""What members answer is read as what they meant, through the whole graph."""

from __future__ import annotations

import pytest

from mom_council.tests.graph.desk import ask, desk, seat
from mom_council.tests.stage import Reply, Stage

COUNTED = {"deliberation": {"method": "answers", "threshold": 0.6}}


@pytest.mark.parametrize(
    "answers",
    [
        # Three planes ended "agreed" where each was read as its right side, 0.
        ("\\boxed{x + y + z = 0}", "\\boxed{2x - y + 3z = 0}", "\\boxed{5x - 7y + 11z + 4 = 0}"),
        ("Answer: 2:15 PM", "Answer: 2:30 PM", "Answer: 2:45 PM"),
        ("Answer: St. Louis", "Answer: St. Paul", "Answer: St. Moritz"),
        ("Answer: 4 of hearts", "Answer: 4 of spades", "Answer: 4 of clubs"),
        ("Answer: 2 lakh", "Answer: 2 crore", "Answer: 2 million"),
    ],
)
async def test_three_different_answers_are_no_agreement(stage: Stage, answers: tuple[str, ...]):
    seat(stage, dict(zip(("Ada", "Boris", "Clara"), answers, strict=True)))
    status = (await ask(desk(stage, **COUNTED), "Which is it?"))["status"]
    assert status.stop_reason != "agreed"
    assert len(status.verdict.options) == 3
    assert status.verdict.share == pytest.approx(1 / 3)
    assert len(status.dissent) == 2


@pytest.mark.parametrize(
    "answers",
    [
        ("\\boxed{x + y = 2}", "Answer: 2x + 2y - 4 = 0", "#### y = 2 - x"),
        ("Answer: 2:30 PM", "Antwort: 14:30 Uhr", "Respuesta: 2:30 p.m."),
        ("Answer: 2 lakh", "#### 200,000", '{"answer": "2,00,000"}'),
        ("<think>7</think>Answer: 9", "[THINK]8[/THINK]答案：九", "9<|im_end|>"),
    ],
)
async def test_one_answer_in_three_writings_is_agreement(stage: Stage, answers: tuple[str, ...]):
    seat(stage, dict(zip(("Ada", "Boris", "Clara"), answers, strict=True)))
    status = (await ask(desk(stage, **COUNTED), "Which is it?"))["status"]
    assert status.stop_reason == "agreed"
    assert status.verdict.options[0].members == ("Ada", "Boris", "Clara")
    assert status.dissent == ()


async def test_refusals_do_not_outvote_an_answer(stage: Stage):
    seat(stage, {"Ada": "I don't know.", "Boris": "Answer: 12", "Clara": "Je ne sais pas."})
    status = (await ask(desk(stage, **COUNTED), "How many?"))["status"]
    answered = [option for option in status.verdict.options if option.answer is not None]
    assert [option.members for option in answered] == [("Boris",)]


async def test_thoughts_and_control_tokens_of_any_dialect_never_reach_people(stage: Stage):
    seat(stage, {"Ada": "Answer: 3", "Boris": "Answer: 3", "Clara": "Answer: 3"})
    stage.model("pen", reply="[THINK]Perhaps 4.[/THINK]It is 3.<|im_end|>")
    state = await ask(desk(stage, **COUNTED), "How many?")
    assert state["messages"][-1].content == "It is 3."


async def test_a_reply_that_broke_off_does_not_vote_with_its_last_token(stage: Stage):
    seat(stage, {"Ada": "Answer: 1250", "Boris": "Answer: 9"})
    stage.model("clara", reply=Reply("So 25 * 50 = 12", finish="length"))
    status = (await ask(desk(stage, **COUNTED), "How many?"))["status"]
    answers = {option.members: option.answer for option in status.verdict.options}
    assert answers[("Clara",)] is None
