"""Local traces: what every node and every model did for one question, without any network.

A plain callback handler, not `BaseTracer`: that one builds a pydantic tree and dumps every message
twice, on the event loop. This one notes times and keeps references; texts are made at the end.

    with local_trace() as trace:
        await graph.ainvoke(...)
    print(trace.id)

A trace gathers spans while its question runs, in memory and without waiting; a thread of its own
redacts and writes them. Nothing that goes wrong here reaches the run: it is logged, once.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, convert_to_messages
from langchain_core.outputs import ChatGeneration, LLMResult
from langchain_core.tracers.context import register_configure_hook

from mom_council.redaction import logger, redact_tree
from mom_council.tracing.store import PromptMessage, Span, TraceStore, TraceSummary, TraceView

_ABOUT = ("character", "round", "layer", "council", "request_id")
_HIDDEN = "langsmith:hidden"
_LONGEST = 200_000  # characters of one text
_MOST_SPANS = 20_000
# LangGraph pauses and hands over by raising these; they are no errors.
_SIGNALS = ("GraphInterrupt", "GraphBubbleUp", "ParentCommand", "NodeInterrupt", "GraphDrained")


@dataclass(slots=True)
class _Open:
    """A span while it lasts."""

    id: str
    parent: str | None
    kind: str
    name: str
    began: float
    about: dict[str, Any]
    model: str = ""
    ended: float | None = None
    first: float | None = None
    error: str = ""
    prompt: Sequence[BaseMessage] = ()
    reply: BaseMessage | None = None
    text: str = ""
    usage: Mapping[str, Any] = field(default_factory=dict)


class Collector(BaseCallbackHandler):
    """Notes every run below it.

    Args:
        content: whether prompts and replies are kept.
        on_root: called once, when the first run has begun and its question is known.
    """

    run_inline = True  # a few assignments: a thread for each would cost more

    def __init__(self, *, content: bool = True, on_root: Callable[[], None] | None = None) -> None:
        self.question = ""
        self.about: dict[str, Any] = {}
        self._content = content
        self._on_root = on_root
        self._began = time.monotonic()
        self._spans: dict[UUID, _Open] = {}
        self._above: dict[UUID, str | None] = {}

    def spans(self) -> tuple[Span, ...]:
        """What was noted so far, in the order it began."""
        return tuple(self._closed(span) for span in list(self._spans.values()))

    def on_chain_start(self, serialized: Any, inputs: Any, *, run_id: UUID, **details: Any) -> None:
        """A graph, a node, or a step in one."""
        metadata = details.get("metadata") or {}
        name = _name(serialized, details)
        root = details.get("parent_run_id") is None
        node = metadata.get("langgraph_node") == name
        kind = "run" if root else "node" if node else "step"
        self._begin(run_id, kind, name, details)
        if root and len(self._spans) == 1:
            self.about = self._spans[run_id].about
            self.question = _question(inputs) if self._content else ""
            if self._on_root is not None:
                self._on_root()

    def on_chat_model_start(
        self, serialized: Any, messages: list[list[BaseMessage]], *, run_id: UUID, **details: Any
    ) -> None:
        """A call of a chat model."""
        span = self._begin(run_id, "model", _name(serialized, details), details)
        if span is not None:
            params = details.get("invocation_params") or {}
            metadata = details.get("metadata") or {}
            span.model = str(
                params.get("model") or params.get("model_name") or metadata.get("ls_model_name", "")
            )
            if self._content:
                span.prompt = messages[0] if messages else ()

    def on_tool_start(
        self, serialized: Any, input_str: str, *, run_id: UUID, **details: Any
    ) -> None:
        """A call of a tool."""
        span = self._begin(run_id, "tool", _name(serialized, details), details)
        if span is not None and self._content:
            span.prompt = (HumanMessage(input_str),)

    def on_llm_new_token(self, token: Any, *, run_id: UUID, **_: Any) -> None:
        """Only when the first one came is of interest."""
        span = self._spans.get(run_id)
        if span is not None and span.first is None:
            span.first = time.monotonic()

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **_: Any) -> None:
        """A model has answered."""
        span = self._end(run_id)
        first = response.generations[0] if response.generations else []
        generation = first[0] if first else None
        if span is None or not isinstance(generation, ChatGeneration):
            return
        if isinstance(generation.message, AIMessage):
            span.usage = generation.message.usage_metadata or {}
        if self._content:
            span.reply = generation.message

    def on_tool_end(self, output: Any, *, run_id: UUID, **_: Any) -> None:
        """A tool has answered."""
        span = self._end(run_id)
        if span is not None and self._content:
            span.text = str(getattr(output, "content", output))

    def on_custom_event(self, name: str, data: Any, *, run_id: UUID, **_: Any) -> None:
        """A node tells something of itself in a line, such as the order that it planned."""
        span = self._spans.get(run_id)
        if span is not None and isinstance(data, str):
            before = span.about.get(name)
            span.about[name] = f"{before}; {data}" if before else data

    def on_chain_end(self, outputs: Any, *, run_id: UUID, **_: Any) -> None:
        """A graph or a node is done."""
        self._end(run_id)

    def on_chain_error(self, error: BaseException, *, run_id: UUID, **_: Any) -> None:
        """A graph or a node raised."""
        self._end(run_id, error)

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **_: Any) -> None:
        """A model did not answer."""
        self._end(run_id, error)

    def on_tool_error(self, error: BaseException, *, run_id: UUID, **_: Any) -> None:
        """A tool raised."""
        self._end(run_id, error)

    def _begin(
        self, run_id: UUID, kind: str, name: str, arguments: Mapping[str, Any]
    ) -> _Open | None:
        parent = arguments.get("parent_run_id")
        above = self._above.get(parent) if parent is not None else None
        if _HIDDEN in (arguments.get("tags") or ()) or len(self._spans) >= _MOST_SPANS:
            self._above[run_id] = above  # its children hang where it would
            return None
        metadata = arguments.get("metadata") or {}
        about = {key: metadata[key] for key in _ABOUT if key in metadata}
        if "thread_id" in metadata:
            about["thread"] = metadata["thread_id"]
        span = _Open(run_id.hex, above, kind, name, time.monotonic(), about)
        self._above[run_id] = span.id
        self._spans[run_id] = span
        return span

    def _end(self, run_id: UUID, error: BaseException | None = None) -> _Open | None:
        span = self._spans.get(run_id)
        if span is None:
            return None
        span.ended = time.monotonic()
        if error is not None and type(error).__name__ not in _SIGNALS:
            # An error may repeat what was asked, so without content only its kind is kept.
            line = " ".join(str(error).split())[:500] if self._content else ""
            span.error = f"{type(error).__name__}: {line}" if line else type(error).__name__
        return span

    def _closed(self, span: _Open) -> Span:
        plain = (str, int, float, bool)
        reply = span.reply
        extra = getattr(reply, "additional_kwargs", {})
        return Span(
            id=span.id,
            parent=span.parent,
            kind=span.kind,
            name=span.name,
            start=round(span.began - self._began, 6),
            seconds=None if span.ended is None else round(span.ended - span.began, 6),
            model=span.model,
            first_token=None if span.first is None else round(span.first - span.began, 6),
            input_tokens=span.usage.get("input_tokens"),
            output_tokens=span.usage.get("output_tokens"),
            error=span.error,
            about={key: value for key, value in span.about.items() if isinstance(value, plain)},
            prompt=tuple(PromptMessage(role=m.type, text=_text(m)) for m in span.prompt),
            reply=_text(reply) if reply is not None else span.text[:_LONGEST],
            reasoning=str(extra.get("reasoning_content") or "")[:_LONGEST],
        )


def _name(serialized: Any, arguments: Mapping[str, Any]) -> str:
    return str(arguments.get("name") or (serialized or {}).get("name") or "")


def _text(message: BaseMessage) -> str:
    """What a message says; a picture is named, not kept."""
    parts = message.content if isinstance(message.content, list) else [message.content]
    lines = [
        part if isinstance(part, str) else str(part.get("text") or f"[{part.get('type')}]")
        for part in parts
    ]
    calls = getattr(message, "tool_calls", None) or ()
    lines += [f"[calls {call['name']} with {call['args']}]" for call in calls]
    return "\n".join(line for line in lines if line)[:_LONGEST]


def _question(inputs: Any) -> str:
    written: Any = inputs.get("messages") if isinstance(inputs, Mapping) else None
    try:
        messages = convert_to_messages(written if isinstance(written, list) else [written])
    except (ValueError, TypeError, NotImplementedError):
        return ""
    questions = [message for message in messages if isinstance(message, HumanMessage)]
    return " ".join(_text(questions[-1]).split())[:500] if questions else ""


_collecting: ContextVar[Collector | None] = ContextVar("local_trace", default=None)
# LangChain asks this variable at every run, and hands what it finds down to the run's children.
register_configure_hook(_collecting, inheritable=True)

_log = logger(__name__)


class _Writer:
    """One thread for all traces of the process; Python waits for it at exit."""

    def __init__(self) -> None:
        self._pool: ThreadPoolExecutor | None = None
        self._last: Future[None] | None = None
        self._complained: set[str] = set()

    def write(self, store: TraceStore, view: TraceView, secret_names: Collection[str]) -> None:
        """Redact and keep a trace, later."""
        if self._pool is None:
            self._pool = ThreadPoolExecutor(1, thread_name_prefix="traces")
        self._last = self._pool.submit(self._write, store, view, tuple(secret_names))

    def wait(self, seconds: float) -> None:
        """Wait until everything so far is kept, or so long."""
        if self._last is not None:
            self._last.exception(seconds)

    def _write(self, store: TraceStore, view: TraceView, secret_names: tuple[str, ...]) -> None:
        try:
            store.write(TraceView.model_validate(redact_tree(view.model_dump(), secret_names)))
        except Exception as error:
            if str(error) not in self._complained:
                self._complained.add(str(error))
                _log.warning("no local trace was kept: %s", error)


_writer = _Writer()


class Trace:
    """The trace of one question, as the door that asked it sees it."""

    def __init__(self, trace_id: str | None) -> None:
        self.id = trace_id
        """What `mom trace show` takes; None where tracing is off."""


@contextmanager
def local_trace(
    *,
    enabled: bool = True,
    content: bool = True,
    council: str = "",
    secret_names: Collection[str] = (),
    store: TraceStore | None = None,
) -> Iterator[Trace]:
    """Trace every graph that runs inside, as one tree.

    Args:
        enabled: False does nothing at all.
        content: False leaves prompts, replies and the question out.
        council: the council's name, where the run's metadata does not say it.
        secret_names: environment variables to redact although their names do not say so.
        store: where traces are kept; the user's data directory when left out.
    """
    if not enabled:
        yield Trace(None)
        return
    trace = Trace(uuid.uuid4().hex[:12])
    target = store or TraceStore()
    started, clock = datetime.now(UTC), time.monotonic()

    def write(spans: tuple[Span, ...], seconds: float | None, error: str = "") -> None:
        summary = _summarize(str(trace.id), started, seconds, spans, collector, council)
        summary = summary.model_copy(update={"error": summary.error or error})
        _writer.write(target, TraceView(summary=summary, spans=spans), secret_names)

    # Kept as soon as the question is known: a killed process leaves at least that.
    collector = Collector(content=content, on_root=lambda: write((), None, "never finished"))
    token = _collecting.set(collector)
    try:
        yield trace
    finally:
        _collecting.reset(token)
        try:
            write(collector.spans(), time.monotonic() - clock)
        except Exception as error:
            _log.warning("no local trace was kept: %s", error)


def wait_for_traces(seconds: float = 5.0) -> None:
    """Wait until the traces of this process are written; at its exit Python does so by itself."""
    _writer.wait(seconds)


def _summarize(
    trace_id: str,
    started: datetime,
    seconds: float | None,
    spans: tuple[Span, ...],
    collector: Collector,
    council: str,
) -> TraceSummary:
    calls = [span for span in spans if span.kind == "model"]
    roots: dict[str, Any] = collector.about
    return TraceSummary(
        id=trace_id,
        started=started,
        question=collector.question,
        council=str(roots.get("council", council)),
        thread=str(roots.get("thread", "")),
        seconds=seconds,
        calls=len(calls),
        input_tokens=_sum([span.input_tokens for span in calls]),
        output_tokens=_sum([span.output_tokens for span in calls]),
        error=next((span.error for span in spans if span.kind == "run" and span.error), ""),
    )


def _sum(parts: list[int | None]) -> int | None:
    counted = [part for part in parts if part is not None]
    return sum(counted) if counted else None
