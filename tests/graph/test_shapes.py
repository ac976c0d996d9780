"""One matrix: a council in each shape that it is embedded in, against all that may happen to it.

Every cell looks at the log of requests: the right answer, and no finished call made again. The
server's cells (`langgraph dev`, RemoteGraph) stand in `tests/test_studio.py`.
"""

from __future__ import annotations

import operator
import os
import subprocess
import sys
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypedDict

import pytest
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.types import Command, Send

from mom_council.graph.council import build_graph
from mom_council.tests.graph.desk import desk, question, seat
from mom_council.tests.stage import Fault, Stage

CONFIG: Any = {"configurable": {"thread_id": "t"}}
ANSWERS = {"Ada": "A cat.", "Boris": "A dog.", "Clara": "A bird."}
WHOLE = Counter({"ada": 2, "boris": 2, "clara": 2, "pen": 1})


def saver() -> InMemorySaver:
    """A saver as strict as LANGGRAPH_STRICT_MSGPACK=true makes it."""
    return InMemorySaver(serde=JsonPlusSerializer(allowed_msgpack_modules=None))


def bare(council: Any) -> Any:
    return build_graph(council).compile(saver())


def parent(council: Any, kept: Any = None) -> Any:
    built: Any = StateGraph(MessagesState)
    built.add_node("council", build_graph(council).compile())
    built.add_edge(START, "council")
    return built.compile(kept or saver())


def parent_of_a_parent(council: Any) -> Any:
    inner: Any = StateGraph(MessagesState)
    inner.add_node("council", build_graph(council).compile())
    inner.add_edge(START, "council")
    built: Any = StateGraph(MessagesState)
    built.add_node("inner", inner.compile())
    built.add_edge(START, "inner")
    return built.compile(saver())


class Sent(TypedDict):
    messages: Annotated[list[AnyMessage], operator.add]


def sent(council: Any) -> Any:
    built: Any = StateGraph(Sent)
    built.add_node("council", build_graph(council).compile())
    built.add_conditional_edges(
        START, lambda state: [Send("council", {"messages": state["messages"]})], ["council"]
    )
    return built.compile(saver())


def a_tool(council: Any) -> Any:
    asked = build_graph(council).compile()

    @tool
    async def ask_the_council(text: str) -> str:
        """Ask the council."""
        result = await asked.ainvoke({"messages": [HumanMessage(text)]})
        return str(result["messages"][-1].text)

    def agent(_: MessagesState) -> dict[str, Any]:
        call = {"name": "ask_the_council", "args": {"text": "Which pet?"}, "id": "1"}
        return {"messages": [AIMessage("", tool_calls=[call])]}

    built: Any = StateGraph(MessagesState)
    built.add_node("agent", agent)
    built.add_node("tools", ToolNode([ask_the_council]))
    built.add_edge(START, "agent")
    built.add_edge("agent", "tools")
    return built.compile(saver())


SHAPES: list[Callable[[Any], Any]] = [bare, parent, parent_of_a_parent, sent, a_tool]
shapes = pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)


@pytest.fixture(autouse=True)
def _nothing_is_warned_of(caplog: pytest.LogCaptureFixture) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield
    assert not [one for one in caplog.records if one.name.startswith("langgraph")]


async def waiting(graph: Any, graph_input: Any) -> Any:
    """The one interrupt at which a run stops."""
    await graph.ainvoke(graph_input, CONFIG)
    [one] = (await graph.aget_state(CONFIG)).interrupts
    return one


def calls(stage: Stage) -> Counter[str]:
    return Counter(call.model for call in stage.calls)


@shapes
async def test_it_answers(stage: Stage, shape: Any) -> None:
    seat(stage, ANSWERS, likes="cat")
    result = await shape(desk(stage)).ainvoke(question(), CONFIG)
    assert result["messages"][-1].text == "What the council says."
    assert calls(stage) == WHOLE


