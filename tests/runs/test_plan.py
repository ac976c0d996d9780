"""What a question may take at the most is said before anybody is asked, and holds."""

from __future__ import annotations

import pytest

from mom_council.runs.plan import plan_in_words, plan_question
from mom_council.tests.graph.desk import ask, desk, seat, voice
from mom_council.tests.stage import Fault, Stage

PRICE = {"input": 3, "output": 15}
QUESTION = "What is the best pet?"


@pytest.mark.slow
@pytest.mark.parametrize("rounds", [1, 2])
@pytest.mark.parametrize("compare", ["words", "model"])
async def test_no_question_takes_more_than_its_plan(
    stage: Stage, rounds: int, compare: str
) -> None:
    seat(stage)
    for script in stage.scripts.values():
        script.faults = [Fault.status(500, retry_after=0), None, Fault.status(500, retry_after=0)]
    names = ("ada", "boris", "clara", "pen")
    models = {name: voice(stage, name, price=PRICE, retries=1) for name in names}
    rules = {"rounds": {"min": rounds, "max": rounds}}
    council = desk(stage, models=models, deliberation=rules, synthesizer={"compare": compare})
    plan = await plan_question(council, QUESTION)
    assert not stage.calls
    usage = (await ask(council, QUESTION))["status"].usage
    assert plan.calls == 6 * rounds + (compare == "model") + 2
    assert usage.calls == len(stage.calls) <= plan.most_calls
    assert (usage.tokens or 0) <= plan.tokens
    assert (usage.usd or 0) <= (plan.usd or 0)


async def test_a_plan_keeps_to_the_budget_and_says_what_is_not_known(stage: Stage) -> None:
    council = desk(stage, budget={"calls": 5, "tokens": 9_000})
    plan = await plan_question(council, QUESTION)
    assert (plan.most_calls, plan.tokens, plan.usd) == (5, 9_000, None)
    lines = [*plan_in_words(plan, council.name)]
    assert "calls 5, tokens 9000" in " ".join(lines)
    assert "Dollars are not known" in lines[-1]
