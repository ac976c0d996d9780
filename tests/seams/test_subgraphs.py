"""A council as a node: it shows what its nodes write, and leaves its parent's own keys alone."""

from __future__ import annotations

import operator
from typing import Annotated, Any

import pytest
from langchain_core.messages import AnyMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from langgraph.graph.message import add_messages
from typing_extensions import TypedDict

from mom_council.graph.council import build_graph, compile_council
from mom_council.records import Status
from mom_council.seams.subgraphs import NodeResult
from mom_council.tests.graph.desk import desk, question, seat
from mom_council.tests.stage import Stage


class OwnText(TypedDict, total=False):
    messages: Annotated[list[AnyMessage], add_messages]
    status: str


class OwnMap(TypedDict, total=False):
    messages: Annotated[list[AnyMessage], add_messages]
    status: dict[str, Any]


class OwnList(TypedDict, total=False):
    messages: Annotated[list[AnyMessage], add_messages]
    status: Annotated[list[str], operator.add]


class Anything(TypedDict, total=False):
    messages: Annotated[list[AnyMessage], add_messages]
    status: Any


class Ours(TypedDict, total=False):
    messages: Annotated[list[AnyMessage], add_messages]
    status: Status | None


def parent(state: Any, node: Any) -> Any:
    built: Any = StateGraph(state)
    built.add_node("council", node)
    built.add_edge(START, "council")
    return built.compile()


async def streamed(graph: Any, graph_input: Any) -> Any:
    """As a server does that streams all events: it has nodes run in another way."""
    result: Any = None
    async for event in graph.astream_events(graph_input, version="v2"):
        if event["event"] == "on_chain_end" and event["name"] == "LangGraph":
            result = event["data"]["output"]
    return result


async def invoked(graph: Any, graph_input: Any) -> Any:
    return await graph.ainvoke(graph_input)


RUNS = pytest.mark.parametrize("run", [invoked, streamed])


@RUNS
@pytest.mark.parametrize(
    ("state", "value"),
    [
        (OwnText, "open"),
        (OwnMap, {"open": True}),
        (OwnList, ["open"]),
        (Anything, "open"),
        (Anything, {"open": True}),
    ],
)
async def test_a_parents_own_status_survives(
    stage: Stage, state: Any, value: Any, run: Any
) -> None:
    seat(stage)
    graph = parent(state, compile_council(desk(stage)))
    result = await run(graph, {**question(), "status": value})
    assert result["status"] == value
    assert result["messages"][-1].text == "What the council says."


@RUNS
@pytest.mark.parametrize("state", [OwnText, OwnMap])
async def test_a_key_that_is_not_yet_set_is_left_so(stage: Stage, state: Any, run: Any) -> None:
    seat(stage)
    result = await run(parent(state, compile_council(desk(stage))), question())
    assert "status" not in result


@RUNS
@pytest.mark.parametrize("state", [Ours, Anything])
async def test_a_parent_that_wants_the_label_gets_it(stage: Stage, state: Any, run: Any) -> None:
    seat(stage)
    result = await run(parent(state, compile_council(desk(stage))), question())
    assert isinstance(result["status"], Status)
    assert set(result) == {"messages", "status"}


def test_synchronous_parents_too(stage: Stage) -> None:
    seat(stage)
    graph = parent(OwnText, compile_council(desk(stage)))
    assert graph.invoke({**question(), "status": "open"})["status"] == "open"


async def test_a_function_that_calls_the_council_itself_reads_every_key(stage: Stage) -> None:
    seat(stage)
    council = compile_council(desk(stage))
    seen = []

    async def ask(state: OwnText) -> dict[str, Any]:
        result = await council.ainvoke({"messages": state["messages"]})
        seen.append((result["status"], result.get("status"), "status" in result))
        return {"messages": result["messages"], "status": result["status"].stop_reason}

    result = await parent(OwnText, ask).ainvoke(question())
    [(status, same, is_there)] = seen
    assert isinstance(status, Status)
    assert same is status
    assert is_there
    assert result["status"] == status.stop_reason


async def test_a_function_that_streams_the_council_reads_every_key(stage: Stage) -> None:
    seat(stage)
    council = compile_council(desk(stage))
    proposals = []

    async def ask(state: OwnText, config: RunnableConfig) -> dict[str, Any]:
        values: Any = {}
        async for values in council.astream({"messages": state["messages"]}, config):
            proposals.append(len(values.get("proposals", ())))
        return {"messages": values["messages"]}

    await parent(OwnText, ask).ainvoke(question())
    assert proposals[-1] == 3


def test_langgraph_writes_what_a_result_lists() -> None:
    class Plain(TypedDict, total=False):
        one: str
        two: str

    graph = parent(Plain, lambda _: NodeResult({"one": "a", "two": "b"}, frozenset(["two"])))
    assert graph.invoke({"two": "own"}) == {"one": "a", "two": "own"}


async def updates_of(graph: Any) -> dict[str, list[Any]]:
    wrote: dict[str, list[Any]] = {}
    options = {"stream_mode": "updates", "subgraphs": True}
    config = {"configurable": {"thread_id": "t"}}
    async for space, part in graph.astream(question(), config, **options):
        for node, update in part.items():
            if space or node != "council":
                wrote.setdefault(node, []).append(update)
    return wrote


async def test_a_stream_of_updates_shows_what_each_node_wrote(stage: Stage) -> None:
    seat(stage)
    council = desk(stage)
    inner = build_graph(council)
    for graph in (inner.compile(InMemorySaver()), parent(OwnText, inner.compile())):
        wrote = await updates_of(graph)
        assert {node for node, updates in wrote.items() if not all(updates)} == set()
        assert wrote["quorum"] == [{"step": "3 answered, 1 must"}]
        assert not {"annotator", "thermal_wait"} & wrote.keys()  # they have nothing to do
        [spoken] = wrote["Ada"]
        assert [one.character for one in spoken["proposals"]] == ["Ada"]
        assert [one.voter for one in wrote["Ada votes"][0]["ballots"]] == ["Ada"]
        assert isinstance(wrote["synthesizer"][0]["status"], Status)


async def test_a_stream_of_values_shows_the_whole_table(stage: Stage) -> None:
    seat(stage)
    graph = parent(OwnText, compile_council(desk(stage)))
    inner = [
        values
        async for space, values in graph.astream(question(), stream_mode="values", subgraphs=True)
        if space
    ]
    assert [one.character for one in inner[-1]["proposals"]] == ["Ada", "Boris", "Clara"]


async def test_what_is_only_for_streams_stands_in_no_checkpoint(stage: Stage) -> None:
    seat(stage)
    graph = compile_council(desk(stage), InMemorySaver())
    config: Any = {"configurable": {"thread_id": "t"}}
    await graph.ainvoke(question(), config)
    async for snapshot in graph.aget_state_history(config):
        assert "step" not in snapshot.values
