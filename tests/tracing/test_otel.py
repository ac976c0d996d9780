"""OpenTelemetry's spans and metrics, at a collector in memory that speaks OTLP."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from mom_council.councils.schema import Council
from mom_council.councils.yaml import written
from mom_council.deliberation.context import CouncilContext
from mom_council.graph.council import compile_council
from mom_council.tests.graph.desk import desk, seat
from mom_council.tests.server.conftest import KEY
from mom_council.tests.server.operated import operated
from mom_council.tests.stage import Fault, Stage
from mom_council.tracing import otel
from mom_council.tracing.langsmith import exported_signals

PARENT = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = f"00-{PARENT}-00f067aa0ba902b7-01"


def value_of(value: Any) -> Any:
    """An attribute's value."""
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [value_of(one) for one in value.array_value.values]
    return getattr(value, kind)


@dataclass
class SeenSpan:
    """A span as the collector got it."""

    name: str
    id: str
    parent: str
    trace: str
    attributes: dict[str, Any]
    events: list[dict[str, Any]]
    is_error: bool


@dataclass
class Collector:
    """What was sent."""

    url: str = ""
    spans: list[SeenSpan] = field(default_factory=list)
    points: list[tuple[str, dict[str, Any], float]] = field(default_factory=list)
    """Of metrics: name, attributes, and what was recorded in all."""
    raw: bytes = b""

    def named(self, name: str) -> list[SeenSpan]:
        return [span for span in self.spans if span.name == name]

    def above(self, span: SeenSpan) -> SeenSpan:
        [found] = [one for one in self.spans if one.id == span.parent]
        return found

    def take_traces(self, body: bytes) -> None:
        request = ExportTraceServiceRequest.FromString(body)
        for resource in request.resource_spans:
            for scope in resource.scope_spans:
                for one in scope.spans:
                    events = [
                        {part.key: value_of(part.value) for part in event.attributes}
                        for event in one.events
                    ]
                    self.spans.append(
                        SeenSpan(
                            one.name,
                            one.span_id.hex(),
                            one.parent_span_id.hex(),
                            one.trace_id.hex(),
                            {part.key: value_of(part.value) for part in one.attributes},
                            events,
                            one.status.code == 2,
                        )
                    )

    def take_metrics(self, body: bytes) -> None:
        request = ExportMetricsServiceRequest.FromString(body)
        for resource in request.resource_metrics:
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    for point in metric.histogram.data_points:
                        labels = {part.key: value_of(part.value) for part in point.attributes}
                        self.points.append((metric.name, labels, point.sum))


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector that listens."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            collector.raw += body
            if self.path == "/v1/traces":
                collector.take_traces(body)
            else:
                collector.take_metrics(body)
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    collector.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield collector
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    with collecting() as one:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", one.url)
        otel.exports.cache_clear()
        yield one
        otel.exports.cache_clear()


async def ask(council: Council, text: str = "Which?") -> None:
    """A question through the real graph; then everything is sent."""
    graph = compile_council(council)
    question: Any = {"messages": [("user", text)]}
    try:
        await graph.ainvoke(question, {"metadata": {"thread": "cats"}}, context=CouncilContext())
    finally:
        otel.exports().close()


async def test_a_question_is_a_tree_of_rounds_nodes_and_calls(
    stage: Stage, collector: Collector
) -> None:
    seat(stage)
    stage.model("boris", faults=[Fault.status(503)] * 5)
    rules = {"quorum": 0.5, "rounds": {"min": 2, "max": 2}}
    await ask(desk(stage, deliberation=rules))

    [question] = collector.named("invoke_agent desk")
    assert question.parent == ""
    assert {span.trace for span in collector.spans} == {question.trace}
    about = question.attributes
    assert about["gen_ai.operation.name"] == "invoke_agent"
    assert about["gen_ai.agent.name"] == about["mom.council"] == "desk"
    assert about["gen_ai.conversation.id"] == "cats"
    assert about["mom.rounds"] == 2
    assert about["mom.spoke"] == ["Ada", "Clara"]
    assert "Boris: failed" in about["mom.absent"]
    assert about["mom.degraded"] is True
    assert about["gen_ai.usage.output_tokens"] > 0

    rounds = [collector.named(f"round {number}") for number in (1, 2)]
    assert [len(spans) for spans in rounds] == [1, 1]
    for [one] in rounds:
        assert collector.above(one) is question
    assert rounds[1][0].attributes["mom.stop_reason"] == about["mom.stop_reason"]

    calls = collector.named("chat ada")
    assert [span.attributes["mom.round"] for span in calls if
            span.attributes["mom.segment"] == "character"] == [1, 2]  # fmt: skip
    first = calls[0]
    assert (
        first.attributes
        | {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": "ada",
            "gen_ai.response.model": "ada",
            "gen_ai.response.finish_reasons": ["stop"],
            "mom.character": "Ada",
            "mom.layer": 1,
        }
        == first.attributes
    )
    assert first.attributes["gen_ai.usage.input_tokens"] > 0
    node = collector.above(first)
    assert (node.name, node.attributes["mom.character"]) == ("Ada", "Ada")
    assert collector.above(node) is rounds[0][0]
    [pen] = collector.named("chat pen")
    assert collector.above(collector.above(pen)) is question, "the synthesizer is in no round"

    failed = collector.named("chat boris")[0]
    assert (failed.is_error, failed.attributes["error.type"]) == (True, "503")
    absent = collector.above(failed)
    assert absent.attributes["mom.absent_reason"] == "failed"
    assert absent.events[0]["mom.character"] == "Boris"

    # Texts are not sent by themselves.
    assert b"Which?" not in collector.raw
    assert b"The view of" not in collector.raw


