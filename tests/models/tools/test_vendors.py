"""The loop on every vendor's own protocol: a call, its result under its id, the answer."""

from __future__ import annotations

import json

import pytest
from langchain_core.messages import HumanMessage, SystemMessage

from mom_council.councils.schema import Tool
from mom_council.models.resolved import resolve_model
from mom_council.models.tools.tool_loop import speak_with_tools
from mom_council.models.tools.toolset import open_toolset
from mom_council.tests.models.test_vendors import VENDORS, council
from mom_council.tests.stage import Reply as Line
from mom_council.tests.stage import Stage

QUESTION = [SystemMessage("Be brief."), HumanMessage("How is the weather?")]


def weather(city: str) -> str:
    """Say how the weather is in a city."""
    return f"Rain in {city}."


@pytest.mark.parametrize("vendor", VENDORS)
async def test_two_calls_are_answered_under_their_ids(stage: Stage, vendor: str) -> None:
    called = [
        {"name": "weather", "args": {"city": city}, "id": name}
        for city, name in (("Bergen", "abcdefghi"), ("Oslo", "jklmnopqr"))
    ]
    stage.model("m-1", reply=[Line("I look.", tool_calls=called), "It rains."])
    sitting = council(stage, vendor)
    sitting = sitting.model_copy(update={"tools": {"weather": Tool()}})
    belt = await open_toolset(sitting.tools, ["weather"], 4, {"weather": weather})
    heard: list[str] = []
    reply, made = await speak_with_tools(
        resolve_model(sitting, "m"), QUESTION, belt, on_text=lambda piece, _: heard.append(piece)
    )
    assert (reply.text, made, reply.finish) == ("It rains.", 2, "stop")
    assert "".join(heard) == "I look.It rains."
    told = json.dumps(stage.calls[1].body["input" if vendor == "responses" else "messages"])
    for part in ("Rain in Bergen.", "Rain in Oslo."):
        assert told.count(part) == 1
    if vendor != "mistralai":  # whose library sends back either calls or text
        assert told.count("I look.") == 1
    assert '"city"' in json.dumps(stage.calls[0].body["tools"])
    if vendor != "ollama":  # which has no ids
        assert told.count("abcdefghi") == told.count("jklmnopqr") == 2


async def test_thoughts_go_back_signed_to_whoever_wants_them_with_a_call(stage: Stage) -> None:
    called = [{"name": "weather", "args": {"city": "Oslo"}, "id": "toolu_1"}]
    stage.model("m-1", reply=[Line("I look.", reasoning="Rain?", tool_calls=called), "It rains."])
    sitting = council(stage, "anthropic")
    sitting = sitting.model_copy(update={"tools": {"weather": Tool()}})
    belt = await open_toolset(sitting.tools, ["weather"], 4, {"weather": weather})
    reply, _ = await speak_with_tools(resolve_model(sitting, "m"), QUESTION, belt)
    assert (reply.text, reply.reasoning) == ("It rains.", "Rain?")
    asked = stage.calls[1].body["messages"][1]
    assert [block["type"] for block in asked["content"]] == ["thinking", "text", "tool_use"]
    assert asked["content"][0]["signature"] == "c2lnbmVk"
    assert asked["content"][2]["input"] == {"city": "Oslo"}
