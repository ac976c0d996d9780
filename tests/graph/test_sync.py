"""A council called by those who have no event loop, from many threads at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph

from mom_council.deliberation.events import Answered, TextSpoken, read_event
from mom_council.errors import QuorumError
from mom_council.graph.council import compile_council
from mom_council.tests.graph.desk import desk, question, seat, speaking
from mom_council.tests.stage import Fault, Stage


def test_a_plain_call_answers(stage: Stage) -> None:
    seat(stage)
    result = compile_council(desk(stage)).invoke(question())
    assert result["messages"][-1].text == "What the council says."
    assert result["status"].spoke == ("Ada", "Boris", "Clara")


def test_a_plain_call_speaks_side_by_side(stage: Stage) -> None:
    seat(stage, latency=0.2)
    compile_council(desk(stage, deliberation={"method": "none"})).invoke(question())
    assert stage.overlap() == 3


def test_a_plain_stream_tells_what_happens(stage: Stage) -> None:
    seat(stage)
    graph = compile_council(desk(stage))
    events = [read_event(part) for part in graph.stream(question(), stream_mode="custom")]
    assert any(isinstance(event, TextSpoken) for event in events)
    assert isinstance(events[-1], Answered)


def test_many_threads_ask_at_once(stage: Stage) -> None:
    seat(stage, latency=0.1)
    graph = compile_council(desk(stage, deliberation={"quorum": 0.9, "grace": 60}))
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda n: graph.invoke(question(f"Question {n}?")), range(8)))
    assert all(result["status"].spoke == ("Ada", "Boris", "Clara") for result in results)
    asked = [str(call.body["messages"][-1]["content"]) for call in speaking(stage.calls_to("ada"))]
    assert sorted(asked) == [f"Question {n}?" for n in range(8)]


def test_a_straggler_is_let_go_in_a_plain_call_too(stage: Stage) -> None:
    seat(stage)
    stage.scripts["ada"].always = Fault.hang()
    rules = {"quorum": 0.6, "grace": 0.0}
    status = compile_council(desk(stage, deliberation=rules)).invoke(question())["status"]
    assert [(a.character, a.reason) for a in status.absent] == [("Ada", "late")]


def test_an_error_reaches_a_plain_caller(stage: Stage) -> None:
    stage.default = None
    with pytest.raises(QuorumError):
        compile_council(desk(stage)).invoke(question())


def test_a_plain_parent_has_two_turns(stage: Stage) -> None:
    seat(stage)
    parent: Any = StateGraph(MessagesState)
    parent.add_node("council", compile_council(desk(stage)))
    parent.add_edge(START, "council")
    graph = parent.compile(InMemorySaver())
    config: Any = {"configurable": {"thread_id": "t"}}
    graph.invoke(question("First?"), config)
    assert len(graph.invoke(question("Second?"), config)["messages"]) == 4


async def test_a_plain_call_works_within_a_running_loop(stage: Stage) -> None:
    seat(stage)
    result = compile_council(desk(stage)).invoke(question())
    assert result["messages"][-1].text == "What the council says."
