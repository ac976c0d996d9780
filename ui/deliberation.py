"""The cards of those who speak: one a character, side by side, filling as the tokens come.

The course of a deliberation: rounds as a timeline, ballots as bars, the verdict in words.

The council at work, and how it came to a finished answer: all of it out of one `RunView`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

import streamlit as st

from mom_council.councils.schema import Council
from mom_council.deliberation.events import Heat
from mom_council.records import Ballot, Verdict
from mom_council.runs.follow import RoundView, RunView, SpeakerView
from mom_council.ui import floorplan, safe, words
from mom_council.ui.answer import draw_costs

LIVE_TEXT = 1_500
"""Characters of a card's end that are sent while it fills: four times a second, for each card."""
_HEIGHT = 150
_MARKS = {"waiting": "○", "speaking": "◐", "done": "●", "absent": "✕"}


def draw_round(a_round: RoundView, view: RunView, *, live: bool, key: str) -> None:
    """The cards of one round, a row of them for each layer."""
    for layer in sorted({layer for layer, _ in a_round.seats}):
        seats = [seat for (at, _), seat in a_round.seats.items() if at == layer]
        if view.layers > 1:
            st.caption(f"Layer {layer} of {view.layers}")
        for row, some in enumerate(_rows(seats)):
            columns = st.columns(len(some), gap="small")
            for place, (column, seat) in enumerate(zip(columns, some, strict=True)):
                name = f"card-{key}-{a_round.number}-{layer}-{row}-{place}"
                with column, st.container(border=True, key=name, gap="xsmall"):
                    draw_card(seat, live=live, key=f"text-{name}")
    if a_round.dropped:
        st.caption(f"Left out by dropout: {safe.inline(', '.join(a_round.dropped))}")


def draw_card(seat: SpeakerView, *, live: bool, key: str) -> None:
    """One card: who, on which model, how far, and what was said."""
    st.html(_head(seat))
    # A fixed height while it fills, so that nothing below it jumps.
    height: Any = _HEIGHT if live else "content"
    with st.container(height=height, border=False, autoscroll=live, key=key):
        for told in seat.calls.values():
            st.caption(f":material/build: {safe.inline(words.call(told))}")
        if seat.state == "absent" and seat.absence is not None:
            st.markdown(safe.markdown(words.absent(seat.absence), longest=600))
        elif seat.text:
            st.markdown(safe.markdown(_shown(seat.text, live=live)))
        elif seat.reasoning:
            st.caption("Thinking …\n\n" + safe.markdown(seat.reasoning[-400:]))
        else:
            st.caption("Waiting for the first word …" if seat.state == "speaking" else "Waiting …")


