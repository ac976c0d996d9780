"""Councils that nobody votes in: the names that a council may write, and what its verdict says."""

from __future__ import annotations

import pytest

from mom_council.deliberation.context import CouncilContext
from mom_council.tests.graph.desk import ask, desk, proposals, said, seat, speaking
from mom_council.tests.stage import Stage

TREES = "Plant more trees along the river, because they hold the soil when the water rises."
MORE_TREES = "Plant more trees along the river: they hold the soil when the water rises."
DAM = "Build a dam in the upper valley and pay the farmers whose fields it drowns."


@pytest.mark.parametrize(
    ("written", "meant"),
    [("consensus", "similarity"), ("voting", "plurality"), ("best_confidence", "best_confidence")],
)
def test_a_council_may_say_how_it_decides_in_plain_words(
    stage: Stage, written: str, meant: str
) -> None:
    assert desk(stage, deliberation={"method": written}).deliberation.method == meant
    assert CouncilContext.model_validate({"method": written}).method == meant


async def test_a_consensus_is_what_most_say_alike_and_nobody_is_asked_again(stage: Stage) -> None:
    seat(stage, {"Ada": DAM, "Boris": TREES, "Clara": MORE_TREES})
    status = (await ask(desk(stage, deliberation={"method": "consensus"}), "What now?"))["status"]
    assert len(stage.calls) == 4
    assert status.verdict.options[0].members == ("Boris", "Clara")
    assert status.verdict.share == pytest.approx(2 / 3)
    assert status.dissent == ("Ada",)
    pen = said(stage.calls_to("pen")[0].body)
    assert "leads with 67% saying much the same" in pen


async def test_the_surest_leads_and_is_asked_how_sure_it_is(stage: Stage) -> None:
    seat(
        stage,
        {
            "Ada": "Confidence: 55%\nAnswer: 7",
            "Boris": "Confidence: 95%\nAnswer: 8",
            "Clara": "Confidence: 55%\nAnswer: 7",
        },
    )
    council = desk(stage, deliberation={"method": "best_confidence"})
    state = await ask(council, "How many?")
    verdict = state["status"].verdict
    assert (verdict.leader, verdict.share, verdict.options[0].answer) == ("Boris", 0.95, "8")
    assert state["status"].stop_reason == "agreed"
    assert [option.share for option in verdict.options] == [0.95, 0.55]
    assert all("Confidence:" in said(call.body) for call in speaking(stage.calls)[:3])
    assert "leads with a confidence of 95%" in said(stage.calls_to("pen")[0].body)
    assert len(proposals(stage.calls_to("pen")[0].body)) == 3


async def test_nobody_is_asked_how_sure_it_is_where_that_is_not_counted(stage: Stage) -> None:
    seat(stage)
    await ask(desk(stage))
    assert all("Confidence:" not in said(call.body) for call in stage.calls)
