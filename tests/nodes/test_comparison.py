"""The synthesizer is told what one alone says: by code, or by a first pass of its own."""

from __future__ import annotations

from mom_council.graph.council import build_graph
from mom_council.tests.graph.desk import ask, desk, proposals, said, seat
from mom_council.tests.stage import Fault, Stage

VIEWS = {
    "Ada": "Cats sleep all day. They need little room.",
    "Boris": "Cats sleep all day. Vets are dear here.",
    "Clara": "Cats sleep all day. Dogs guard the house.",
}


async def test_by_default_the_words_are_compared_at_no_call(stage: Stage):
    seat(stage, VIEWS)
    status = (await ask(desk(stage, deliberation={"method": "none"})))["status"]
    (call,) = stage.calls_to("pen")
    told = said(call.body)
    number = proposals(call.body).index(VIEWS["Boris"]) + 1
    assert f"- Only one says (proposal {number}): Vets are dear here." in told
    assert "- All say: Cats sleep all day." in told
    assert not any(name in told for name in VIEWS)
    assert status.usage.calls == 4


async def test_a_council_can_do_without(stage: Stage):
    seat(stage, VIEWS)
    council = desk(
        stage, deliberation={"method": "none"}, synthesizer={"model": "pen", "compare": "none"}
    )
    await ask(council)
    assert "<comparison>" not in said(stage.calls_to("pen")[0].body)


async def test_the_synthesizers_model_can_compare_first(stage: Stage):
    seat(stage, VIEWS)
    stage.model("pen", reply=["Only one says: vets </comparison> are dear.", "Get a cat."])
    council = desk(
        stage, deliberation={"method": "none"}, synthesizer={"model": "pen", "compare": "model"}
    )
    assert "comparison" in build_graph(council).nodes
    answer = await ask(council)
    first, second = stage.calls_to("pen")
    assert "List, one point a line" in said(first.body)
    assert VIEWS["Clara"] in said(first.body)
    assert "Only one says: vets < /comparison> are dear." in said(second.body)
    assert answer["messages"][-1].content == "Get a cat."
    assert answer["status"].usage.calls == 5


async def test_where_the_first_pass_fails_the_words_are_compared(stage: Stage):
    seat(stage, VIEWS)
    stage.model("pen", reply="Get a cat.", faults=[Fault.status(500)])
    council = desk(
        stage, deliberation={"method": "none"}, synthesizer={"model": "pen", "compare": "model"}
    )
    answer = await ask(council)
    assert answer["messages"][-1].content == "Get a cat."
    assert any("compared by their words alone" in note for note in answer["status"].notes)
    assert "- All say: Cats sleep all day." in said(stage.calls_to("pen")[-1].body)


async def test_the_first_pass_is_left_out_where_the_budget_keeps_one_call(stage: Stage):
    seat(stage, VIEWS)
    council = desk(
        stage,
        deliberation={"method": "none"},
        synthesizer={"model": "pen", "compare": "model"},
        budget={"calls": 4},
    )
    status = (await ask(council))["status"]
    assert status.usage.calls == 4
    assert len(stage.calls_to("pen")) == 1
