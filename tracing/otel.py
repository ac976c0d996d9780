"""OpenTelemetry: spans and metrics of questions, where its own variables switch it on.

    OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318 mom serve

A question is a span `invoke_agent COUNCIL`; below it each round, each node, and each call of a
model (`chat MODEL`) or a tool, named by OpenTelemetry's conventions for generative AI. What only a
council has is called `mom.*`. A program that has set up OpenTelemetry itself keeps its own
exporters; what it is doing, or the `traceparent` of a request, becomes the question's parent.

What was said is sent only where OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT says so and the
council's `tracing.content` does not forbid it. No key is sent.

This module is imported only where the variables are set.
"""

from __future__ import annotations

import atexit
import json
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import entry_points, version
from typing import Any
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatGeneration, LLMResult
from opentelemetry import context as contexts
from opentelemetry import metrics, propagate, trace
from opentelemetry.context import Context
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span as OtelSpan
from opentelemetry.trace import SpanKind, StatusCode

from mom_council.records import Absence, Status, Verdict
from mom_council.redaction import logger, redact_tree
from mom_council.tracing.langsmith import exported_signals

_log = logger(__name__)

CONTENT = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
_CONTENT_ON = ("true", "1", "span_only", "span_and_event")
_SCOPE = "mom_council"
_LAST_WAIT = 3.0
"""Seconds that the end of the program waits for what is not sent yet."""
_SIGNALS = ("GraphInterrupt", "GraphBubbleUp", "ParentCommand", "NodeInterrupt", "GraphDrained")
"""LangGraph pauses and hands over by raising these; they are no errors."""
_LONGEST_NAME = 200
"""Characters of a model's name, as its server writes it."""
_TOKENS = [4**power for power in range(14)]
_SECONDS = [0.01 * 2**power for power in range(14)]
_PARAMS = {
    "temperature": "temperature",
    "top_p": "top_p",
    "max_tokens": "max_tokens",
    "max_completion_tokens": "max_tokens",
    "seed": "seed",
}


@contextmanager
def caller_context(headers: Mapping[bytes, bytes]) -> Iterator[None]:
    """Within it, what is traced belongs to the trace that a request's headers name."""
    carrier = {name.decode("latin-1"): value.decode("latin-1") for name, value in headers.items()}
    token = contexts.attach(propagate.extract(carrier))
    try:
        yield
    finally:
        contexts.detach(token)


class _Exports:
    """Where spans and metrics go."""

    def __init__(self) -> None:
        about = version("mom-council")
        self._providers: tuple[Any, Any] = (_tracer_provider(about), _meter_provider(about))
        self.tracer = self._providers[0].get_tracer(_SCOPE, about)
        meter = self._providers[1].get_meter(_SCOPE, about)
        self.tokens = meter.create_histogram(
            "gen_ai.client.token.usage",
            unit="{token}",
            description="Number of input and output tokens used.",
            explicit_bucket_boundaries_advisory=_TOKENS,
        )
        self.seconds = meter.create_histogram(
            "gen_ai.client.operation.duration",
            unit="s",
            description="GenAI operation duration.",
            explicit_bucket_boundaries_advisory=_SECONDS,
        )

        atexit.register(self.flush)

    def flush(self) -> None:
        """Send what is not sent yet; no collector holds that up for long."""
        sending = threading.Thread(target=self._flush, daemon=True)
        sending.start()
        sending.join(_LAST_WAIT)

    def _flush(self) -> None:
        for provider in self._providers:
            provider.force_flush()

    def close(self) -> None:
        """Send what is left, and end. What the program has set up itself stays open."""
        atexit.unregister(self.flush)
        for provider in self._providers:
            if provider not in (trace.get_tracer_provider(), metrics.get_meter_provider()):
                provider.shutdown()


@cache
def exports() -> _Exports:
    """Where this process sends to; opened when the first question is asked."""
    return _Exports()


def _tracer_provider(about: str) -> trace.TracerProvider:
    current = trace.get_tracer_provider()
    if isinstance(current, TracerProvider):  # the program's own
        return current
    provider = TracerProvider(resource=_resource(about), shutdown_on_exit=False)
    for exporter in _exporters("traces"):
        provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider


def _meter_provider(about: str) -> metrics.MeterProvider:
    current = metrics.get_meter_provider()
    if isinstance(current, MeterProvider):
        return current
    readers = [PeriodicExportingMetricReader(one) for one in _exporters("metrics")]
    return MeterProvider(readers, resource=_resource(about), shutdown_on_exit=False)


