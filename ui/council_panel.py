"""The council at work, and how it came to a finished answer: all of it out of one `RunView`.

It stands beside the answer, or below it on a narrow window: one line or two for each character, the
ballots as bars, the verdict in words. Whole answers open by a click, at full width.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence

import streamlit as st

from mom_council.councils.schema import Council
from mom_council.deliberation.events import Heat
from mom_council.records import Absence, Ballot, Verdict
from mom_council.runs.follow import RoundView, RunView, SpeakerView
from mom_council.runs.words import wait_in_words
from mom_council.ui import floorplan, safe, words
from mom_council.ui.answer import draw_costs

SHOWN_TEXT = 600
"""Characters of an answer's beginning, or of its end while it is written, that a card shows."""
SYNTHESIZER = "synthesizer:synthesizer:0"
PAINTER = "painter:painter:0"
_MARKS = {"waiting": "○", "speaking": "◐", "done": "●", "absent": "✕"}
_COLOURS = 8
_SIGNS = re.compile(r"[#*`|>]+|-{3,}")
"""Markdown's signs, which only disturb in two lines of plain text."""


def draw_panel(
    view: RunView, council: Council | None, *, live: bool, heat_at: float, debug: bool, key: str
) -> None:
    """Everything about how the council works on a question, or worked on it."""
    if view.heat is not None and live:
        draw_heat(view.heat, heat_at)
    _draw_rounds(view, council, live=live, key=key)
    if view.painted is not None and live:
        done = view.painted.step / view.painted.steps
        st.progress(done, text=f"Drawing, step {view.painted.step} of {view.painted.steps}")
    if not live:
        with st.expander("Costs", icon=":material/payments:", key=f"costs-{key}"):
            draw_costs(view.status, view)
    if council is not None:
        with st.expander("The graph", icon=":material/schema:", key=f"graph-{key}"):
            floorplan.draw_plan(council, floorplan.lit(view) if live else frozenset())
    if debug:
        for plan in view.plans[-1:]:
            if plan.unplanned > plan.loads:
                st.caption(f":material/memory: {safe.inline(words.plan(plan))}")
        draw_prompts(view)
    if live:
        for note in view.notes:
            st.caption(f"Note: {safe.inline(note)}")


def draw_record(view: RunView, council: Council | None, *, key: str) -> None:
    """How an earlier question was worked on, with what everybody said."""
    _draw_rounds(view, council, live=False, key=key)
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
    if PAINTER in view.voices:
        return "Drawing the picture"
    return _round_line(view.rounds[-1], view) if view.rounds else "The council reads the question"


def _round_line(one: RoundView, view: RunView) -> str:
    line = f"Round {one.number} of {view.most_rounds}"
    if one.counted is not None:
        return f"{line}: the votes are counted"
    if one.voters:
        return f"{line}: {len(one.ballots) + len(one.unvoted)} of {len(one.voters)} have voted"
    done = sum(seat.state in ("done", "absent") for seat in one.seats.values())
    return f"{line}: {done} of {len(one.seats)} have answered"


def _draw_rounds(view: RunView, council: Council | None, *, live: bool, key: str) -> None:
    if live:
        # What is past stands still, and is drawn all the same: of that only the verdicts.
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


def _draw_round(
    one: RoundView, view: RunView, council: Council | None, *, live: bool, key: str
) -> None:
    for layer in sorted({layer for layer, _ in one.seats}):
        seats = [seat for (at, _), seat in one.seats.items() if at == layer]
        if view.layers > 1:
            st.caption(f"Layer {layer} of {view.layers}")
        for place, seat in enumerate(seats):
            colour = place if council is None else _place_in(council, seat.speaker.name, place)
            name = f"{key}-{one.number}-{layer}-{place}"
            with st.container(key=f"card-{name}", gap=None):
                _draw_card(seat, colour % _COLOURS, live=live)
                if (seat.text or seat.reasoning) and not key.startswith("debate-"):
                    _draw_read(seat, name)
    if one.dropped:
        st.caption(f"Left out by dropout: {safe.inline(', '.join(one.dropped))}")
    draw_votes(one, council, live=live)


def _place_in(council: Council, name: str, otherwise: int) -> int:
    names = [one.name for one in council.characters]
    return names.index(name) if name in names else otherwise


