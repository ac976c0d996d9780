"""The traces page without its widgets. Pure.

Which traces somebody is looking for: by council, model, error and words.

When what happened in a trace: the bars of its timeline, and the chain its length hangs on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal, NamedTuple

from mom_council.councils.schema import Price
from mom_council.records import Record
from mom_council.tracing.store import Span, TraceSummary, TraceView


class TraceSearch(NamedTuple):
    """What the traces are filtered by; empty is any."""

    council: str = ""
    model: str = ""
    failed: bool = False
    """Only those in which something went wrong."""
    words: str = ""


class TraceDetails(Record):
    """What the list needs of a trace's tree, which is costly to read."""

    models: frozenset[str] = frozenset()
    errors: tuple[str, ...] = ()
    text: str = ""
    """Everything that was said in it, in small letters."""


def inside(view: TraceView | None) -> TraceDetails:
    """Read a tree once."""
    if view is None:
        return TraceDetails()
    texts = (
        part
        for span in view.spans
        for part in (*(one.text for one in span.prompt), span.reply, span.reasoning, span.name)
    )
    return TraceDetails(
        models=frozenset(span.model for span in view.spans if span.model),
        errors=tuple(span.error for span in view.spans if span.error),
        text="\n".join(texts).casefold(),
    )


def matching(
    summaries: Sequence[TraceSummary], search: TraceSearch, look: Callable[[str], TraceDetails]
) -> list[TraceSummary]:
    """The traces that are wanted, in their order; `look` reads a tree, and only where it must."""
    return [one for one in summaries if _matches(one, search, cache(look))]


def councils(summaries: Iterable[TraceSummary]) -> list[str]:
    """The councils that the traces are of."""
    return sorted({one.council for one in summaries if one.council})


def _matches(one: TraceSummary, search: TraceSearch, look: Callable[[str], TraceDetails]) -> bool:
    if search.council and one.council != search.council:
        return False
    if search.failed and not one.error and not look(one.id).errors:
        return False
    if search.model and search.model not in look(one.id).models:
        return False
    words = search.words.casefold().split()
    missing = [word for word in words if word not in one.question.casefold()]
    return not missing or all(word in look(one.id).text for word in missing)


_EVEN = 0.002
"""Seconds within which one end and another beginning are the same moment."""


Kind = Literal["critical", "beside", "failed", "around"]


@dataclass(frozen=True, slots=True)
class TimelineBar:
    """One thing that took time."""

    lane: str
    """The line it is drawn on."""
    label: str
    start: float
    end: float
    kind: Kind
    error: str
    span: str


class TraceTotals(Record):
    """What a whole trace comes to."""

    seconds: float
    critical: float
    """Seconds of its critical path that somebody was at work."""
    work: float
    """Seconds of all its work, one after the other."""
    most_at_once: int


def critical_path(view: TraceView) -> tuple[Span, ...]:
    """What the trace's length hangs on, in its order: shorten one of these, or nothing is gained.

    From the end back: whatever ended last before the moment at hand, then what ended last before
    that began. What lies between two of them is the council's own work.
    """
    end = _end(view)
    work = sorted(leaves(view), key=lambda span: _until(span, end))
    path: list[Span] = []
    moment = end
    while work:
        last = work.pop()
        if _until(last, end) <= moment + _EVEN:
            path.append(last)
            moment = last.start
    return tuple(reversed(path))


def leaves(view: TraceView) -> list[Span]:
    """The work itself: calls of models and tools, and nodes that took their time without any."""
    parents = {span.parent for span in view.spans}
    return [
        span
        for span in view.spans
        if span.id not in parents
        and (span.kind in ("model", "tool") or _until(span, _end(view)) - span.start > _EVEN)
    ]


def bars(view: TraceView) -> list[TimelineBar]:
    """The timeline's bars, in the order they began; what one character does shares a line.

    Behind its calls stands the whole node: what shows of it is waiting, loading and work of ours.
    """
    critical = {span.id for span in critical_path(view)}
    end = _end(view)
    by_id = {span.id: span for span in view.spans}
    drawn_bars, drawn = [], set[str]()
    for span in sorted(leaves(view), key=lambda span: span.start):
        lane = spoken_name(span, view)
        node = by_id.get(span.parent or "")
        if node is not None and node.kind == "node" and node.id not in drawn:
            drawn.add(node.id)
            drawn_bars.append(
                TimelineBar(lane, node.name, node.start, _until(node, end), "around", "", node.id)
            )
        kind: Kind = "failed" if span.error else "critical" if span.id in critical else "beside"
        label = span.model or span.name
        drawn_bars.append(
            TimelineBar(lane, label, span.start, _until(span, end), kind, span.error, span.id)
        )
    return sorted(drawn_bars, key=lambda bar: bar.kind != "around")


def figures(view: TraceView) -> TraceTotals:
    """How long it took, and how much of that was worked side by side."""
    end = _end(view)
    work = [(span.start, _until(span, end)) for span in leaves(view)]
    return TraceTotals(
        seconds=end,
        critical=sum(_until(span, end) - span.start for span in critical_path(view)),
        work=sum(stop - start for start, stop in work),
        most_at_once=_most_at_once(work),
    )


def spoken_name(span: Span, view: TraceView) -> str:
    """Who did it: a character, or the node above it."""
    return str(span.about.get("character") or "") or node_name(span, view)


def node_name(span: Span, view: TraceView) -> str:
    """The node that it happened in."""
    by_id = {one.id: one for one in view.spans}
    above = by_id.get(span.parent or "")
    while above is not None:
        if above.kind == "node":
            return above.name
        above = by_id.get(above.parent or "")
    return span.name


def cost(view: TraceView, prices: Mapping[str, Price]) -> float | None:
    """What the calls cost in dollars, by each model's price; None: not all is known."""
    total = 0.0
    for span in view.spans:
        if span.kind != "model":
            continue
        price = prices.get(span.model)
        if price is None or span.input_tokens is None or span.output_tokens is None:
            return None
        total += span.input_tokens * price.input + span.output_tokens * price.output
    return total / 1_000_000


def _end(view: TraceView) -> float:
    ends = [span.start + (span.seconds or 0.0) for span in view.spans]
    return max([view.summary.seconds or 0.0, *ends])


def _until(span: Span, end: float) -> float:
    """When it ended; what never ended, with the trace."""
    return end if span.seconds is None else span.start + span.seconds


def _most_at_once(work: Sequence[tuple[float, float]]) -> int:
    moments = sorted([(start, 1) for start, _ in work] + [(stop, -1) for _, stop in work])
    now = most = 0
    for _, step in moments:
        now += step
        most = max(most, now)
    return most
