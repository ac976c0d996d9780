"""The contract with LangGraph's inside: each borrowed thing does what LangGraph's own does."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from pathlib import Path
from typing import Annotated, Any

import aiosqlite
import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage, HumanMessage, RemoveMessage
from langchain_core.runnables import RunnableConfig
from langgraph.channels.untracked_value import UntrackedValue
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde import _msgpack
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.config import get_config
from langgraph.func import task
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.runtime import Runtime
from langgraph.types import Command, Overwrite, interrupt
from pydantic import BaseModel
from typing_extensions import TypedDict

from mom_council.seams.langgraph import (
    CALL_CHANNEL,
    TASK_CHANNEL,
    CheckpointPlace,
    ForkableGraph,
    PackedSerializer,
    RecordList,
    as_edge,
    as_node,
    has_checkpointer,
    has_stream_reader,
    is_quiet,
    merge_records,
    messages_delta_reducer,
    place_of,
    quieten_nodes,
    read_overwrite,
    register_records,
)
from mom_council.seams.stores import GroupedSqliteSaver


class Note(BaseModel):
    """A record as ours are: pydantic."""

    text: str
    size: int = 0


def joined(old: list[Any], new: list[Any]) -> list[Any]:
    return [*old, *new]


class State(TypedDict, total=False):
    notes: Annotated[list[Note], joined]
    seen: bool


async def test_whether_a_run_is_read_is_seen_by_the_writer_it_hands_over() -> None:
    seen: list[bool] = []

    def look(_: State, runtime: Runtime[Any]) -> dict[str, Any]:
        seen.append(has_stream_reader(runtime))
        runtime.stream_writer("heard")
        return {"seen": True}

    built = StateGraph(State)
    built.add_node("look", look)
    built.add_edge(START, "look")
    inner = built.compile()
    await inner.ainvoke({})
    inner.invoke({})
    assert seen == [False, False]
    assert [part async for part in inner.astream({}, stream_mode="custom")] == ["heard"]
    assert [*inner.stream({}, stream_mode="custom")] == ["heard"]
    outer = StateGraph(State)
    outer.add_node("inner", inner)
    outer.add_edge(START, "inner")
    parts = outer.compile().astream({}, stream_mode="custom", subgraphs=True)
    assert [part async for _, part in parts] == ["heard"]
    assert seen[2:] == [True, True, True]


def graph(*, stop: bool = False) -> StateGraph[Any, Any, Any, Any]:
    """Two branches side by side, then a node that may ask a person."""

    def look(_: State) -> dict[str, Any]:
        return {"seen": has_checkpointer()}

    def left(_: State) -> dict[str, Any]:
        return {"notes": [Note(text="left" * 40)]}

    def right(_: State) -> dict[str, Any]:
        return {"notes": [Note(text="right", size=2)]}

    def end(_: State) -> dict[str, Any]:
        return {"notes": [Note(text=interrupt("go on?"))]} if stop else {}

    built = StateGraph(State)
    for name, node in (("look", look), ("left", left), ("right", right), ("end", end)):
        built.add_node(name, node)
    built.add_edge(START, "look")
    built.add_conditional_edges("look", lambda _: ["left", "right"], ["left", "right"])
    built.add_edge(["left", "right"], "end")
    built.add_edge("end", END)
    return built


async def test_a_node_knows_its_checkpoint_and_whether_its_run_goes_on() -> None:
    places: list[CheckpointPlace] = []
    fails = [True]

    async def first(_: State, runtime: Runtime[None]) -> dict[str, Any]:
        places.append(place_of(runtime))  # type: ignore[arg-type]
        return {}

    async def second(state: State, runtime: Runtime[None]) -> dict[str, Any]:
        place = place_of(runtime)
        assert place is not None
        places.append(place)
        if fails.pop():
            await place.write(f"{place.task}/a call", {"paid": 1})
            raise ValueError
        read = await place.pending_writes()
        return {"notes": [Note(text=str(line)) for _, name, line in read if name == CALL_CHANNEL]}

    built = StateGraph(State)
    built.add_node("first", first)
    built.add_node("second", second)
    built.add_edge(START, "first")
    built.add_edge("first", "second")
    outer = StateGraph(State)
    outer.add_node("inner", built.compile())
    outer.add_edge(START, "inner")
    for tested in (built, outer):
        places.clear()
        fails[:] = [False, True]
        graph = tested.compile(InMemorySaver())
        with pytest.raises(ValueError):
            await graph.ainvoke({}, thread())
        result = await graph.ainvoke(None, thread())
        assert [place.is_resumed for place in places] == [False, False, True]
        assert places[1].checkpoint == places[2].checkpoint != places[0].checkpoint
        assert places[1].task == places[2].task
        assert result["notes"][-1].text == "{'paid': 1}"


def thread(name: str = "t") -> Any:
    return {"configurable": {"thread_id": name}}


def test_a_run_without_a_checkpointer_says_so() -> None:
    assert graph().compile().invoke({})["seen"] is False


def test_a_run_with_a_checkpointer_says_so() -> None:
    assert graph().compile(checkpointer=InMemorySaver()).invoke({}, thread())["seen"] is True


def two_way() -> Any:
    async def run(state: State) -> dict[str, Any]:
        return {"notes": [Note(text="asynchronous")]}

    def run_sync(state: State) -> dict[str, Any]:
        return {"notes": [Note(text="synchronous")]}

    built = StateGraph(State)
    built.add_node("both", as_node(run_sync, run, name="both"))
    built.add_edge(START, "both")
    return built.compile()


def test_a_node_serves_a_synchronous_caller() -> None:
    assert two_way().invoke({})["notes"] == [Note(text="synchronous")]


async def test_a_node_serves_an_asynchronous_caller() -> None:
    assert (await two_way().ainvoke({}))["notes"] == [Note(text="asynchronous")]


async def test_a_node_adds_no_span_of_its_own() -> None:
    names = [
        event["name"]
        async for event in two_way().astream_events({}, version="v2")
        if event["event"] == "on_chain_start"
    ]
    assert names.count("both") == 1


async def test_a_quiet_node_runs_as_langgraphs_does_with_and_without_listeners() -> None:
    inside = ContextVar("inside", default="")
    configs: list[dict[str, Any]] = []

    async def look(_: State, config: RunnableConfig) -> dict[str, Any]:
        inside.set("set by a node")
        configs.append({**get_config(), "handed": config is not None})
        return {"seen": True}

    def build() -> Any:
        built = StateGraph(State)
        built.add_node("look", look)
        built.add_edge(START, "look")
        return built.compile()

    plain, quiet = build(), build()
    quieten_nodes(quiet.nodes)
    for listened_to in (False, True):
        for graph in (plain, quiet):
            heard: list[str] = []
            listener = ChainNames(heard)
            about = {"metadata": {"whose": "ours"}, "tags": ["a"]}
            config = {**about, "callbacks": [listener]} if listened_to else about
            assert (await graph.ainvoke({}, config))["seen"]
            assert ("look" in heard) == listened_to
            assert inside.get() == ""
    kept = [{k: v for k, v in one.items() if k in ("metadata", "tags")} for one in configs]
    for pair in (kept[:2], kept[2:]):
        for one in pair:
            one["metadata"] = {k: v for k, v in one["metadata"].items() if "_ns" not in k}
        assert pair[0] == pair[1]
    assert all("run_name" not in one and "run_id" not in one for one in configs)


class Read(State, total=False):
    """What an edge may read: what is added to, what is in no checkpoint, what nobody wrote."""

    added: Annotated[list[Note], RecordList(merge_records(Note, lambda note: note.text))]
    passing: Annotated[str, UntrackedValue(str, guard=False)]
    never: int


async def test_an_edge_reads_what_langgraphs_own_reader_gives_it() -> None:
    seen: list[dict[str, Any]] = []

    def choose(state: Read) -> str:
        seen.append({**state})
        return END

    def build() -> Any:
        built = StateGraph(Read)
        built.add_node("first", lambda _: {"added": [Note(text="a")], "passing": "p"})
        built.add_node("then", lambda _: {"added": [Note(text="b")], "notes": [Note(text="c")]})
        built.add_edge(START, "first")
        built.add_edge("first", "then")
        built.add_conditional_edges("then", choose, [END])
        return built.compile(InMemorySaver())

    plain, quiet = build(), build()
    quieten_nodes(quiet.nodes)
    for graph in (plain, quiet):
        config = {"configurable": {"thread_id": "t"}}
        await graph.ainvoke({"seen": True}, config)
        await graph.aupdate_state(config, {"seen": False}, as_node="then")
    assert seen[:2] == seen[2:]
    assert len(seen) == 4
    assert seen[0]["added"] == [Note(text="a"), Note(text="b")]
    assert seen[0]["passing"] == "p"
    assert "never" not in seen[0]


async def test_a_node_knows_whether_anybody_listens_to_it() -> None:
    quiet: list[bool] = []

    async def look(_: State) -> dict[str, Any]:
        quiet.append(is_quiet())
        return {"seen": True}

    built = StateGraph(State)
    built.add_node("look", look)
    built.add_edge(START, "look")
    graph = built.compile()
    quieten_nodes(graph.nodes)
    await graph.ainvoke({})
    await graph.ainvoke({}, {"callbacks": [ChainNames([])]})
    assert quiet == [True, False]
    assert not is_quiet()


class ChainNames(BaseCallbackHandler):
    """Hears the names of what is run."""

    def __init__(self, heard: list[str]) -> None:
        self._heard = heard

    def on_chain_start(self, *_: Any, **about: Any) -> None:
        self._heard.append(about.get("name", ""))


def test_delta_messages_are_put_together_as_langgraph_adds_messages() -> None:
    old = [HumanMessage("one", id="1"), AIMessage("two", id="2")]
    writes = [
        [AIMessage("two, better", id="2")],
        [HumanMessage("three", id="3"), RemoveMessage(id="1")],
    ]
    expected: Any = old
    for write in writes:
        expected = add_messages(expected, write)
    assert messages_delta_reducer(list(old), writes) == expected


def test_a_record_comes_back_as_itself_large_and_small() -> None:
    serializer = PackedSerializer([Note])
    for note in (Note(text="x"), Note(text="y" * 1000, size=3)):
        assert serializer.loads_typed(serializer.dumps_typed(note)) == note


def test_a_record_that_nobody_named_comes_back_as_plain_values() -> None:
    written = PackedSerializer([Note]).dumps_typed(Note(text="x" * 100))
    assert PackedSerializer([]).loads_typed(written) == {"text": "x" * 100, "size": 0}


def test_a_record_that_moved_is_found_by_its_name() -> None:
    class Moved(BaseModel):
        text: str

    Moved.__module__ = "mom_council.somewhere.else"
    Moved.__qualname__ = Moved.__name__ = "Note"
    written = JsonPlusSerializer().dumps_typed(Moved(text="old"))
    assert PackedSerializer([Note]).loads_typed(written) == Note(text="old")


def test_what_langgraphs_serializer_wrote_is_read() -> None:
    written = JsonPlusSerializer().dumps_typed({"a": [1, AIMessage("hi", id="1")]})
    assert PackedSerializer([]).loads_typed(written) == {"a": [1, AIMessage("hi", id="1")]}


async def opened(kind: type[Any], path: Path) -> Any:
    conn = await aiosqlite.connect(path)
    saver = kind(conn, serde=PackedSerializer([Note]))
    await saver.setup()
    return saver


async def closed(saver: Any) -> None:
    if isinstance(saver, GroupedSqliteSaver):
        await saver.commits.drain()
    await saver.conn.close()


@pytest.mark.parametrize("first", [GroupedSqliteSaver, AsyncSqliteSaver])
async def test_a_thread_that_langgraphs_saver_began_is_ended_by_the_grouped_one(
    first: type[Any], tmp_path: Path
) -> None:
    path = tmp_path / "threads.db"
    saver = await opened(first, path)
    try:
        await graph(stop=True).compile(checkpointer=saver).ainvoke({}, thread())
    finally:
        await closed(saver)
    saver = await opened(GroupedSqliteSaver, path)
    try:
        ended = graph(stop=True).compile(checkpointer=saver)
        asked = await ended.aget_state(thread())
        assert [one.value for one in asked.interrupts] == ["go on?"]
        values = await ended.ainvoke(Command(resume="yes"), thread())
    finally:
        await closed(saver)
    assert sorted(note.text[:5] for note in values["notes"]) == ["leftl", "right", "yes"]


async def test_the_grouped_saver_tells_the_same_history_as_langgraphs(tmp_path: Path) -> None:
    histories = []
    for kind in (GroupedSqliteSaver, AsyncSqliteSaver):
        saver = await opened(kind, tmp_path / f"{kind.__name__}.db")
        try:
            compiled = graph(stop=True).compile(checkpointer=saver)
            await compiled.ainvoke({}, thread())
            await compiled.ainvoke(Command(resume="yes"), thread())
            history = [one async for one in compiled.aget_state_history(thread())]
        finally:
            await closed(saver)
        histories.append([(one.next, one.values, (one.metadata or {})["step"]) for one in history])
    assert histories[0] == histories[1]


async def test_the_list_of_threads_counts_their_questions(tmp_path: Path) -> None:
    saver = await opened(GroupedSqliteSaver, tmp_path / "threads.db")
    compiled = graph().compile(checkpointer=saver)
    for name in ("a", "b", "a"):
        await compiled.ainvoke({}, thread(name))
    rows = await saver.thread_rows(10)
    await closed(saver)
    assert [(row[0], row[1]) for row in rows] == [("a", 2), ("b", 1)]


def forked(saver: Any) -> Any:
    """Two nodes side by side, then an edge that looks at the state."""

    def decide(state: State, runtime: Any) -> str:
        assert runtime is None or runtime.context is None
        return "end" if state.get("seen") else END

    built = StateGraph(State)
    built.add_node("first", lambda _: {"seen": True})
    for name in ("left", "right"):
        built.add_node(name, lambda _, name=name: {"notes": [Note(text=name)]})
        built.add_edge("first", name)
        built.add_edge(name, "join")
    built.add_node("join", lambda _: {})
    built.add_node("end", lambda _: {"notes": [Note(text="end")]})
    built.add_edge(START, "first")
    built.add_conditional_edges("join", as_edge(decide, name="after_join"), ["end", END])
    return ForkableGraph(**vars(built.compile(saver)))


CONFIG: Any = {"configurable": {"thread_id": "t"}}


def test_an_edge_is_asked_without_a_runtime_when_a_thread_is_edited() -> None:
    graph = forked(InMemorySaver())
    graph.invoke({"notes": []}, CONFIG)
    end = next(one for one in graph.get_state_history(CONFIG) if one.next == ("end",))
    fork = graph.update_state(end.config, {"seen": False})
    assert graph.get_state(fork).next == ()


async def test_a_fork_after_a_fan_out_needs_no_name_of_a_node() -> None:
    graph = forked(InMemorySaver())
    await graph.ainvoke({"notes": []}, CONFIG)
    async for one in graph.aget_state_history(CONFIG):
        if one.next != ("__start__",):
            fork = await graph.aupdate_state(one.config, {})
            assert (await graph.aget_state(fork)).next == one.next


def test_an_overwrite_is_read_in_each_form_that_langgraph_reads() -> None:
    forms: list[Any] = [Overwrite([1]), {"__overwrite__": [1]}]
    assert [read_overwrite(form) for form in forms] == [(True, [1])] * 2
    assert read_overwrite([1]) == (False, None)


def test_a_registered_record_is_read_by_a_serializer_that_knows_nothing_of_it(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_msgpack, "SAFE_MSGPACK_TYPES", _msgpack.SAFE_MSGPACK_TYPES)
    strict = JsonPlusSerializer(allowed_msgpack_modules=None)
    stored = strict.dumps_typed([Note(text="kept")])
    assert strict.loads_typed(stored) == [{"text": "kept", "size": 0}]
    caplog.clear()
    register_records([Note])
    assert strict.loads_typed(stored) == [Note(text="kept")]
    assert JsonPlusSerializer().loads_typed(stored) == [Note(text="kept")]
    assert not caplog.records


@pytest.mark.parametrize("synchronous", [True, False])
async def test_work_is_done_once_when_its_node_is_resumed(*, synchronous: bool) -> None:
    done: list[int] = []

    async def pay() -> int:
        done.append(1)
        return len(done)

    async def run(_: State, runtime: Runtime[None]) -> dict[str, Any]:
        place = place_of(runtime)
        assert place is not None
        kept = await place.pending_writes() if place.is_resumed else ()
        paid = [line for _, name, line in kept if name == CALL_CHANNEL]
        if not paid:
            paid = [await pay()]
            await place.write(f"{place.task}/pay", paid[0])
        return {"notes": [Note(text=f"{interrupt('sure?')}{paid[0]}")]}

    def run_sync(state: State, runtime: Runtime[None]) -> dict[str, Any]:
        return asyncio.run(run(state, runtime))

    built = StateGraph(State)
    built.add_node("act", as_node(run_sync, run, name="act"))
    built.add_edge(START, "act")
    graph = built.compile(InMemorySaver())
    yes: Any = Command(resume="yes")
    if synchronous:
        await asyncio.to_thread(graph.invoke, {"notes": []}, CONFIG)
        result = await asyncio.to_thread(graph.invoke, yes, CONFIG)
    else:
        await graph.ainvoke({"notes": []}, CONFIG)
        result = await graph.ainvoke(yes, CONFIG)
    assert (result["notes"][-1].text, done) == ("yes1", [1])


async def test_the_tasks_of_a_node_are_found_by_their_names_in_their_order() -> None:
    """Version 0.1 kept there what a node had paid for."""
    found: list[dict[str, int]] = []

    async def pay(amount: int) -> int:
        return amount

    async def run(_: State, runtime: Runtime[None]) -> dict[str, Any]:
        place = place_of(runtime)
        assert place is not None
        if place.is_resumed:
            kept = await place.pending_writes()
            paid = {one: value for one, channel, value in kept if channel == TASK_CHANNEL}
            names = {one: "pay" if value < 30 else "give back" for one, value in paid.items()}
            numbers = place.numbers_of_tasks(names | {"of another node": "pay"})
            found.append({str(paid[one]): number for one, number in numbers.items()})
        for name, amount in (("pay", 10), ("give back", 30), ("pay", 20)):
            await task(name=name)(pay)(amount)
        return {"notes": [Note(text=interrupt("sure?"))]}

    built = StateGraph(State)
    built.add_node("act", as_node(run, run, name="act"))
    built.add_edge(START, "act")
    graph = built.compile(InMemorySaver())
    await graph.ainvoke({"notes": []}, CONFIG)
    yes: Any = Command(resume="yes")
    await graph.ainvoke(yes, CONFIG)
    assert found == [{"10": 0, "30": 1, "20": 2}]