def _draw_card(seat: SpeakerView, colour: int, *, live: bool) -> None:
    """One card: who, on which model, how far, and the beginning or the end of what was said."""
    said, ends = _card_text(seat, live=live)
    calls = "".join(
        f'<div class="mom-call">{safe.plain(words.call(one))}</div>' for one in seat.calls.values()
    )
    side = "mom-end" if ends else "mom-begin"
    st.html(
        f'<div class="mom-head mom-{seat.state}"><span class="mom-face mom-c{colour}" '
        f'aria-hidden="true">{safe.plain(seat.speaker.name[:1].upper())}</span>'
        f"<b>{_MARKS[seat.state]} {safe.plain(seat.speaker.name)}</b>"
        f"<span>{safe.plain(_state(seat))}</span></div>{calls}"
        f'<div class="mom-said {side}"><div>{safe.plain(said)}</div></div>'
    )


def _draw_read(seat: SpeakerView, key: str) -> None:
    st.button(
        "Read",
        key=f"read-{key}",
        type="tertiary",
        help=f"The whole answer of {safe.inline(seat.speaker.name)}",
        on_click=_open_answer,
        args=(seat,),
    )


def _card_text(seat: SpeakerView, *, live: bool) -> tuple[str, bool]:
    """What a card shows, and whether it is the end of it."""
    if seat.state == "absent" and seat.absence is not None:
        return words.absent(seat.absence), False
    if seat.text:
        ends = live and seat.state == "speaking"
        text = seat.text[-SHOWN_TEXT:] if ends else seat.text[:SHOWN_TEXT]
        return " ".join(_SIGNS.sub(" ", text).split()), ends
    if seat.reasoning:
        return f"Thinking … {seat.reasoning[-SHOWN_TEXT:]}", True
    return ("Waiting for the first word …" if seat.state == "speaking" else "Waiting …"), False


def _state(seat: SpeakerView) -> str:
    if seat.state == "absent" and seat.absence is not None:
        return words.REASONS[seat.absence.reason]
    if seat.segment is not None:
        return words.segment_line(seat.segment)
    if seat.state == "speaking" and seat.began:
        if seat.wait is not None:
            return f"{seat.model} · {wait_in_words(seat.wait)}"
        taken = seat.seconds
        # Nobody has counted yet: four characters make about one token.
        rate = len(seat.text + seat.reasoning) / 4 / taken if taken > 0.5 else 0
        return f"{seat.model} · {taken:.1f} s" + (f" · ≈ {rate:.0f} tokens/s" if rate else "")
    return seat.model or seat.state


_READING = "reading"


def _open_answer(seat: SpeakerView) -> None:
    st.session_state[_READING] = seat


def draw_open_answer() -> None:
    """The whole answer of one character, over the page, where somebody asked for it."""
    seat: SpeakerView | None = st.session_state.pop(_READING, None)
    if seat is None:
        return

    @st.dialog(safe.inline(f"{seat.speaker.name}, round {seat.speaker.round}"), width="large")
    def answer() -> None:
        st.caption(safe.inline(_state(seat)))
        if seat.reasoning:
            with st.expander("Thinking"):
                st.markdown(safe.markdown(seat.reasoning))
        with st.container(key="whole-answer"):
            st.markdown(safe.markdown(seat.text) or "Nothing yet.")

    answer()


def wants_to_read() -> bool:
    """Whether somebody asked for a whole answer since the page was drawn."""
    return _READING in st.session_state


def draw_votes(a_round: RoundView, council: Council | None, *, live: bool) -> None:
    """The ballots of a round, its count, and the verdict in a sentence."""
    counted = a_round.counted
    if counted is not None:
        if counted.verdict.options and counted.verdict.leader:
            threshold = council.deliberation.threshold if council is not None else None
            st.html(bars(counted.verdict, threshold))
        draw_verdict(a_round)
    if a_round.ballots or a_round.unvoted:
        draw_ballots(a_round.ballots, a_round.unvoted)
    elif a_round.voters and counted is None and live:
        st.caption(f"{len(a_round.voters)} are voting …")


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
        line = f'<i style="left:{threshold:.1%}" title="{threshold:.0%} are needed"></i>'
    rows = []
    for option in verdict.options[:12]:
        who = ", ".join(option.members)
        name = f"{option.answer[:80]} ({who})" if option.answer else who
        width = f'<b style="width:{min(option.share, 1):.1%}"></b>'
        rows.append(
            f"<div class='mom-option'><span>{safe.plain(name)}</span>"
            f"<span>{option.share:.0%}</span></div><div class='mom-bar'>{width}{line}</div>"
        )
    needed = f" · {threshold:.0%} needed" if threshold is not None else ""
    return f"<div class='mom-foot'>{safe.plain(verdict.method)}{needed}</div>{''.join(rows)}"


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
