"""The judge, who is asked in both orders."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from mom_council.councils.schema import Council
from mom_council.errors import CouncilError
from mom_council.evals.cases import Case
from mom_council.evals.duel import compare, duel
from mom_council.tests.graph.desk import candidates, desk, said, seat, voice
from mom_council.tests.stage import Fault, Stage

CASE = Case(question="Which pet is best?")


def bench(stage: Stage, judge: Callable[[dict[str, str]], str]) -> Council:
    """A council with a judge that nobody sits on."""

    def reply(body: dict[str, Any]) -> str:
        return json.dumps({"reason": "It is sound.", "vote": judge(candidates(body))})

    seat(stage, {"Ada": "A dog.", "Boris": "A cat.", "Clara": "A fish."}, likes="cat")
    stage.model("judge", reply=reply)
    made = desk(stage)
    keys = {**made.models, "judge": made.models["pen"].model_copy(update={"model": "judge"})}
    assert voice(stage, "judge")["model"] == "judge"
    return made.model_copy(update={"models": keys})


def likes(part: str) -> Callable[[dict[str, str]], str]:
    return lambda shown: next(label for label, text in shown.items() if part in text)


async def test_a_steady_judge_is_taken_at_its_word(stage: Stage):
    found = await compare(bench(stage, likes("cat")), "judge", CASE, "A cat.", "A dog.")
    assert found[:2] == ("one", True)
    assert found.usage.calls == 2
    shown = [[*candidates(call.body).values()] for call in stage.calls_to("judge")]
    assert sorted(shown) == [["A cat.", "A dog."], ["A dog.", "A cat."]]


@pytest.mark.parametrize(("label", "steady"), [("A", False), ("B", False), ("abstain", True)])
async def test_a_judge_of_places_decides_nothing(stage: Stage, label: str, steady: bool):
    found = await compare(bench(stage, lambda _: label), "judge", CASE, "A cat.", "A dog.")
    assert found[:2] == ("tie", steady)


async def test_the_council_is_weighed_against_one_member(stage: Stage):
    council = bench(stage, likes("council"))
    cases = [Case(question=f"Which pet is best on day {day}?") for day in range(3)]
    found = await duel(council, cases, judge="judge", against="Boris", concurrency=2)
    assert (found.won, found.lost, found.tied, found.score) == (3, 0, 0, 1.0)
    assert found.usage.calls == 6
    assert "Boris" not in said(stage.calls_to("judge")[0].body)


@pytest.mark.parametrize("fault", [Fault.status(400), Fault.garbage(), Fault.reset()])
async def test_a_judge_that_does_not_answer_is_named_with_its_fault(stage: Stage, fault: Fault):
    council = bench(stage, likes("council"))
    stage.model("judge", always=fault)
    with pytest.raises(CouncilError, match=r"judged: model 'judge' did not answer: \w+"):
        await duel(council, [CASE], judge="judge", against="Boris")
