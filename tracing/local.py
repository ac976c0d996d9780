"""Local traces: what every node and every model did for one question, without any network.

    with local_trace() as trace:
        await graph.ainvoke(...)
    print(trace.id)

A trace gathers spans while its question runs, in memory and without waiting; a thread of its own
redacts and writes them. Nothing that goes wrong here reaches the run: it is logged, once.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Collection, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

from langchain_core.tracers.context import register_configure_hook

from mom_council.redaction import logger, redact_tree
from mom_council.tracing.collector import Collector
from mom_council.tracing.store import Span, TraceStore, TraceSummary, TraceView

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
