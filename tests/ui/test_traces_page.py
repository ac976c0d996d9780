"""The traces page: what hangs on what, what is found, and what is shown of it."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from streamlit.testing.v1 import AppTest

from mom_council.councils.schema import Price
from mom_council.runs.page_store import PageStore
from mom_council.tracing.store import PromptMessage, Span, TraceStore, TraceSummary, TraceView
from mom_council.ui.trace_views import (
    TraceSearch,
    bars,
    cost,
    critical_path,
    figures,
    inside,
    leaves,
    matching,
)

HOSTILE = "<img src=x onerror=alert(1)> [x](javascript:alert(1)) ![y](http://far.example/y.png)"


def span(
    name: str, start: float, seconds: float | None, parent: str | None = "run", **more: Any
) -> Span:
    return Span(
        id=name, parent=parent, kind=more.pop("kind", "model"), name=name, start=start,
        seconds=seconds, **more,
    )  # fmt: skip


def trace(*spans: Span, seconds: float | None = None, **more: Any) -> TraceView:
    run = Span(id="run", kind="run", name="council", start=0.0, seconds=seconds)
    told = {"id": "abc", "started": datetime(2026, 1, 1, tzinfo=UTC), "seconds": seconds, **more}
    return TraceView(summary=TraceSummary(**told), spans=(run, *spans))


READER = "a" * 32
COUNCIL = trace(
    span("Ada", 0.1, 1.0, model="quick", input_tokens=10, output_tokens=5),
    span("Boris", 0.1, 3.0, model="deep", input_tokens=20, output_tokens=7),
    span("Ada votes", 3.2, 0.5, model="quick", input_tokens=30, output_tokens=2),
    span("synthesizer", 3.8, 1.0, model="deep", input_tokens=40, output_tokens=9),
    seconds=5.0,
)
SPANS = st.lists(
    st.tuples(st.floats(0, 10), st.none() | st.floats(0, 10)), max_size=8
).map(lambda times: [span(f"s{at}", *one) for at, one in enumerate(times)])  # fmt: skip


def names(path: tuple[Span, ...]) -> list[str]:
    return [one.name for one in path]


def test_the_critical_path_goes_through_the_slowest_of_those_who_spoke_at_once() -> None:
    assert names(critical_path(COUNCIL)) == ["Boris", "Ada votes", "synthesizer"]


def test_the_figures_tell_what_was_worked_side_by_side() -> None:
    told = figures(COUNCIL)
    assert (told.seconds, told.most_at_once) == (5.0, 2)
    assert round(told.work, 6) == 5.5
    assert round(told.critical, 6) == 4.5


def test_what_never_ended_lasts_as_long_as_the_trace() -> None:
    view = trace(span("Ada", 0.0, 1.0), span("Boris", 0.5, None), seconds=None)
    assert names(critical_path(view)) == ["Boris"] or names(critical_path(view)) == ["Ada"]
    assert all(bar.end <= 1.0 for bar in bars(view))


def test_a_node_around_a_call_is_not_counted_twice() -> None:
    node = Span(id="n", parent="run", kind="node", name="Ada", start=0.0, seconds=1.0)
    view = trace(node, span("call", 0.1, 0.8, parent="n"), seconds=1.0)
    assert [one.name for one in leaves(view)] == ["call"]
    assert bars(view)[0].lane == "Ada"


def test_an_empty_trace_has_no_path() -> None:
    view = TraceView(summary=COUNCIL.summary)
    assert critical_path(view) == ()
    assert bars(view) == []


@given(SPANS)
def test_a_critical_path_never_overlaps_itself_and_ends_with_the_last(spans: list[Span]) -> None:
    view = trace(*spans)
    path = critical_path(view)
    end = figures(view).seconds
    for one, after in itertools.pairwise(path):
        until = end if one.seconds is None else one.start + one.seconds
        assert until <= after.start + 0.01
    assert bool(path) == bool(leaves(view))
    assert figures(view).critical <= end + 0.01 * len(path)


def test_the_cost_is_known_only_where_every_price_is() -> None:
    price = Price(input=1, output=2)
    assert cost(COUNCIL, {"quick": price}) is None
    assert cost(COUNCIL, {"quick": price, "deep": price}) == (100 + 2 * 23) / 1_000_000


def test_traces_are_found_by_council_model_error_and_words() -> None:
    other = trace(span("Eve", 0, 1, model="far", error="ModelError: no", reply="Blue whales"),
                  id="def", council="two", question="Which animal?")  # fmt: skip
    views = {"abc": COUNCIL, "def": other}
    summaries = [view.summary for view in views.values()]

    def found(**wanted: Any) -> list[str]:
        some = matching(summaries, TraceSearch(**wanted), lambda trace: inside(views[trace]))
        return [one.id for one in some]

    assert found() == ["abc", "def"]
    assert found(council="two") == ["def"]
    assert found(model="deep") == ["abc"]
    assert found(failed=True) == ["def"]
    assert found(words="animal") == ["def"]
    assert found(words="WHALES animal") == ["def"]
    assert found(words="whales deep") == []


def opened() -> AppTest:
    def script() -> None:
        from mom_council.ui.pages import traces

        traces.page()

    app = AppTest.from_function(script, default_timeout=30)
    app.session_state["kept"] = {}
    app.session_state["reader"] = READER
    app.run()
    assert not app.exception
    return app


def kept(number: int = 1, **more: Any) -> None:
    for at in range(number):
        calls = span("Ada", 0.0, 1.0, model="quick", reply=f"answer {at}",
                     prompt=(PromptMessage(role="user", text=f"question {at}"),),
                     **more)  # fmt: skip
        summary = {"id": f"t{at}", "question": f"question {at}", "council": "desk", "calls": 1,
                   "started": datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=at)}  # fmt: skip
        TraceStore().write(trace(calls, seconds=1.0, **summary))


def test_without_traces_the_page_says_how_they_come_about() -> None:
    assert "no traces yet" in opened().info[0].value


def test_the_newest_trace_is_shown_with_its_messages() -> None:
    kept(3)
    app = opened()
    assert [code.value for code in app.code] == ["question 2", "answer 2"]
    assert {tile.label: tile.value for tile in app.metric}["Calls"] == "1"


def test_another_trace_is_chosen() -> None:
    kept(3)
    app = opened()
    app.selectbox(key="trace").select_index(2).run()
    assert [code.value for code in app.code] == ["question 0", "answer 0"]


def test_words_find_a_trace_by_what_a_model_answered() -> None:
    kept(3)
    app = opened()
    app.text_input(key="words").set_value("answer 1").run()
    assert [code.value for code in app.code] == ["question 1", "answer 1"]
    app.text_input(key="words").set_value("nowhere").run()
    assert not app.code


def test_hostile_messages_are_shown_as_code_and_errors_as_text() -> None:
    kept(1, error=HOSTILE)
    app = opened()
    assert app.error[0].value.replace("\\", "") == HOSTILE
    assert "](javascript" not in app.error[0].value


def test_a_question_that_never_ended_is_shown() -> None:
    TraceStore().write(TraceView(summary=TraceSummary(id="x", started=datetime.now(UTC),
                                                      error="never finished")))  # fmt: skip
    app = opened()
    assert "never finished" in app.error[0].value
    assert not app.code


def test_nobody_sees_the_traces_of_another_reader_or_of_a_deleted_conversation() -> None:
    mine, theirs, deleted = "a" * 16, "b" * 16, "c" * 16
    for thread, reader in ((mine, READER), (theirs, "f" * 32)):
        PageStore().put(thread, reader=reader, title="Pets", council="")
    for thread in (mine, theirs, deleted, "command1"):
        told = {"id": thread[:12], "thread": thread, "question": f"of {thread}"}
        TraceStore().write(trace(seconds=1.0, **told))
    shown = "".join(opened().selectbox(key="trace").options)
    assert mine in shown
    assert "command1" in shown
    assert theirs not in shown
    assert deleted not in shown
