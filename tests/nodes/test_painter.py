"""What is said to who wants a picture."""

from __future__ import annotations

from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver

from mixture_of_models.graph.council import compile_council
from mixture_of_models.graph.events import Answered
from mixture_of_models.tests.graph.desk import ask, desk, question, seat, texts, told
from mixture_of_models.tests.stage import Stage


@pytest.mark.parametrize("painter", [None, {"model": "pen"}])
async def test_a_picture_is_refused_honestly_and_without_a_call(stage: Stage, painter: Any) -> None:
    seat(stage)
    result = await ask(desk(stage, painter=painter), "/image a cat")
    assert "/text" in result["messages"][-1].text
    assert result["status"].route == "image"
    assert result["status"].degraded
    assert not stage.calls


async def test_with_text_before_it_the_same_is_answered_in_words(stage: Stage) -> None:
    seat(stage)
    result = await ask(desk(stage, painter={"model": "pen"}), "/text draw me a cat")
    assert result["messages"][-1].text == "What the council says."
    assert texts(stage.calls_to("ada")[0].body, "user") == ["draw me a cat"]


async def test_a_question_after_a_picture_is_answered(stage: Stage) -> None:
    seat(stage)
    graph = compile_council(desk(stage), InMemorySaver())
    config: Any = {"configurable": {"thread_id": "t"}}
    await graph.ainvoke(question("/image a cat"), config)
    status = (await graph.ainvoke(question("Why?"), config))["status"]
    assert status.route == "text"
    assert not status.degraded


async def test_its_answer_is_told(stage: Stage) -> None:
    events = await told(desk(stage), "/image a cat")
    assert isinstance(events[-1], Answered)
