"""The cards of those who speak: one a character, side by side, filling as the tokens come."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

import streamlit as st

from mom_council.graph.follow import RoundView, RunView, SpeakerView
from mom_council.ui import safe, words

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
