"""The traces page: past questions, what every node and model did in them, and when."""

from __future__ import annotations

import re
from typing import Any

import streamlit as st

from mom_council.councils import loader as saved
from mom_council.councils.loader import load_council, preset_names
from mom_council.councils.schema import Price
from mom_council.errors import MixtureError
from mom_council.runs.page_store import PageStore
from mom_council.tracing.store import Span, TraceStore, TraceSummary, TraceView
from mom_council.ui import session, trace_views
from mom_council.ui.safe import inert, one_line
from mom_council.ui.trace_views import TraceDetails, TraceSearch, councils, inside, matching

_MOST = 500
_LONGEST = 40_000
"""Characters of one message that are shown; the download has them all."""
_OF_THE_PAGE = re.compile(r"[0-9a-f]{16}")
"""How `session.new_thread` names a conversation; the command's names are others."""
_INDENT = "\u2003"
_KINDS: dict[trace_views.Kind, str] = {
    "critical": "critical path",
    "beside": "beside it",
    "failed": "failed",
    "around": "waiting and loading",
}
_COLOURS = ["#e8833a", "#6b8fc9", "#d64550", "#9a9a9a44"]


def page() -> None:
    """Draw the page."""
    st.title("Traces", anchor=False)
    try:
        traces = [one for one in TraceStore().summaries(_MOST) if _is_for(one, _own_threads())]
    except MixtureError as error:
        st.error(inert(error))
        return
    if not traces:
        st.info(
            "There are no traces yet: every question leaves one on this machine.",
            icon=":material/account_tree:",
        )
        return
    filters = _filters(traces)
    some = matching(traces, filters, lambda trace: _inside(trace, _moment(traces, trace)))
    if not some:
        st.caption("No trace is like that.")
        return
    trace = _list(some)
    view = TraceStore().load(trace)
    if view is None:
        st.warning("This trace is gone: newer ones have taken its place.")
        return
    _show(view)


def _own_threads() -> frozenset[str]:
    return frozenset(entry.id for entry in PageStore().of(session.reader(), limit=10_000))


def _is_for(one: TraceSummary, own: frozenset[str]) -> bool:
    """Whether this reader may see it: asked here by themselves, or not on the page at all.

    A conversation that was deleted is nobody's any more, and no other reader's either.
    """
    return one.thread in own or not _OF_THE_PAGE.fullmatch(one.thread)


def _filters(summaries: list[TraceSummary]) -> TraceSearch:
    with st.container(horizontal=True, vertical_alignment="bottom", key="filters"):
        words = st.text_input("Words", key="words", placeholder="in the question or in any message")
        council = st.selectbox(
            "Council", ["", *councils(summaries)], key="council", format_func=_any
        )
        models = sorted({name for one in summaries for name in _models(one)})
        model = st.selectbox("Model", ["", *models], key="model", format_func=_any)
        failed = st.toggle("With errors", key="failed")
    return TraceSearch(council, model, failed, words)


def _any(name: str) -> str:
    return one_line(name, 60) or "any"


def _models(one: TraceSummary) -> frozenset[str]:
    return _inside(one.id, one.seconds).models


def _moment(summaries: list[TraceSummary], trace: str) -> float | None:
    return next((one.seconds for one in summaries if one.id == trace), None)


@st.cache_data(max_entries=2 * _MOST, show_spinner=False)
def _inside(trace: str, _seconds: float | None) -> TraceDetails:
    # The seconds are part of the cache's key: a trace is written once as it begins, and once more.
    return inside(TraceStore().load(trace))


def _list(some: list[TraceSummary]) -> str:
    """The traces as a table; the newest, or the one that is asked for, is looked at."""
    ids = [one.id for one in some]
    named = str(st.query_params.get("trace", ""))
    at = st.selectbox(
        "Question",
        range(len(ids)),
        index=ids.index(named) if named in ids else 0,
        format_func=lambda index: _line(some[index]),
        key="trace",
    )
    st.caption(f"{len(some)} of at most {_MOST} kept")
    return ids[at or 0]


def _line(one: TraceSummary) -> str:
    when = one.started.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    took = "never finished" if one.seconds is None else f"{one.seconds:.1f} s"
    failed = " · failed" if one.error else ""
    question = one_line(one.question, 80) or "(no question kept)"
    return f"{question} — {one_line(one.council, 40)} · {when} · {took}{failed}"


def _show(view: TraceView) -> None:
    summary = view.summary
    if summary.error:
        st.error(inert(summary.error, 600), icon=":material/error:")
    figures = trace_views.figures(view)
    usd = trace_views.cost(view, _prices(summary.council))
    tiles = {
        "Time": f"{figures.seconds:.2f} s",
        "Calls": str(summary.calls),
        "Tokens in": _count(summary.input_tokens),
        "Tokens out": _count(summary.output_tokens),
        "Cost": "unknown" if usd is None else f"${usd:.4f}" if usd else "free",
    }
    with st.container(horizontal=True, gap="large", key="figures"):
        for label, value in tiles.items():
            st.metric(label, value, width="content")
    if not view.spans:
        st.caption("The run left no tree: it never came to its end.")
        return
    _gantt(view, figures)
    _tree(view)
    _messages(view)
    st.download_button(
        "Download as JSON",
        lambda: view.model_dump_json(indent=2),
        file_name=f"trace-{summary.id}.json",
        mime="application/json",
        icon=":material/download:",
        key="download-trace",
    )