@shapes
@pytest.mark.parametrize(
    "reply",
    [None, "ask_again", "go_on", {"choice": "ask_again"}],
    ids=["None", "again", "on", "map"],
)
async def test_a_missed_quorum_waits_and_only_the_missing_are_asked_again(
    stage: Stage, shape: Any, reply: Any
) -> None:
    seat(stage, ANSWERS, likes="cat")
    stage.scripts["clara"].faults = [Fault.status(500)]
    graph = shape(desk(stage, deliberation={"minimum": 3}))
    paused = await waiting(graph, question())
    assert paused.value["error"] == "QuorumError"
    assert paused.value["choices"] == ["ask_again", "go_on", "give_up"]
    assert "2 of 3 answered and 3 must" in paused.value["what"]
    stage.clear()
    result = await graph.ainvoke(None if reply is None else Command(resume=reply), CONFIG)
    assert result["messages"][-1].text == "What the council says."
    voters = Counter({"ada": 1, "boris": 1, "clara": 2, "pen": 1})
    assert calls(stage) == (Counter({"pen": 1}) if reply == "go_on" else voters)


@shapes
async def test_a_quorum_that_is_missed_again_waits_again(stage: Stage, shape: Any) -> None:
    seat(stage, ANSWERS, likes="cat")
    for name in ("ada", "boris", "clara"):
        stage.scripts[name].faults = [Fault.status(500), Fault.status(500)]
    graph = shape(desk(stage))
    paused = await waiting(graph, question())
    assert paused.value["choices"] == ["ask_again", "give_up"]
    await waiting(graph, None)
    assert calls(stage) == Counter({"ada": 2, "boris": 2, "clara": 2})
    stage.clear()
    result = await graph.ainvoke(None, CONFIG)
    assert result["messages"][-1].text == "What the council says."
    assert calls(stage) == WHOLE


@shapes
@pytest.mark.parametrize("reply", [None, "ask_again"])
async def test_a_spent_budget_waits_and_is_given_once_more(
    stage: Stage, shape: Any, reply: Any
) -> None:
    seat(stage, ANSWERS, likes="cat")
    graph = shape(desk(stage, budget={"calls": 1}, deliberation={"method": "plurality"}))
    paused = await waiting(graph, question())
    assert paused.value["error"] == "BudgetError"
    assert not stage.calls
    result = await graph.ainvoke(None if reply is None else Command(resume=reply), CONFIG)
    assert result["messages"][-1].text == "What the council says."
    assert calls(stage)["pen"] == 1


@shapes
async def test_giving_up_raises_the_error(stage: Stage, shape: Any) -> None:
    seat(stage, ANSWERS)
    for name in ("ada", "boris", "clara"):
        stage.scripts[name].faults = [Fault.status(500)]
    graph = shape(desk(stage))
    await waiting(graph, question())
    with pytest.raises(Exception, match="none of the 3 models answered"):
        await graph.ainvoke(Command(resume="give_up"), CONFIG)


STRICT = """
import asyncio, logging, sys
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import START, MessagesState, StateGraph
from mom_council import council, open_checkpointer
logging.basicConfig(level=logging.WARNING)

async def two_questions(saver):
    parent = StateGraph(MessagesState)
    parent.add_node("council", council("demo"))
    parent.add_edge(START, "council")
    for thread, graph in (
        ("bare", council("demo", checkpointer=saver)), ("parent", parent.compile(saver))
    ):
        config = {"configurable": {"thread_id": thread}}
        for text in ("What is 17 + 25?", "Is 42 even?"):
            result = await graph.ainvoke({"messages": [("user", text)]}, config)
        print(thread, len(result["messages"]), type(result.get("status")).__name__)

async def main():
    async with open_checkpointer(sys.argv[1] + "/ours.db") as saver:
        await two_questions(saver)
    async with AsyncSqliteSaver.from_conn_string(sys.argv[1] + "/theirs.db") as saver:
        await two_questions(saver)

asyncio.run(main())
"""


@pytest.mark.slow
@pytest.mark.parametrize("strict", ["true", "false"])
def test_threads_are_read_in_strict_mode_and_without_a_warning(tmp_path: Path, strict: str) -> None:
    env = {**os.environ, "LANGGRAPH_STRICT_MSGPACK": strict}
    command = [sys.executable, "-c", STRICT, str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, text=True, env=env)
    assert ended.stderr == ""
    assert ended.stdout.split() == ["bare", "4", "Status", "parent", "4", "NoneType"] * 2
