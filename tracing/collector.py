"""Gathering the spans of one question from LangChain's callbacks.

A plain callback handler, not `BaseTracer`: that one builds a pydantic tree and dumps every message
twice, on the event loop. This one notes times and keeps references; texts are made at the end.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, convert_to_messages
from langchain_core.outputs import ChatGeneration, LLMResult

from mom_council.tracing.store import PromptMessage, Span

_ABOUT = ("character", "round", "layer", "council")
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
            line = " ".join(str(error).split())[:500]
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
