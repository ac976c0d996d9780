"""The council at work, and how it came to a finished answer: all of it out of one `RunView`.

It stands beside the answer, or below it on a narrow window: one line for each character, the votes
as bars, the verdict in words, where the answers differ. Whole answers open by a click.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import streamlit as st

from mom_council.councils.schema import Council
from mom_council.deliberation.events import Heat
from mom_council.records import Absence, Ballot
from mom_council.runs.follow import RoundView, RunView, SpeakerView
from mom_council.ui import floorplan, safe, words
from mom_council.ui.answer import draw_costs
from mom_council.ui.panel_rows import find_member, panel_data, speaker_state

SYNTHESIZER = "synthesizer:synthesizer:0"
COMPARISON = "comparison:comparison:0"
PAINTER = "painter:painter:0"


def draw_panel(
    view: RunView,
    council: Council | None,
    *,
    live: bool,
    heat_at: float,
    debug: bool,
    key: str,
    draw_comparison: Callable[[], None] | None = None,
) -> None:
    """Everything about how the council works on a question, or worked on it."""
    if view.heat is not None and live:
        draw_heat(view.heat, heat_at)
    _draw_members(view, council, live=live, key=key, opens=True)
    if view.painted is not None and live:
        done = view.painted.step / view.painted.steps
        st.progress(done, text=f"Drawing, step {view.painted.step} of {view.painted.steps}")
    if draw_comparison is not None:
        draw_comparison()
    if not live:
        with st.expander("Costs", icon=":material/payments:", key=f"costs-{key}"):
            draw_costs(view.status, view)
    if council is not None:
        with st.expander("The graph", icon=":material/schema:", key=f"graph-{key}"):
            floorplan.draw_plan(council, floorplan.lit(view) if live else frozenset())
    if debug:
        _draw_loads(view)
        draw_prompts(view)
    if live:
        for note in view.notes:
            st.caption(f"Note: {safe.inline(note)}")


def _draw_loads(view: RunView) -> None:
    for plan in view.plans[-1:]:
        if plan.unplanned > plan.loads:
            st.caption(f":material/memory: {safe.inline(words.plan(plan))}")


def draw_record(view: RunView, council: Council | None, *, key: str) -> None:
    """How an earlier question was worked on, with what everybody said."""
    _draw_members(view, council, live=False, key=key, opens=False)
    for one in view.rounds:
        for seat in one.seats.values():
            if seat.text:
                name = f"{seat.speaker.name}, round {one.number}"
                with st.expander(safe.inline(name), icon=":material/chat:"):
                    st.markdown(safe.markdown(seat.text))


def progress(view: RunView, *, live: bool) -> str:
    """How far the question has got, in one line; the whole answer's verdict once there is one."""
    if view.status is not None:
        return words.headline(view.status)
    if not live:
        return "Stopped"
    writing = view.voices.get(SYNTHESIZER)
    if writing is not None and writing.text:
        return "Writing the answer"
    if COMPARISON in view.voices and writing is None:
        return "Comparing the answers"
    if PAINTER in view.voices:
        return "Drawing the picture"
    if not view.rounds:
        return "The council reads the question"
    line = _round_line(view.rounds[-1], view)
    before = [one.counted.verdict for one in view.rounds if one.counted is not None]
    if before and before[-1].leader:
        line += f" · so far {words.leading(before[-1])}"
    return line


def _round_line(one: RoundView, view: RunView) -> str:
    line = f"Round {one.number} of {view.most_rounds}" if view.most_rounds > 1 else "The council"
    if one.counted is not None:
        return f"{line}: the votes are counted"
    if one.voters:
        return f"{line}: {len(one.ballots) + len(one.unvoted)} of {len(one.voters)} have voted"
    done = sum(seat.state in ("done", "absent") for seat in one.seats.values())
    return f"{line}: {done} of {len(one.seats)} have answered"


_PANEL_SCRIPT = (Path(__file__).parent / "panel.js").read_text(encoding="utf-8")
_PANEL_HTML = """
<div class="mom-panel">
  <div class="mom-steps"></div><div></div><div class="mom-folds"></div>
</div>
"""


