"""A council within another graph: as a node, twice, and as a tool."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.runtime import Runtime

from mom_council.deliberation.events import Answered, TextSpoken, read_event
from mom_council.graph.council import compile_council
from mom_council.tests.graph.desk import desk, question, said, seat, speaking
from mom_council.tests.stage import Stage

CONFIG: Any = {"configurable": {"thread_id": "t"}}


@dataclass
class Tenant:
    """A parent's own context."""

    name: str = "acme"
    council_context: dict[str, Any] = field(default_factory=dict)


def _parent(graph: Any, context: Any = None) -> Any:
    parent: Any = StateGraph(MessagesState, context_schema=context)
    parent.add_node("council", graph)
    parent.add_node("after", _noted)
    parent.add_edge(START, "council")
    parent.add_edge("council", "after")
    parent.add_edge("after", END)
    return parent


async def _noted(state: MessagesState) -> dict[str, Any]:
    return {"messages": [AIMessage(f"noted: {state['messages'][-1].text}")]}


async def test_a_parent_with_a_checkpointer_has_two_turns(stage: Stage) -> None:
    seat(stage)
    parent = _parent(compile_council(desk(stage))).compile(InMemorySaver())
    first = await parent.ainvoke(question("First?"), CONFIG)
    assert [m.text for m in first["messages"]] == [
        "First?",
        "What the council says.",
        "noted: What the council says.",
    ]
    stage.clear()
    second = await parent.ainvoke(question("Second?"), CONFIG)
    assert len(second["messages"]) == 6
    assert len({m.id for m in second["messages"]}) == 6
    for call in speaking(stage.calls):
        assert "noted: What the council says." in said(call.body)
        assert "Second?" in said(call.body)


async def test_a_parents_context_of_another_type_is_left_alone(stage: Stage) -> None:
    seat(stage)
    seen: list[Tenant] = []

    async def look(_: MessagesState, runtime: Runtime[Tenant]) -> dict[str, Any]:
        seen.append(runtime.context)
        return {}

    parent = _parent(compile_council(desk(stage)), Tenant)
    parent.add_node("look", look)
    parent.add_edge("after", "look")
    result = await parent.compile().ainvoke(question(), context=Tenant("acme"))
    assert result["messages"][1].text == "What the council says."
    assert [tenant.name for tenant in seen] == ["acme"]


async def test_a_parent_hands_settings_down(stage: Stage) -> None:
    seat(stage)
    parent = _parent(compile_council(desk(stage)), Tenant).compile()
    handed = Tenant(council_context={"min_rounds": 2, "max_rounds": 2})
    await parent.ainvoke(question(), context=handed)
    assert len(speaking(stage.calls_to("ada"))) == 2


async def test_two_councils_answer_side_by_side_in_one_parent(stage: Stage) -> None:
    seat(stage, latency=0.3)
    rules = {"quorum": 0.7, "grace": 60}
    one = compile_council(desk(stage, name="one", deliberation=rules))
    other = compile_council(desk(stage, name="other", deliberation=rules))
    parent: Any = StateGraph(MessagesState)
    for name, graph in (("one", one), ("other", other), ("again", one)):
        parent.add_node(name, graph)
        parent.add_edge(START, name)
    result = await parent.compile(InMemorySaver()).ainvoke(question(), CONFIG)
    labels = [m.response_metadata["council"] for m in result["messages"][1:]]
    assert sorted(label["name"] for label in labels) == ["one", "one", "other"]
    assert all(label["spoke"] == ["Ada", "Boris", "Clara"] for label in labels)
    assert stage.overlap("ada") == 3


async def test_a_council_is_a_tool(stage: Stage) -> None:
    seat(stage)
    graph = compile_council(desk(stage))

    @tool
    async def council(asked: str) -> str:
        """Ask the council."""
        result = await graph.ainvoke({"messages": [HumanMessage(asked)]})
        return str(result["messages"][-1].text)

    async def agent(_: MessagesState) -> dict[str, Any]:
        return {"messages": [AIMessage(await council.ainvoke({"asked": "Why?"}))]}

    parent: Any = StateGraph(MessagesState)
    parent.add_node("agent", agent)
    parent.add_edge(START, "agent")
    result = await parent.compile(InMemorySaver()).ainvoke(question("Ask them."), CONFIG)
    assert result["messages"][-1].text == "What the council says."
    assert "Ask them." not in said(stage.calls_to("ada")[0].body)


async def test_events_come_through_the_parents_stream(stage: Stage) -> None:
    seat(stage)
    parent = _parent(compile_council(desk(stage))).compile()
    spaces, events = set(), []
    async for space, part in parent.astream(question(), stream_mode="custom", subgraphs=True):
        spaces.add(space[0].partition(":")[0])
        events.append(read_event(part))
    assert spaces == {"council"}
    assert any(isinstance(event, TextSpoken) for event in events)
    assert isinstance(events[-1], Answered)
