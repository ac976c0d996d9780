"""The council at work, and how it came to a finished answer: all of it out of one `RunView`."""

from __future__ import annotations

import time

import streamlit as st

from mom_council.councils.schema import Council
from mom_council.graph.events import Heat
from mom_council.graph.follow import RoundView, RunView, SpeakerView
from mom_council.ui import cards, floorplan, rounds, safe, words
from mom_council.ui.answer import draw_costs

SYNTHESIZER = "synthesizer:synthesizer:0"
PAINTER = "painter:painter:0"


def draw_work(view: RunView, council: Council | None, *, live: bool, key: str) -> None:
    """The rounds: cards, ballots, verdicts."""
    rounds.draw_timeline(view, live=live)
    for plan in view.plans[-1:]:
        if plan.unplanned > plan.loads:
            st.caption(f":material/memory: {safe.inline(words.plan(plan))}")
    if live:
        # What is past stands still, and is redrawn all the same: of that only the verdicts.
        for one in view.rounds[:-1]:
            rounds.draw_verdict(one, named=True)
        for one in view.rounds[-1:]:
            _draw_round(one, view, council, live=True, key=key)
        return
    if len(view.rounds) < 2:
        for one in view.rounds:
            _draw_round(one, view, council, live=False, key=key)
        return
    names = [f"Round {one.number}" for one in view.rounds]
    tabs = st.tabs(names, default=names[-1], key=f"rounds-{key}")
    for one, tab in zip(view.rounds, tabs, strict=True):
        with tab:
            _draw_round(one, view, council, live=False, key=key)


def draw_running(view: RunView, council: Council, *, heat_at: float, debug: bool, key: str) -> None:
    """Everything about a question on its way."""
    if view.heat is not None:
        draw_heat(view.heat, heat_at)
    with st.expander("The graph", icon=":material/schema:", key=f"graph-{key}"):
        floorplan.draw_plan(council, floorplan.lit(view))
    draw_work(view, council, live=True, key=key)
    writing = view.voices.get(SYNTHESIZER) or view.voices.get(PAINTER)
    if view.painted is not None:
        done = view.painted.step / view.painted.steps
        st.progress(done, text=f"Drawing, step {view.painted.step} of {view.painted.steps}")
    if writing is not None:
        st.markdown(safe.markdown(writing.text) or "…")
    for note in view.notes:
        st.caption(f"Note: {safe.inline(note)}")
    if debug:
        draw_prompts(view)


def draw_work_done(
    view: RunView, council: Council | None, *, debug: bool, key: str, is_open: bool
) -> None:
    """How the council came to the last answer, folded once there is one."""
    title = words.headline(view.status) if view.status is not None else "The council at work"
    with st.expander(safe.inline(title), expanded=is_open, icon=":material/groups:"):
        work, costs, graph = st.tabs(["Cards and votes", "Costs", "The graph"], key=f"tabs-{key}")
        with work:
            draw_work(view, council, live=False, key=key)
        with costs:
            draw_costs(view.status, view)
        with graph:
            if council is not None:
                floorplan.draw_plan(council)
    if debug:
        draw_prompts(view)


def draw_heat(heat: Heat, since: float) -> None:
    """The GPU's temperature; while the council waits for it, with the countdown."""
    passed = time.monotonic() - since
    told = words.heat(heat, passed)
    if heat.state == "waiting":
        whole = heat.waited + heat.remaining
        waited = min(1.0, (heat.waited + passed) / whole) if whole else 1.0
        st.progress(waited, text=f"🌡️ {safe.inline(told)}")
    elif heat.state == "gave_up":
        st.warning(safe.inline(told), icon="🌡️")
    else:
        st.caption(f"🌡️ {safe.inline(told)}")


def draw_prompts(view: RunView) -> None:
    """Every prompt and every reply, as they were sent and came."""
    speakers = [seat for one in view.rounds for seat in one.seats.values()]
    speakers += view.voices.values()
    with st.expander("Prompts and replies", icon=":material/bug_report:"):
        if not any(one.prompt for one in speakers):
            st.caption("Kept for questions that are asked with the debug view on; see Traces.")
            return
        for one in speakers:
            _draw_exchange(one)


def _draw_round(
    one: RoundView, view: RunView, council: Council | None, *, live: bool, key: str
) -> None:
    cards.draw_round(one, view, live=live, key=key)
    rounds.draw_votes(one, council)


def _draw_exchange(one: SpeakerView) -> None:
    who = one.speaker
    st.markdown(f"**{safe.inline(who.name)}** · {who.node} · round {who.round}")
    for role, text in one.prompt:
        st.caption(role)
        st.code(text, language=None, wrap_lines=True, height=160)
    if one.text or one.reasoning:
        st.caption("reply")
        st.code((one.reasoning + "\n\n" + one.text).strip(), language=None, wrap_lines=True)