async def test_metrics_tell_tokens_and_seconds_by_model(stage: Stage, collector: Collector) -> None:
    seat(stage)
    stage.model("boris", faults=[Fault.status(503)] * 5)
    await ask(desk(stage, deliberation={"quorum": 0.5}))
    tokens = {
        (labels["gen_ai.request.model"], labels["gen_ai.token.type"]): total
        for name, labels, total in collector.points
        if name == "gen_ai.client.token.usage"
    }
    assert tokens["pen", "input"] > 0 < tokens["ada", "output"]
    seconds = [
        labels for name, labels, _ in collector.points if name == "gen_ai.client.operation.duration"
    ]
    assert {one["gen_ai.request.model"] for one in seconds} == {"ada", "boris", "clara", "pen"}
    assert {one.get("error.type") for one in seconds if one["gen_ai.request.model"] == "boris"} == {
        "503"
    }


@pytest.mark.parametrize("allowed", [True, False])
async def test_texts_are_sent_where_the_switch_and_the_council_say_so(
    stage: Stage, collector: Collector, monkeypatch: pytest.MonkeyPatch, allowed: bool
) -> None:
    seat(stage)
    key = f"sk-{'a1' * 24}"
    monkeypatch.setenv(otel.CONTENT, "true")
    await ask(desk(stage, tracing={"content": allowed}), f"Which one, {key}?")
    [pen] = collector.named("chat pen")
    assert ("gen_ai.input.messages" in pen.attributes) is allowed
    assert (b"Which one" in collector.raw) is allowed
    assert key.encode() not in collector.raw
    if allowed:
        [message] = json.loads(pen.attributes["gen_ai.output.messages"])
        assert (message["role"], message["finish_reason"]) == ("assistant", "stop")


async def test_a_question_that_fails_has_its_spans_too(stage: Stage, collector: Collector) -> None:
    seat(stage)
    for name in ("ada", "boris", "clara"):
        stage.model(name, faults=[Fault.status(400, message="the heron")] * 5)
    with pytest.raises(Exception, match="answered"):
        await ask(desk(stage))
    [question] = collector.named("invoke_agent desk")
    assert (question.is_error, question.attributes["error.type"]) == (True, "QuorumError")
    assert len(collector.named("round 1")) == 1
    assert b"heron" not in collector.raw


@pytest.mark.slow
def test_a_servers_question_belongs_to_the_trace_of_its_client(
    stage: Stage, tmp_path: Path
) -> None:
    seat(stage)
    (tmp_path / "desk.yaml").write_text(written(desk(stage)), "utf-8")
    env = {"MOM_SERVER_KEYS": f"ann={KEY}"}
    with collecting() as collector:
        arguments = ("-c", "desk.yaml", "--only")
        endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}
        with operated(tmp_path, *arguments, **env, **endpoint) as server:
            sent = {"traceparent": TRACEPARENT, "X-Request-Id": "r-1"}
            assert server.ask("Which?", KEY, sent).status_code == 200
            assert server.ask("Which?", KEY, stream=True).status_code == 200
        # What was left was sent when the server stopped.
        questions = collector.named("invoke_agent desk")
        [ours] = [span for span in questions if span.trace == PARENT]
        assert ours.parent == TRACEPARENT.split("-")[2]
        assert ours.attributes["mom.request_id"] == "r-1"
        [other] = [span for span in questions if span is not ours]
        assert other.parent == ""
        assert len([span for span in collector.named("chat pen") if span.trace == PARENT]) == 1
        assert KEY.encode() not in collector.raw
        assert any(name == "gen_ai.client.token.usage" for name, _, _ in collector.points)


@pytest.mark.parametrize(
    ("env", "signals"),
    [
        ({}, ()),
        ({"OTEL_SERVICE_NAME": "mine"}, ()),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"}, ("traces", "metrics")),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://x"}, ("traces",)),
        ({"OTEL_TRACES_EXPORTER": "console"}, ("traces",)),
        ({"OTEL_TRACES_EXPORTER": "none"}, ()),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_METRICS_EXPORTER": "none"},
         ("traces",)),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_SDK_DISABLED": "true"}, ()),
    ],
)  # fmt: skip
def test_its_own_variables_switch_it_on(env: dict[str, str], signals: tuple[str, ...]) -> None:
    assert exported_signals(env) == signals


@pytest.mark.slow
def test_a_question_loads_nothing_of_it_by_itself() -> None:
    code = (
        "import asyncio, sys\n"
        "from mom_council.graph.council import council\n"
        "asyncio.run(council('demo').ainvoke({'messages': [('user', 'What is 1 + 1?')]}))\n"
        "ours = ('mom_council.tracing.otel', 'opentelemetry.exporter')\n"
        "print([name for name in sys.modules if name.startswith(ours)])\n"
    )
    env = {name: value for name, value in os.environ.items() if not name.startswith("OTEL")}
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=110
    )
    assert done.stdout.strip().splitlines()[-1] == "[]", done.stderr
