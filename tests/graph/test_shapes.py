"""One matrix: a council in each shape that it is embedded in, against all that may happen to it.

Every cell looks at the log of requests: the right answer, and no finished call made again. All of
them read their threads in strict mode, and warnings are errors.
"""

from __future__ import annotations

import asyncio
import operator
import os
import subprocess
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
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
from mom_council.tests.deliberation.test_reviews import is_drawn
from mom_council.tests.dev_server import Studio, run_studio
from mom_council.tests.graph.desk import desk, question, seat
from mom_council.tests.graph.over_http import Remote, Sdk, Served
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
SERVED: list[type[Served]] = [Sdk, Remote]
NAMES = [one.__name__ for one in (*SHAPES, *SERVED)]


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    """One server for the module, as strict as the shapes in this process."""
    with run_studio(tmp_path_factory, LANGGRAPH_STRICT_MSGPACK="true") as running:
        yield running


@pytest.fixture(
    params=[*SHAPES, *(pytest.param(one, marks=pytest.mark.slow) for one in SERVED)],
    ids=NAMES,
)
def shape(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """What makes a graph of a council: in this process, or on `langgraph dev`."""
    if request.param in SHAPES:
        return request.param
    return partial(request.param, request.getfixturevalue("studio"), folder=tmp_path)


def is_served(graph: Any) -> bool:
    return isinstance(graph, Served)


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


async def test_it_answers(stage: Stage, shape: Any) -> None:
    seat(stage, ANSWERS, likes="cat")
    result = await shape(desk(stage)).ainvoke(question(), CONFIG)
    assert result["messages"][-1].text == "What the council says."
    assert calls(stage) == WHOLE


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


async def test_giving_up_raises_the_error(stage: Stage, shape: Any) -> None:
    seat(stage, ANSWERS)
    for name in ("ada", "boris", "clara"):
        stage.scripts[name].faults = [Fault.status(500)]
    graph = shape(desk(stage))
    await waiting(graph, question())
    # LangGraph's server keeps the texts of errors to its log.
    what = "QuorumError" if is_served(graph) else "none of the 3 models answered"
    with pytest.raises(Exception, match=what):
        await graph.ainvoke(Command(resume="give_up"), CONFIG)


async def test_what_was_answered_can_be_replayed_from_every_checkpoint(
    stage: Stage, shape: Any
) -> None:
    seat(stage, ANSWERS, likes="cat")
    graph = shape(desk(stage))
    await graph.ainvoke(question(), CONFIG)
    places = [one async for one in graph.aget_state_history(CONFIG)]
    assert len(places) >= 3
    for place in places:
        if not place.next or place.next == ("__start__",):
            continue
        stage.clear()
        result = await graph.ainvoke(None, place.config)
        assert result["messages"][-1].text == "What the council says."
        spoken = {name.lower() for name in heard(place.values)}
        again = calls(stage)
        assert again["pen"] == 1
        assert all(again[name] <= (1 if name in spoken else 2) for name in again)


def heard(values: Any) -> list[str]:
    """Who has spoken by a checkpoint of a council's own; nobody, in a parent's."""
    proposals = values.get("proposals") or ()
    return [one["character"] if isinstance(one, dict) else one.character for one in proposals]


async def test_an_edited_answer_is_gone_on_from_without_paying_for_the_rest(
    stage: Stage, shape: Any
) -> None:
    seat(stage, ANSWERS, likes="cat")
    graph = shape(desk(stage))
    await graph.ainvoke(question(), CONFIG)
    async for place in graph.aget_state_history(CONFIG):
        spoken = heard(place.values)
        if not place.next or len(spoken) < 3:
            continue
        edit = {"character": "Boris", "text": "A horse.", "round": 1, "layer": 1, "model": "boris"}
        fork = await graph.aupdate_state(place.config, {"proposals": [edit]})
        stage.clear()
        result = await graph.ainvoke(None, fork)
        assert result["messages"][-1].text == "What the council says."
        assert all(len(stage.calls_to(name)) <= 1 for name in ("ada", "boris", "clara"))
        assert "A horse." in str(stage.calls_to("pen")[0].body)


async def test_a_run_that_is_cancelled_goes_on_where_it_was(stage: Stage, shape: Any) -> None:
    seat(stage, ANSWERS, likes="cat")
    stage.model("pen", reply="What the council says.", latency=30)
    graph = shape(desk(stage))
    run = asyncio.create_task(graph.ainvoke(question(), CONFIG))
    while not stage.calls_to("pen"):
        await asyncio.sleep(0.01)
    if is_served(graph):
        await asyncio.to_thread(graph.cancel, CONFIG)
    else:
        run.cancel()
    await asyncio.wait({run})
    with suppress(Exception, asyncio.CancelledError):
        run.result()
    stage.model("pen", reply="What the council says.")
    stage.clear()
    result = await graph.ainvoke(None, CONFIG)
    assert result["messages"][-1].text == "What the council says."
    assert calls(stage) == Counter({"pen": 1})


@pytest.mark.parametrize(
    ("reply", "again"),
    [
        (
            {"decisions": [{"type": "approve"}]},
            Counter({"ada": 1, "boris": 1, "clara": 2, "pen": 1}),
        ),
        (
            [{"type": "edit", "args": {"action": "ask_again", "args": {"choice": "go_on"}}}],
            Counter({"pen": 1}),
        ),
    ],
    ids=["chat", "inbox"],
)
async def test_chat_clients_answer_an_interrupt(
    stage: Stage, shape: Any, reply: Any, again: Counter[str]
) -> None:
    seat(stage, ANSWERS, likes="cat")
    stage.scripts["clara"].faults = [Fault.status(500)]
    graph = shape(desk(stage, deliberation={"minimum": 3}))
    paused = await waiting(graph, question())
    assert is_drawn(paused.value)
    stage.clear()
    result = await graph.ainvoke(Command(resume=reply), CONFIG)
    assert result["messages"][-1].text == "What the council says."
    assert calls(stage) == again


@pytest.mark.parametrize("mode", ["values", "updates", "messages", "custom", "debug"])
async def test_every_kind_of_stream_ends_with_the_answer(
    stage: Stage, shape: Any, mode: str
) -> None:
    seat(stage, ANSWERS, likes="cat")
    graph = shape(desk(stage))
    options: dict[str, Any] = {"stream_mode": mode}
    if mode == "custom" and not is_served(graph):  # a parent tells of its subgraphs if asked to
        options["subgraphs"] = True
    parts = [one async for one in graph.astream(question(), CONFIG, **options)]
    assert "What the council says." in "".join(answer_in(parts, mode))
    assert calls(stage) == WHOLE
    if mode == "updates":
        assert all(update for part in parts for update in part.values())


def answer_in(parts: list[Any], mode: str) -> list[str]:
    """The texts of a stream; of messages, the answer's tokens alone."""
    if mode != "messages":
        return [str(parts[-2:])]
    texts = []
    for message, _ in parts:
        is_map = isinstance(message, dict)
        if (message["type"] if is_map else message.type) != "human":
            texts.append(str(message["content"] if is_map else message.text))
    assert not any(answer in "".join(texts) for answer in ANSWERS.values())
    return texts


async def test_two_councils_side_by_side_keep_apart(stage: Stage, shape: Any) -> None:
    seat(stage, ANSWERS, likes="cat")
    seat(stage, {"Dmitri": "A fish.", "Elena": "A cow."})
    one, other = shape(desk(stage)), shape(desk(stage, ["Dmitri", "Elena"]))
    results = await asyncio.gather(
        one.ainvoke(question(), CONFIG),
        other.ainvoke(question(), {"configurable": {"thread_id": "u"}}),
    )
    assert [one["messages"][-1].text for one in results] == ["What the council says."] * 2
    made = calls(stage)
    assert made == WHOLE + Counter({"dmitri": 1, "elena": 1, "pen": 1})
    first, second = sorted(str(call.body) for call in stage.calls_to("pen"))
    assert ("A cat." in first) != ("A cat." in second)
    assert ("A fish." in first) != ("A fish." in second)


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