def _draw_members(
    view: RunView, council: Council | None, *, live: bool, key: str, opens: bool
) -> None:
    """The rounds, as one element that draws itself in the browser."""
    panel = st.components.v2.component(
        "mom_panel", html=_PANEL_HTML, js=_PANEL_SCRIPT, isolate_styles=False
    )
    data = panel_data(view, council, live=live, opens=opens)
    with st.container(key=f"panel-{key}"):
        result = panel(key=f"members-{key}", data=data, on_open_change=_nothing)
    seat = find_member(view, str(result.open)) if opens and result.open else None
    if seat is not None:
        st.session_state[_READING] = seat
        if live:
            st.rerun()


def _nothing() -> None:
    """What a click does is seen in the result; a trigger has to have a callback all the same."""


_READING = "reading"


def draw_open_answer() -> None:
    """The whole answer of one character, over the page, where somebody asked for it."""
    seat: SpeakerView | None = st.session_state.pop(_READING, None)
    if seat is None:
        return

    @st.dialog(safe.inline(f"{seat.speaker.name}, round {seat.speaker.round}"), width="large")
    def answer() -> None:
        st.caption(safe.inline(speaker_state(seat)))
        if seat.reasoning:
            with st.expander("Thinking"):
                st.markdown(safe.markdown(seat.reasoning))
        with st.container(key="whole-answer"):
            st.markdown(safe.markdown(seat.text) or "Nothing yet.")

    answer()


def wants_to_read() -> bool:
    """Whether somebody asked for a whole answer since the page was drawn."""
    return _READING in st.session_state


def draw_ballots(ballots: Sequence[Ballot], unvoted: Sequence[Absence] = ()) -> None:
    """Who voted for what, each with its reason by a click; and who did not vote, and why."""
    rows = [_ballot(vote) for vote in ballots]
    rows += [
        f"<li><b>{safe.plain(one.character)}</b> <span class='mom-absent'>"
        f"{safe.plain(words.REASONS[one.reason])}</span></li>"
        for one in unvoted
    ]
    st.html(f"<ul class='mom-ballots' aria-label='Ballots'>{''.join(rows)}</ul>")


def _ballot(vote: Ballot) -> str:
    reason = " ".join((vote.reason or vote.unread).split())
    head = f"<b>{safe.plain(vote.voter)}</b> → {safe.plain(words.ballot(vote))}"
    if not reason:
        return f"<li>{head}</li>"
    return f"<li><details><summary>{head}</summary>{safe.plain(reason)}</details></li>"


def draw_heat(heat: Heat, since: float) -> None:
    """The GPU's temperature; while the council waits for it, with the countdown."""
    passed = time.monotonic() - since
    line = words.heat(heat, passed)
    if heat.state == "waiting":
        whole = heat.waited + heat.remaining
        waited = min(1.0, (heat.waited + passed) / whole) if whole else 1.0
        st.progress(waited, text=f"🌡️ {safe.inline(line)}")
    elif heat.state == "gave_up":
        st.warning(safe.inline(line), icon="🌡️")
    else:
        st.caption(f"🌡️ {safe.inline(line)}")


def draw_prompts(view: RunView) -> None:
    """Every prompt and every reply, as they were sent and came."""
    speakers = [seat for one in view.rounds for seat in one.seats.values()]
    speakers += view.voices.values()
    with st.expander("Prompts and replies", icon=":material/bug_report:"):
        if not any(one.prompt for one in speakers):
            st.caption("Kept for questions that are asked with Show prompts on; see Traces.")
            return
        for one in speakers:
            _draw_exchange(one)


def _draw_exchange(one: SpeakerView) -> None:
    who = one.speaker
    st.markdown(f"**{safe.inline(who.name)}** · {who.node} · round {who.round}")
    for role, text in one.prompt:
        st.caption(role)
        st.code(text, language=None, wrap_lines=True, height=160)
    if one.text or one.reasoning:
        st.caption("reply")
        st.code((one.reasoning + "\n\n" + one.text).strip(), language=None, wrap_lines=True)