def _resource(about: str) -> Resource:
    attributes = {"service.version": about}
    named = "service.name=" in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    if not named and not os.environ.get("OTEL_SERVICE_NAME"):
        attributes["service.name"] = "mom"
    return Resource.create(attributes)


def _exporters(kind: str) -> list[Any]:
    """The exporters of traces or metrics that the variables name."""
    if kind not in exported_signals(os.environ):
        return []
    names = os.environ.get(f"OTEL_{kind.upper()}_EXPORTER", "").strip() or "otlp"
    opened = []
    for name in filter(None, map(str.strip, names.split(","))):
        package = _protocol(kind) if name == "otlp" else name
        entries = entry_points(group=f"opentelemetry_{kind}_exporter", name=package)
        if not entries:
            _log.warning(
                "OpenTelemetry's exporter %r of %s is missing: pip install 'mom-council[otel]'",
                package,
                kind,
            )
            continue
        opened.append(next(iter(entries)).load()())
    return opened


def _protocol(kind: str) -> str:
    variables = (f"OTEL_EXPORTER_OTLP_{kind.upper()}_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
    protocol = next((os.environ[name] for name in variables if os.environ.get(name)), "")
    return "otlp_proto_grpc" if protocol == "grpc" else "otlp_proto_http"


@dataclass(slots=True)
class _Traced:
    """A run of LangChain's while it lasts."""

    question: _TracedQuestion
    span: OtelSpan | None = None
    """None: a step that has no span, whose children hang where it would."""
    context: Context | None = None
    began: float = 0.0
    labels: dict[str, Any] = field(default_factory=dict)
    """What its metrics are told by."""


@dataclass(slots=True)
class _TracedQuestion:
    """A question with its round."""

    root: UUID
    context: Context
    round: int = 0
    round_span: OtelSpan | None = None
    round_context: Context | None = None
    runs: set[UUID] = field(default_factory=set)

    def end_round(self, verdict: Verdict | None = None) -> None:
        """End the round that is under way."""
        if self.round_span is None:
            return
        if verdict is not None:
            _set(self.round_span, {
                "mom.share": verdict.share,
                "mom.leader": verdict.leader,
                "mom.stop_reason": verdict.stop_reason,
            })  # fmt: skip
        self.round_span.end()
        self.round_span = self.round_context = None


class CouncilTelemetry(BaseCallbackHandler):
    """Makes spans and metrics of every question of a council.

    Args:
        council: its name.
        content: whether the council lets what is said be sent.
    """

    run_inline = True  # a few assignments: a thread for each would cost more

    def __init__(self, council: str, *, content: bool) -> None:
        self._council = council
        switch = os.environ.get(CONTENT, "").strip().lower()
        self._content = content and switch in _CONTENT_ON
        self._runs: dict[UUID, _Traced] = {}

    def on_chain_start(self, serialized: Any, inputs: Any, *, run_id: UUID, **details: Any) -> None:
        """The question, a node, or a step in one."""
        metadata = details.get("metadata") or {}
        above = self._runs.get(details.get("parent_run_id"))  # type: ignore[arg-type]
        if above is None:
            self._begin_question(run_id, metadata)
            return
        name = details.get("name") or ""
        if metadata.get("langgraph_node") != name:
            self._follow(run_id, above)
            return
        question = above.question
        context = question.round_context or question.context
        about = {"mom.council": self._council, "mom.node": name}
        self._begin(run_id, question, name, context, about)

    def _begin_question(self, run_id: UUID, metadata: Mapping[str, Any]) -> None:
        thread = metadata.get("thread") or metadata.get("thread_id")
        about = {
            "gen_ai.operation.name": "invoke_agent",
            "gen_ai.agent.name": self._council,
            "gen_ai.conversation.id": thread,
            "mom.council": self._council,
            "mom.request_id": metadata.get("request_id"),
        }
        question = _TracedQuestion(run_id, contexts.get_current())
        name = f"invoke_agent {self._council}"
        traced = self._begin(run_id, question, name, question.context, about)
        question.context = traced.context or question.context

    def _begin(
        self,
        run_id: UUID,
        question: _TracedQuestion,
        name: str,
        context: Context | None,
        about: Mapping[str, Any],
        kind: SpanKind = SpanKind.INTERNAL,
    ) -> _Traced:
        span = exports().tracer.start_span(name, context, kind, _attributes(about))
        inner = trace.set_span_in_context(span, context)
        traced = _Traced(question, span, inner, time.monotonic())
        self._runs[run_id] = traced
        question.runs.add(run_id)
        return traced

    def _follow(self, run_id: UUID, above: _Traced) -> None:
        """Have a run's children hang where it would."""
        self._runs[run_id] = _Traced(above.question, None, above.context)
        above.question.runs.add(run_id)

    def on_chain_end(self, outputs: Any, *, run_id: UUID, **_: Any) -> None:
        """The question or a node is done."""
        traced = self._runs.get(run_id)
        if traced is None:
            return
        written = outputs if isinstance(outputs, Mapping) else {}
        if traced.span is not None:
            self._note(traced, written)
        self._end(run_id, traced)

    def on_chain_error(self, error: BaseException, *, run_id: UUID, **_: Any) -> None:
        """The question or a node raised."""
        if (traced := self._runs.get(run_id)) is not None:
            self._fail(traced, error)
            self._end(run_id, traced)

    def _note(self, traced: _Traced, written: Mapping[str, Any]) -> None:
        """Put what a node wrote into the state on its span, and begin and end rounds."""
        question, span = traced.question, traced.span
        assert span is not None  # noqa: S101 - who calls this has looked
        absences = [one for one in _listed(written.get("absences")) if isinstance(one, Absence)]
        for absence in absences:
            span.add_event("mom.absence", _attributes(_absence(absence)))
        if len(absences) == 1:
            _set(span, _absence(absences[0]))
        turn = getattr(written.get("seating"), "round", 0)
        if turn > question.round:
            question.end_round()
            question.round = turn
            self._begin_round(question)
        verdicts = [one for one in _listed(written.get("verdicts")) if isinstance(one, Verdict)]
        if verdicts and verdicts[-1].stop_reason is not None:
            question.end_round(verdicts[-1])
        status = written.get("status")
        if isinstance(status, Status) and self._runs.get(question.root) is traced:
            _set(span, _outcome(status))

    def _begin_round(self, question: _TracedQuestion) -> None:
        about = {"mom.council": self._council, "mom.round": question.round}
        name = f"round {question.round}"
        span = exports().tracer.start_span(name, question.context, attributes=_attributes(about))
        question.round_span = span
        question.round_context = trace.set_span_in_context(span, question.context)

    def on_chat_model_start(
        self, serialized: Any, messages: list[list[BaseMessage]], *, run_id: UUID, **details: Any
    ) -> None:
        """A call of a chat model."""
        above = self._runs.get(details.get("parent_run_id"))  # type: ignore[arg-type]
        if above is None:
            return
        metadata = details.get("metadata") or {}
        params = details.get("invocation_params") or {}
        model = str(
            params.get("model") or params.get("model_name") or metadata.get("ls_model_name", "")
        )
        labels = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": metadata.get("ls_provider"),
            "gen_ai.request.model": model,
            "mom.council": self._council,
        }
        about = {**labels, "mom.segment": metadata.get("segment")}
        for name in ("character", "round", "layer"):
            about[f"mom.{name}"] = metadata.get(name) or None
        about |= {f"gen_ai.request.{_PARAMS[name]}": params.get(name) for name in _PARAMS}
        if self._content:
            about["gen_ai.input.messages"] = _in_json(messages[0] if messages else ())
        traced = self._begin(
            run_id, above.question, f"chat {model}", above.context, about, SpanKind.CLIENT
        )
        traced.labels = _attributes(labels)
        if above.span is not None:  # the node's own span learns whom it is about
            _set(above.span, {name: about.get(name) for name in ("mom.character", "mom.round")})

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **_: Any) -> None:
        """A model has answered."""
        traced = self._runs.get(run_id)
        if traced is None or traced.span is None:
            return
        first = response.generations[0] if response.generations else []
        generation = first[0] if first else None
        message = generation.message if isinstance(generation, ChatGeneration) else None
        meta = getattr(message, "response_metadata", {})
        usage = getattr(message, "usage_metadata", None) or {}
        finish = next((meta[name] for name in _FINISHES if isinstance(meta.get(name), str)), None)
        answered = meta.get("model_name") or meta.get("model")
        about = {
            "gen_ai.response.model": str(answered)[:_LONGEST_NAME] if answered else None,
            "gen_ai.response.finish_reasons": [finish] if finish else None,
            "gen_ai.response.id": meta.get("id"),
            "gen_ai.usage.input_tokens": usage.get("input_tokens"),
            "gen_ai.usage.output_tokens": usage.get("output_tokens"),
        }
        if self._content and message is not None:
            about["gen_ai.output.messages"] = _in_json([message], finish)
        _set(traced.span, about)
        if answered:
            traced.labels |= _attributes({"gen_ai.response.model": str(answered)[:_LONGEST_NAME]})
        for direction in ("input", "output"):
            if (count := usage.get(f"{direction}_tokens")) is not None:
                exports().tokens.record(
                    count, {**traced.labels, "gen_ai.token.type": direction}, traced.context
                )
        self._end(run_id, traced)

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **_: Any) -> None:
        """A model did not answer."""
        if (traced := self._runs.get(run_id)) is not None:
            self._fail(traced, error)
            self._end(run_id, traced)

    def on_tool_start(
        self, serialized: Any, input_str: str, *, run_id: UUID, **details: Any
    ) -> None:
        """A call of a tool."""
        above = self._runs.get(details.get("parent_run_id"))  # type: ignore[arg-type]
        if above is None:
            return
        name = str(details.get("name") or (serialized or {}).get("name") or "")
        about = {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": name,
            "gen_ai.tool.call.id": details.get("tool_call_id"),
            "gen_ai.tool.call.arguments": input_str if self._content else None,
            "mom.council": self._council,
        }
        self._begin(run_id, above.question, f"execute_tool {name}", above.context, about)

    def on_tool_end(self, output: Any, *, run_id: UUID, **_: Any) -> None:
        """A tool has answered."""
        if (traced := self._runs.get(run_id)) is not None:
            if self._content and traced.span is not None:
                result = str(getattr(output, "content", output))
                _set(traced.span, {"gen_ai.tool.call.result": result})
            self._end(run_id, traced)

    def on_tool_error(self, error: BaseException, *, run_id: UUID, **_: Any) -> None:
        """A tool raised."""
        if (traced := self._runs.get(run_id)) is not None:
            self._fail(traced, error)
            self._end(run_id, traced)

    def _fail(self, traced: _Traced, error: BaseException) -> None:
        kind = type(error).__name__
        if traced.span is None or kind in _SIGNALS:
            return
        status = getattr(error, "status_code", None)
        about = {"error.type": str(status) if status else kind}
        # An error may repeat what was asked, so without content only its kind is sent.
        line = " ".join(str(error).split())[:500] if self._content else ""
        traced.span.set_status(StatusCode.ERROR, redact_tree(line) or None)
        _set(traced.span, about)
        traced.labels |= about

    def _end(self, run_id: UUID, traced: _Traced) -> None:
        """End a run's span; with a question end whatever of it is open still."""
        question = traced.question
        if run_id == question.root:
            for other in [*question.runs - {run_id}]:
                self._end(other, self._runs[other])
            question.end_round()
        del self._runs[run_id]
        question.runs.discard(run_id)
        if traced.span is None:
            return
        if "gen_ai.operation.name" in traced.labels:
            spent = time.monotonic() - traced.began
            exports().seconds.record(spent, traced.labels, traced.context)
        traced.span.end()