def _shown(text: str, *, live: bool) -> str:
    if not live or len(text) <= LIVE_TEXT:
        return text
    # From a line's beginning, where there is one near: half a list item is no list item.
    tail = text[-LIVE_TEXT:]
    line = tail.find("\n")
    return "… " + (tail[line + 1 :] if 0 <= line < LIVE_TEXT // 2 else tail)


def _head(seat: SpeakerView) -> str:
    return (
        f'<div class="mom-head mom-{seat.state}"><b>{_MARKS[seat.state]} '
        f"{safe.plain(seat.speaker.name)}</b><span>{safe.plain(_state(seat))}</span></div>"
        f'<div class="mom-foot">{safe.plain(_foot(seat))}</div>'
    )


def _state(seat: SpeakerView) -> str:
    if seat.state == "absent" and seat.absence is not None:
        return words.REASONS[seat.absence.reason]
    return seat.state


def _foot(seat: SpeakerView) -> str:
    if seat.segment is not None:
        return words.segment_line(seat.segment)
    if seat.state == "speaking" and seat.began:
        taken = time.monotonic() - seat.began
        # Nobody has counted yet: four characters make about one token.
        rate = len(seat.text + seat.reasoning) / 4 / taken if taken > 0.5 else 0
        return f"{seat.model} · {taken:.1f} s" + (f" · ≈ {rate:.0f} tokens/s" if rate else "")
    return seat.model or "\u00a0"


def _rows(seats: Sequence[SpeakerView]) -> Iterator[Sequence[SpeakerView]]:
    """Rows of at most four cards, as even as they get."""
    rows = -(-len(seats) // 4)
    for row in range(rows):
        yield seats[len(seats) * row // rows : len(seats) * (row + 1) // rows]


_LONGEST_REASON = 160


def draw_timeline(view: RunView, *, live: bool) -> None:
    """The rounds so far, one step after another, and what is going on now."""
    steps = [_step(one, view, live=live) for one in view.rounds]
    if live and view.status is None and not view.rounds:
        steps.append(("The council is listening", True))
    writing = view.voices.get("synthesizer:synthesizer:0")
    if writing is not None or view.status is not None:
        now = live and view.status is None
        steps.append(("Writing the answer" if now else "Answered", now))
    chips = "".join(
        f'<span class="mom-step{" mom-now" if now else ""}">{safe.plain(text)}</span>'
        for text, now in steps
    )
    st.html(f'<div class="mom-steps">{chips}</div>')


def draw_votes(a_round: RoundView, council: Council | None) -> None:
    """The ballots of a round, its count, and the verdict in a sentence."""
    counted = a_round.counted
    if a_round.ballots or a_round.unvoted:
        st.html(_ballots(a_round))
    elif a_round.voters and counted is None:
        st.caption(f"{len(a_round.voters)} are voting …")
    if counted is None:
        return
    if counted.verdict.options and counted.verdict.leader:
        threshold = council.deliberation.threshold if council is not None else None
        st.html(bars(counted.verdict, threshold))
    draw_verdict(a_round)


def draw_verdict(a_round: RoundView, *, named: bool = False) -> None:
    """The verdict of a round in a sentence; `named` with the round's number before it."""
    if a_round.counted is None or not a_round.counted.why:
        return
    why = a_round.counted.why
    title = f"Round {a_round.number}" if named else "Verdict"
    st.markdown(f"**{title}:** {safe.inline(why[:1].upper() + why[1:])}.")


def bars(verdict: Verdict, threshold: float | None) -> str:
    """The options and their shares as bars, with the threshold as a line across them."""
    line = ""
    if threshold is not None:
        line = f'<i style="left:{threshold:.1%}" title="threshold {threshold:.0%}"></i>'
    rows = []
    for option in verdict.options[:12]:
        who = ", ".join(option.members)
        told = f"{option.answer[:60]} ({who})" if option.answer else who
        width = f'<b style="width:{min(option.share, 1):.1%}"></b>'
        rows.append(
            f"<tr><td>{safe.plain(told)}</td><td class='mom-bar'><div>{width}{line}</div></td>"
            f"<td>{option.share:.0%}</td></tr>"
        )
    head = f"threshold {threshold:.0%}" if threshold is not None else ""
    return (
        f'<table class="mom-table"><caption>{safe.plain(verdict.method)} · {head}</caption>'
        f"{''.join(rows)}</table>"
    )


def _ballots(a_round: RoundView) -> str:
    rows = [_ballot(vote) for vote in a_round.ballots]
    rows += [
        f"<tr><td>{safe.plain(one.character)}</td><td class='mom-absent'>"
        f"{safe.plain(words.REASONS[one.reason])}</td><td></td></tr>"
        for one in a_round.unvoted
    ]
    head = "<tr><th>voter</th><th>votes for</th><th>because</th></tr>"
    return f'<table class="mom-table">{head}{"".join(rows)}</table>'


def _ballot(vote: Ballot) -> str:
    reason = " ".join((vote.reason or vote.unread).split())
    short = reason[:_LONGEST_REASON] + ("…" if len(reason) > _LONGEST_REASON else "")
    return (
        f"<tr><td>{safe.plain(vote.voter)}</td><td><b>{safe.plain(words.ballot(vote))}</b></td>"
        f"<td>{safe.plain(short)}</td></tr>"
    )


def _step(one: RoundView, view: RunView, *, live: bool) -> tuple[str, bool]:
    told = f"Round {one.number} of {view.most_rounds}"
    if one.counted is not None:
        verdict = one.counted.verdict
        if verdict.leader and verdict.share:
            told += f": {verdict.leader} leads, {verdict.share:.0%}"
        return told, False
    if not live or one is not view.rounds[-1]:
        return told, False
    if one.voters:
        return f"{told}: voting, {len(one.ballots) + len(one.unvoted)} of {len(one.voters)}", True
    done = sum(seat.state in ("done", "absent") for seat in one.seats.values())
    return f"{told}: speaking, {done} of {len(one.seats)} done", True


SYNTHESIZER = "synthesizer:synthesizer:0"
PAINTER = "painter:painter:0"


def draw_work(view: RunView, council: Council | None, *, live: bool, key: str) -> None:
    """The rounds: cards, ballots, verdicts."""
    draw_timeline(view, live=live)
    for plan in view.plans[-1:]:
        if plan.unplanned > plan.loads:
            st.caption(f":material/memory: {safe.inline(words.plan(plan))}")
    if live:
        # What is past stands still, and is redrawn all the same: of that only the verdicts.
        for one in view.rounds[:-1]:
            draw_verdict(one, named=True)
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
    draw_round(one, view, live=live, key=key)
    draw_votes(one, council)


def _draw_exchange(one: SpeakerView) -> None:
    who = one.speaker
    st.markdown(f"**{safe.inline(who.name)}** · {who.node} · round {who.round}")
    for role, text in one.prompt:
        st.caption(role)
        st.code(text, language=None, wrap_lines=True, height=160)
    if one.text or one.reasoning:
        st.caption("reply")
        st.code((one.reasoning + "\n\n" + one.text).strip(), language=None, wrap_lines=True)