def _count(number: int | None) -> str:
    return "unknown" if number is None else f"{number:,}"


def _prices(council: str) -> dict[str, Price]:
    """The prices that a council names for its models, where it can still be found."""
    source: Any = saved.saved_councils().get(saved.safe_name(council))
    source = source or (council if council in preset_names() else None)
    try:
        models = load_council(source).models.values() if source else ()
    except MixtureError:
        return {}
    return {model.model: model.price for model in models if model.price is not None}


def _gantt(view: TraceView, times: trace_views.TraceTotals) -> None:
    """The timeline: what went on side by side, and what the length hung on."""
    rows = [
        {
            "who": one_line(bar.lane, 40),
            "model": one_line(bar.label, 60),
            "start": round(bar.start, 4),
            "end": round(bar.end, 4),
            "seconds": round(bar.end - bar.start, 3),
            "what": _KINDS[bar.kind],
        }
        for bar in trace_views.bars(view)
    ]
    if not rows:
        return
    st.subheader("When", anchor=False)
    st.vega_lite_chart(rows, _chart(rows), width="stretch", key="gantt")
    rest = max(0.0, times.seconds - times.critical)
    st.caption(
        f"{times.work:.2f} s of calls in {times.seconds:.2f} s, "
        f"at most {times.most_at_once} at once. "
        f"The critical path holds {times.critical:.2f} s of them; the other {rest:.2f} s were "
        "waiting, loading and the council's own work."
    )


def _chart(rows: list[dict[str, Any]]) -> dict[str, Any]:
    lanes = list(dict.fromkeys(row["who"] for row in sorted(rows, key=lambda row: row["start"])))
    return {
        "height": {"step": 26},
        "mark": {"type": "bar", "cornerRadius": 3, "height": 16, "minBandSize": 2},
        "encoding": {
            "y": {
                "field": "who",
                "type": "nominal",
                "sort": lanes,
                "title": None,
                "axis": {"labelLimit": 140},
            },
            "x": {"field": "start", "type": "quantitative", "title": "seconds"},
            "x2": {"field": "end"},
            "color": {
                "field": "what",
                "type": "nominal",
                "title": None,
                "scale": {"domain": [*_KINDS.values()], "range": _COLOURS},
                "legend": {"orient": "top", "columns": 2},
            },
            "tooltip": [{"field": name} for name in ("who", "model", "start", "seconds", "what")],
        },
    }


def _tree(view: TraceView) -> None:
    """Every node and call, those within one another set in."""
    st.subheader("What", anchor=False)
    critical = {span.id for span in trace_views.critical_path(view)}
    rows = [
        {
            "What": _INDENT * depth + one_line(span.name, 60),
            "Model": one_line(span.model, 60),
            "Starts": f"{span.start:.2f} s",
            "Takes": "never ended" if span.seconds is None else f"{span.seconds:.2f} s",
            "First token": "" if span.first_token is None else f"{span.first_token:.2f} s",
            "In": _blank(span.input_tokens),
            "Out": _blank(span.output_tokens),
            "Critical": "●" if span.id in critical else "",
            "Error": one_line(span.error, 200),
        }
        for depth, span in view.tree()
        if span.kind != "step" or span.error
    ]
    st.dataframe(rows, hide_index=True, width="stretch", key="tree")


def _blank(number: int | None) -> str:
    return "" if number is None else f"{number:,}"


def _messages(view: TraceView) -> None:
    """What one call was sent, and what it answered."""
    calls = [span for _, span in view.tree() if span.prompt or span.reply or span.error]
    if not calls:
        st.caption("Prompts and replies were not kept for this question.")
        return
    st.subheader("Prompts and replies", anchor=False)
    at = st.selectbox(
        "Call",
        range(len(calls)),
        format_func=lambda index: _call(calls[index], view),
        key=f"call-{view.summary.id}",
    )
    span = calls[at or 0]
    if span.error:
        st.error(inert(span.error, 600), icon=":material/error:")
    for message in span.prompt:
        _message(message.role, message.text)
    if span.reasoning:
        _message("thought", span.reasoning)
    if span.reply:
        _message("reply", span.reply)


def _call(span: Span, view: TraceView) -> str:
    node = one_line(trace_views.node_name(span, view), 60)
    turn = f" · round {span.about['round']}" if span.about.get("round") else ""
    model = f" · {one_line(span.model, 40)}" if span.model else ""
    return f"{span.start:.2f} s · {node}{turn}{model}"


def _message(role: str, text: str) -> None:
    st.caption(inert(role, 20))
    # As code: a message is shown as it was sent, and nothing in it is Markdown.
    st.code(text[:_LONGEST], language=None, wrap_lines=True)
    if len(text) > _LONGEST:
        st.caption(f"… and {len(text) - _LONGEST:,} more characters, in the download.")
