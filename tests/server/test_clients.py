"""Other clients than the official one: LangChain's, and a council that sits in another council."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import HumanMessage, SystemMessage
from langchain_openai import ChatOpenAI
from pydantic import BaseModel, Field

from mom_council.councils.loader import load_council
from mom_council.tests.graph.desk import ask, desk, said, seat, texts, voice, written
from mom_council.tests.server.conftest import KEY, Serve, Served
from mom_council.tests.stage import Stage

pytestmark = pytest.mark.slow


def chat(served: Served, **more: Any) -> ChatOpenAI:
    return ChatOpenAI(model="desk", base_url=f"{served.url}/v1", api_key=KEY, **more)


async def test_langchain_asks_streams_and_counts(stage: Stage, serve: Serve) -> None:
    seat(stage)
    model = chat(serve(desk(stage), keys=KEY), temperature=0, max_tokens=99, stream_usage=True)
    messages = [SystemMessage("Be kind."), HumanMessage("Which?")]
    answer = await model.ainvoke(messages)
    assert answer.text == "What the council says."
    assert answer.usage_metadata is not None
    assert answer.usage_metadata["total_tokens"] > 0
    parts = [part async for part in model.astream(messages)]
    assert "".join(part.text for part in parts) == "What the council says."
    assert parts[-1].usage_metadata or any(part.usage_metadata for part in parts)
    assert "Be kind." in texts(stage.calls_to("ada")[0].body, "system")[0]
    assert stage.calls_to("pen")[0].body["max_tokens"] == 99


class Pet(BaseModel):
    """A pet."""

    kind: str = Field(description="what it is")


async def test_langchain_gets_what_it_wants_structured(stage: Stage, serve: Serve) -> None:
    seat(stage)
    stage.model("pen", reply='{"kind": "cat"}')
    model = chat(serve(desk(stage)))
    for method in ("json_schema", "json_mode"):
        wanted = model.with_structured_output(Pet, method=method)
        assert await wanted.ainvoke("Which, in JSON?") == Pet(kind="cat")


async def test_langchain_reaches_the_responses_too(stage: Stage, serve: Serve) -> None:
    seat(stage)
    model = chat(serve(desk(stage)), use_responses_api=True)
    assert (await model.ainvoke("Which?")).text == "What the council says."
    parts = [part.text async for part in model.astream("Which?")]
    assert "".join(parts) == "What the council says."


async def test_a_council_sits_in_another_council(stage: Stage, serve: Serve) -> None:
    seat(stage)
    says = "The inner council says 42.\nAnswer: 42"
    ballot = '{"reason": "It adds up.", "vote": "A"}'
    stage.model("pen", reply=lambda body: ballot if "response_format" in body else says)
    stage.model("solo", reply="It is 41.\nAnswer: 41")
    stage.model("outer", reply="All in all 42.")
    served = serve(desk(stage))
    plan = written(stage, ["Ada"], deliberation={"ballots": "always"})  # most answer the same
    plan |= {
        "name": "outer",
        "models": {
            "inner": voice(stage, "desk", base_url=f"{served.url}/v1"),
            "solo": voice(stage, "solo"),
            "outer": voice(stage, "outer"),
        },
        "characters": [
            {"name": "The desk", "model": "inner"},
            {"name": "Solo", "model": "solo"},
            {"name": "Second", "model": "inner"},
        ],
        "synthesizer": {"model": "outer"},
    }
    result = await ask(load_council(plan), "What is 17 + 25?")
    assert result["messages"][-1].text == "All in all 42."
    status = result["status"]
    assert status.spoke == ("The desk", "Solo", "Second")
    assert status.absent == ()
    assert "The inner council says 42." in said(stage.calls_to("outer")[0].body)
    told = [texts(call.body, "system")[0] for call in stage.calls_to("ada")]
    assert any("You are The desk" in text for text in told)
    # Its ballots are held to their schema by the inner synthesizer.
    assert (status.verdict.ballots, status.verdict.abstained) == (2, 1), "Solo cast none"
    assert any("response_format" in call.body for call in stage.calls_to("pen"))
