"""What stands with an answer: how it came about, who was missing, who dissented, what it cost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import streamlit as st

from mom_council.records import Segment, Status, Usage
from mom_council.runs.follow import RunView
from mom_council.ui import safe, words

_NODES = {
    "character": "speaks",
    "vote": "votes",
    "comparison": "compares",
    "synthesizer": "writes",
    "annotator": "reads",
    "image_reader": "looks",
}


def draw_label(status: Status) -> None:
    """The honest label under an answer."""
    st.caption(safe.inline(words.cost(status.usage, status.seconds)))
    if missing := words.missing(status):
        st.caption(f":material/person_off: {safe.inline(missing)}")
    elif status.degraded:
        st.caption(":material/warning: A step failed on the way; the notes say which.")
    for note in dict.fromkeys(status.notes):
        st.caption(f"Note: {safe.inline(note)}")
    for line in words.joined(status):
        st.caption(f":material/how_to_vote: {safe.inline(line)}.")
    if status.dissent:
        who = ", ".join(status.dissent)
        title = f"What {who} would say instead" if len(status.dissent) < 4 else "Who disagrees"
        with st.expander(safe.inline(title), icon=":material/alt_route:"):
            if len(status.dissent) > 3:
                st.caption(safe.inline(who))
            if status.minority_report:
                st.markdown(safe.markdown(status.minority_report))
            else:
                st.caption("Their last proposals are among the cards.")


def draw_past_label(label: Mapping[str, Any]) -> None:
    """What an earlier answer says of itself: `response_metadata["council"]` of its message."""
    lines = [f"Council: {label.get('name') or 'unknown'}"]
    if spoke := label.get("spoke"):
        lines.append(f"Spoke: {', '.join(map(str, spoke))}")
    for one in label.get("absent") or ():
        reason = words.REASONS.get(one.get("reason"), str(one.get("reason")))
        lines.append(f"Absent: {one.get('character')} {reason}")
    stop, share = label.get("stop_reason"), label.get("share")
    if stop:
        percent = f" ({share:.0%} for the leading answer)" if share else ""
        if share and (sure := label.get("confidence")) is not None:
            percent = f" ({share:.0%} for the leading answer, right with {sure:.0%})"
        lines.append(f"Stopped because {words.STOPS.get(stop, stop)}{percent}")
    lines += words.disagreement([str(one) for one in label.get("dissent") or ()])
    if joined := label.get("joined"):
        who = ", ".join(map(str, joined))
        lines.append(f"{who} proposed another answer, then voted with the others")
    lines.append(f"Rounds: {label.get('rounds', '?')}")
    if writer := label.get("written_by"):
        lines.append(f"Written by {writer}" + (", after a failure" * bool(label.get("degraded"))))
    for line in lines:
        st.caption(safe.inline(line))


def draw_costs(status: Status | None, view: RunView) -> None:
    """Cost, calls, tokens and time: of each speaking, and of all."""
    segments = list(segments_of(view))
    if not segments:
        st.caption("Nothing has been spent yet.")
        return
    rows = "".join(_row(one) for one in segments)
    usage = status.usage if status is not None else sum((s.usage for s in segments), Usage())
    seconds = status.seconds if status is not None else usage.seconds
    head = "".join(
        f"<th>{name}</th>"
        for name in ("who", "model", "seconds", "calls", "in", "out", "tokens/s", "price")
    )
    total = (
        f"<tr class='mom-total'><td>In total</td><td></td><td>{seconds:.1f}</td>"
        f"<td>{usage.calls}</td><td>{_count(usage.input_tokens)}</td>"
        f"<td>{_count(usage.output_tokens)}</td><td></td><td>{words.money(usage.usd)}</td></tr>"
    )
    st.html(f'<table class="mom-table mom-costs"><tr>{head}</tr>{rows}{total}</table>')


def segments_of(view: RunView) -> Iterable[Segment]:
    """Every speaking that has ended, in the order of the rounds."""
    voices = [
        one for voice in view.voices.values() for one in (*voice.earlier, voice.segment) if one
    ]
    yield from (one for one in voices if one.node in ("classifier", "image_reader", "annotator"))
    for a_round in view.rounds:
        yield from (seat.segment for seat in a_round.seats.values() if seat.segment is not None)
        yield from (one for one in voices if one.node == "vote" and one.round == a_round.number)
    yield from (one for one in voices if one.node in ("comparison", "synthesizer", "painter"))


def _row(one: Segment) -> str:
    what = _NODES.get(one.node, one.node)
    who = one.name if one.name == one.node else f"{one.name} {what}"
    who += f", round {one.round}" if one.round else ""
    rate = words.speed(one)
    cells = (
        who,
        one.model,
        f"{one.usage.seconds:.1f}",
        str(one.usage.calls),
        _count(one.usage.input_tokens),
        _count(one.usage.output_tokens),
        f"{rate:.0f}" if rate else "",
        words.money(one.usage.usd),
    )
    return "<tr>" + "".join(f"<td>{safe.plain(cell)}</td>" for cell in cells) + "</tr>"


def _count(tokens: int | None) -> str:
    return "?" if tokens is None else f"{tokens:,}"
