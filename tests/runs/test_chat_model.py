"""A council as a chat model: LangChain's own suites, and a council in an agent's place."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import HumanMessage
from langchain_core.tools import tool
from langchain_tests.integration_tests import ChatModelIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests

from mom_council import ChatCouncil
from mom_council.testing import Fault, Reply, Stage
from mom_council.tests.graph.desk import desk, said, seat


def value_of(schema: dict[str, Any], root: dict[str, Any]) -> Any:
    """Some value that fits a JSON schema."""
    if "$ref" in schema:
        schema = root["$defs"][schema["$ref"].rpartition("/")[2]]
    if "anyOf" in schema:
        schema = schema["anyOf"][0]
    if schema.get("type") == "object":
        return {name: value_of(one, root) for name, one in schema.get("properties", {}).items()}
    if schema.get("type") == "array":
        return []
    return {"integer": 3, "number": 3, "boolean": True}.get(str(schema.get("type")), "cats")


def writes(body: dict[str, Any]) -> Reply | str:
    """A synthesizer that calls the first tool it is offered, and answers when that has returned."""
    tools = body.get("tools") or []
    if not tools or "<result" in said(body) or body["messages"][-1]["role"] == "tool":
        return "Hello, hello! What the council says."
    function = tools[0]["function"]
    arguments = value_of(function["parameters"], function["parameters"])
    for name in ("你好啊集团", "こんにちは株式会社"):
        if name in said(body):
            arguments = dict.fromkeys(arguments, name)
    return Reply(None, tool_calls=[{"name": function["name"], "args": arguments, "id": "c1"}])


@pytest.fixture(scope="module")
def server() -> Any:
    with Stage() as stage:
        seat(stage)
        stage.model("pen", reply=writes)
        yield stage


class _OfACouncil:
    """What both suites are told of the model."""

    @pytest.fixture(autouse=True)
    def _sit(self, server: Stage) -> None:
        self.council = desk(server, deliberation={"method": "none"})

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatCouncil

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"council": getattr(self, "council", "demo")}

    @property
    def supports_json_mode(self) -> bool:
        return False


class TestUnit(_OfACouncil, ChatModelUnitTests):  # type: ignore[misc]
    """LangChain's standard unit tests."""


class TestIntegration(_OfACouncil, ChatModelIntegrationTests):  # type: ignore[misc]
    """LangChain's standard integration tests, on a real server of scripted models."""


async def test_the_answer_is_streamed_and_says_how_it_came_about(stage: Stage) -> None:
    seat(stage)
    stage.model("pen", reply=Reply("One two three.", chunks=["One ", "two ", "three."]))
    chat = ChatCouncil(council=desk(stage))
    parts = [part async for part in chat.astream("Which pet?")]
    assert "".join(part.text for part in parts) == "One two three."
    about = parts[-1].response_metadata["council"] if parts[-1].response_metadata else {}
    about = about or next(p.response_metadata["council"] for p in parts if p.response_metadata)
    assert about["spoke"] == ["Ada", "Boris", "Clara"]
    assert "".join(part.text for part in chat.stream("Which pet?")) == "One two three."


def test_an_agent_runs_on_a_council_and_tools_go_to_the_synthesizer(stage: Stage) -> None:
    seat(stage)
    stage.model("pen", reply=writes)

    @tool
    def look(place: str) -> str:
        """Look somewhere."""
        return f"a cat in {place}"

    agent = create_agent(ChatCouncil(council=desk(stage)), [look])
    result = agent.invoke({"messages": [("user", "Which pet?")]})
    assert result["messages"][-1].text.endswith("What the council says.")
    assert [m.type for m in result["messages"]] == ["human", "ai", "tool", "ai"]
    assert "look" in json.dumps([call.body.get("tools") for call in stage.calls_to("pen")])
    assert all("tools" not in call.body for call in stage.calls_to("ada"))
    assert "a cat in cats" in said(stage.calls_to("pen")[-1].body)


def test_a_call_may_be_forced_and_the_answer_held_to_a_schema(stage: Stage) -> None:
    seat(stage)
    stage.model("pen", reply=writes)
    schema = {
        "title": "Pet",
        "description": "A pet.",
        "type": "object",
        "properties": {"kind": {"type": "string"}, "legs": {"type": "integer"}},
        "required": ["kind", "legs"],
    }
    chat = ChatCouncil(council=desk(stage))
    assert chat.with_structured_output(schema).invoke("Which?") == {"kind": "cats", "legs": 3}
    assert stage.calls_to("pen")[-1].body["tool_choice"]


def test_settings_of_a_call_reach_the_synthesizer_alone(stage: Stage) -> None:
    seat(stage)
    stage.model("pen", reply="One. Two. Three.")
    chat = ChatCouncil(council=desk(stage), temperature=0.25, max_tokens=77)
    assert chat.invoke([HumanMessage("Why?")], stop=["Two"]).text == "One. "
    body = stage.calls_to("pen")[-1].body
    assert (body["temperature"], body["stop"]) == (0.25, ["Two"])
    assert 77 in (body.get("max_tokens"), body.get("max_completion_tokens"))
    assert all(call.body.get("temperature") != 0.25 for call in stage.calls_to("ada"))


async def test_who_stops_listening_stops_the_models(stage: Stage) -> None:
    seat(stage)
    stage.model("pen", reply="One two three four.", always=Fault.stall(after=1))
    stream = ChatCouncil(council=desk(stage)).astream("Why?")
    assert (await anext(stream)).text
    await stream.aclose()  # type: ignore[attr-defined]
    await asyncio.to_thread(stage.wait_for, 1, 60, model="pen")
    assert stage.calls_to("pen")[0].outcome == "client_left"
