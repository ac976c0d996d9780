"""A local trace holds what happened, costs the run nothing, and never breaks it."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from langchain_core.tools import tool

from mom_council.errors import StorageError
from mom_council.tests.stage import Fault, Reply, Stage
from mom_council.tests.tracing.small_council import SECRET, small_council, voice
from mom_council.tracing.local import local_trace, wait_for_traces
from mom_council.tracing.store import Span, TraceStore, TraceSummary, TraceView

pytestmark = pytest.mark.slow

CONFIG: Any = {"configurable": {"thread_id": "t-7"}, "metadata": {"council": "desk"}}


def asks(text: str) -> Any:
    return {"messages": [("user", text)]}


def loaded(trace_id: str | None) -> TraceView:
    wait_for_traces()
    view = TraceStore().load(str(trace_id))
    assert view is not None
    return view


async def test_one_question_is_one_tree_of_nodes_and_models(stage: Stage) -> None:
    stage.model("quick", reply="seven and a half", latency=0.1)
    stage.model("deep", reply="eight", latency=0.1)
    graph = small_council(stage)
    with local_trace() as trace:
        await graph.ainvoke(asks("How many?"), CONFIG)
    view = loaded(trace.id)
    tree = [(depth, span.kind, span.name) for depth, span in view.tree() if span.kind != "step"]
    assert tree[0] == (0, "run", "LangGraph")
    assert {name for depth, kind, name in tree if kind == "node"} == {
        "Analyst",
        "Skeptic",
        "synthesizer",
    }
    assert [depth for depth, kind, _ in tree if kind == "run"] == [0]
    models = [span for span in view.spans if span.kind == "model"]
    above = {span.id: span.name for span in view.spans}
    assert {above[str(m.parent)] for m in models} == {"Analyst", "Skeptic", "synthesizer"}
    analyst = next(m for m in models if m.about["character"] == "Analyst")
    assert analyst.about == {
        "character": "Analyst", "round": 1, "layer": 1, "council": "desk", "thread": "t-7",
    }  # fmt: skip
    assert analyst.model == "quick"
    assert analyst.reply == "seven and a half"
    assert [(said.role, said.text) for said in analyst.prompt] == [("human", "How many?")]
    assert analyst.seconds is not None
    assert 0.1 <= analyst.seconds < 1
    assert (analyst.output_tokens or 0) > 0


async def test_the_list_says_of_each_question_what_one_looks_for(stage: Stage) -> None:
    stage.model("quick", reply="ok")
    stage.model("deep", reply="ok")
    graph = small_council(stage)
    ids = []
    for text in ("first", "second"):
        with local_trace() as trace:
            await graph.ainvoke(asks(text), CONFIG)
        ids.append(trace.id)
    wait_for_traces()
    found = TraceStore().summaries()
    assert [(t.id, t.question) for t in found] == [(ids[1], "second"), (ids[0], "first")]
    assert (found[0].council, found[0].thread, found[0].calls) == ("desk", "t-7", 3)
    assert found[0].error == ""
    assert found[0].seconds is not None
    assert (found[0].input_tokens or 0) > 0
    assert TraceStore().summaries(limit=1) == found[:1]


async def test_streamed_tokens_are_one_span_with_the_time_of_the_first(stage: Stage) -> None:
    stage.model("quick", reply=Reply("one two three four", chunks=4), latency=0.4)
    chat = voice(stage, "quick")
    with local_trace() as trace:
        async for _ in chat.astream("count"):
            pass
    (span,) = loaded(trace.id).spans
    assert span.reply == "one two three four"
    assert span.first_token is not None
    assert span.seconds is not None
    assert span.first_token < span.seconds - 0.1


async def test_questions_at_the_same_time_keep_to_their_own_trees(stage: Stage) -> None:
    stage.model("quick", reply="ok", latency=0.05)
    stage.model("deep", reply="ok", latency=0.05)
    graph = small_council(stage)

    async def ask(number: int) -> tuple[str, str]:
        with local_trace() as trace:
            await graph.ainvoke(asks(f"number {number}"), CONFIG)
        return str(trace.id), f"number {number}"

    for trace_id, question in await asyncio.gather(*(ask(number) for number in range(10))):
        view = loaded(trace_id)
        assert view.summary.question == question
        assert view.summary.calls == 3


async def test_a_failure_is_seen_where_it_happened(stage: Stage) -> None:
    stage.model("quick", reply="ok")
    stage.model("deep", always=Fault.status(500))
    with local_trace() as trace, pytest.raises(Exception, match="500"):
        await small_council(stage).ainvoke(asks("?"), CONFIG)
    view = loaded(trace.id)
    failed = {span.name: span.error for span in view.spans if span.error}
    assert "Skeptic" in failed
    assert view.summary.error
    assert "\n" not in view.summary.error


async def test_keys_are_not_in_the_file(stage: Stage, tmp_path: Path) -> None:
    stage.model("quick", reply=f"your key is {SECRET}")
    stage.model("deep", reply="ok")
    with local_trace() as trace:
        await small_council(stage).ainvoke(asks(f"is {SECRET} a good key?"), CONFIG)
    view = loaded(trace.id)
    assert SECRET not in view.model_dump_json()
    assert view.summary.question == "is [redacted] a good key?"
    assert SECRET.encode() not in (tmp_path / "data/traces/traces.db").read_bytes()


async def test_without_content_only_times_and_names_are_kept(stage: Stage) -> None:
    stage.model("quick", reply="purple elephants")
    stage.model("deep", reply="purple elephants")
    with local_trace(content=False) as trace:
        await small_council(stage).ainvoke(asks("which elephants?"), CONFIG)
    view = loaded(trace.id)
    assert "elephants" not in view.model_dump_json()
    assert view.summary.calls == 3


async def test_switched_off_nothing_is_written(stage: Stage, tmp_path: Path) -> None:
    stage.model("quick", reply="ok")
    with local_trace(enabled=False) as trace:
        await voice(stage, "quick").ainvoke("?")
    wait_for_traces()
    assert trace.id is None
    assert not (tmp_path / "data" / "traces").exists()


async def test_a_disk_that_cannot_be_written_is_said_once_and_the_run_goes_on(
    stage: Stage, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    stage.model("quick", reply="ok")
    (tmp_path / "file").touch()
    store = TraceStore(tmp_path / "file" / "traces")
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            with local_trace(store=store):
                assert (await voice(stage, "quick").ainvoke("?")).content == "ok"
        wait_for_traces()
    assert caplog.text.count("no local trace was kept") == 1


def test_a_tool_call_and_a_synchronous_run_are_traced(stage: Stage) -> None:
    @tool
    def double(number: int) -> int:
        """Twice the number."""
        return 2 * number

    stage.model("quick", reply="ok")
    with local_trace() as trace:
        assert double.invoke({"number": 21}) == 42
        voice(stage, "quick").invoke("hello")
    spans = loaded(trace.id).spans
    assert [(span.kind, span.name) for span in spans] == [
        ("tool", "double"),
        ("model", "ChatOpenAI"),
    ]
    assert spans[0].reply == "42"


def trace(number: int, size: int = 10) -> TraceView:
    from datetime import UTC, datetime, timedelta

    when = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=number)
    import random

    noise = random.Random(number).randbytes(size).hex()
    span = Span(id="a", kind="run", name="LangGraph", start=0.0, reply=noise)
    return TraceView(summary=TraceSummary(id=f"{number:04d}ab", started=when), spans=(span,))


def test_the_oldest_traces_make_room(tmp_path: Path) -> None:
    store = TraceStore(tmp_path, keep=3)
    for number in range(6):
        store.write(trace(number))
    assert [found.id for found in store.summaries()] == ["0005ab", "0004ab", "0003ab"]
    small = TraceStore(tmp_path, keep=100, largest=3000)
    for number in range(6, 12):
        small.write(trace(number, size=1000))
    assert [found.id for found in small.summaries()] == ["0011ab", "0010ab"]


def test_who_only_looks_makes_no_file(tmp_path: Path) -> None:
    traces = TraceStore(tmp_path / "traces")
    assert (traces.summaries(), traces.finished(5), traces.damaged()) == ([], [], [])
    assert traces.load("abc") is None
    assert not (tmp_path / "traces" / "traces.db").exists()


def test_a_trace_is_found_by_the_beginning_of_its_id(tmp_path: Path) -> None:
    store = TraceStore(tmp_path)
    store.write(trace(11))
    store.write(trace(12))
    found = store.load("0011")
    assert found is not None
    assert found.summary.id == "0011ab"
    assert store.load("00") is None, "two begin like that"
    assert store.load("%") is None
    assert store.load("") is None


def test_a_damaged_file_is_one_line_with_a_cure(tmp_path: Path) -> None:
    (tmp_path / "traces.db").write_bytes(b"no database" * 999)
    with pytest.raises(StorageError, match="move the file away"):
        TraceStore(tmp_path).summaries()


KILLED = """
import os, sys
from langchain_core.runnables import RunnableLambda
from mom_council.tracing.local import local_trace, wait_for_traces
def node(_):
    wait_for_traces()
    os._exit(9)
with local_trace() as trace:
    print(trace.id, flush=True)
    RunnableLambda(node).invoke({"messages": [("user", "will it last?")]})
"""


@pytest.mark.slow
def test_a_killed_run_leaves_its_question(tmp_path: Path) -> None:
    told = subprocess.run(
        [sys.executable, "-c", KILLED], capture_output=True, text=True, check=False
    )
    found = TraceStore().load(told.stdout.strip())
    assert found is not None, told.stderr
    assert found.summary.question == "will it last?"
    assert found.summary.error == "never finished"
    assert found.summary.seconds is None