_FINISHES = ("finish_reason", "stop_reason", "done_reason")
"""Where vendors say why a reply ended."""


def _listed(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list | tuple) else ()


def _absence(absence: Absence) -> dict[str, Any]:
    return {
        "mom.character": absence.character,
        "mom.absent_reason": absence.reason,
        "mom.stage": absence.stage,
        "mom.round": absence.round,
    }


def _outcome(status: Status) -> dict[str, Any]:
    """What a question's span is told of its answer."""
    return {
        "mom.rounds": status.rounds,
        "mom.stop_reason": status.stop_reason,
        "mom.degraded": status.degraded,
        "mom.route": status.route,
        "mom.spoke": list(status.spoke),
        "mom.absent": [f"{one.character}: {one.reason}" for one in status.absent],
        "mom.dissent": list(status.dissent),
        "mom.calls": status.usage.calls,
        "mom.usd": status.usage.usd,
        "gen_ai.usage.input_tokens": status.usage.input_tokens,
        "gen_ai.usage.output_tokens": status.usage.output_tokens,
        "gen_ai.response.finish_reasons": [status.finish],
    }


def _in_json(messages: Sequence[BaseMessage], finish: str | None = None) -> str:
    """Messages as the conventions write them."""
    roles = {"human": "user", "ai": "assistant", "AIMessageChunk": "assistant"}
    written = []
    for message in messages:
        parts: list[dict[str, Any]] = [{"type": "text", "content": message.text}]
        parts += [
            {"type": "tool_call", "id": call["id"], "name": call["name"], "arguments": call["args"]}
            for call in getattr(message, "tool_calls", None) or ()
        ]
        one = {"role": roles.get(message.type, message.type), "parts": parts}
        written.append({**one, "finish_reason": finish} if finish else one)
    return json.dumps(redact_tree(written), ensure_ascii=False, default=str)


def _attributes(about: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes that are known, without any key."""
    return dict(redact_tree({name: value for name, value in about.items() if value is not None}))


def _set(span: OtelSpan, about: Mapping[str, Any]) -> None:
    span.set_attributes(_attributes(about))
