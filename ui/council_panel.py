"""The council at work, and how it came to a finished answer, drawn from one `RunView`.

The panel is beside the answer, or below it on a narrow window: one line for each character, the
votes as bars, the verdict in words, where the answers differ. A click opens a whole answer. The
drawn graph, with the running node lit, is an SVG of our own: nothing is fetched. Below an answer
stand who was missing, who dissented and what it cost.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any, NamedTuple

import streamlit as st

from mom_council.councils.schema import Council
from mom_council.deliberation.events import Heat
from mom_council.deliberation.schedule import voters_of
from mom_council.records import Absence, Ballot, Segment, Status, Usage
from mom_council.runs.follow import RoundView, RunView, SpeakerView
from mom_council.ui import safe, words
from mom_council.ui.panel_rows import find_member, panel_data, speaker_state
from mom_council.ui.safe import plain

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
    notes = words.notes_to_show(status)
    if notes and status.degraded and not missing:
        st.caption(":material/warning: Not everything went as planned; the notes say what.")
    for note in notes:
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
    rate = words.tokens_per_second(one)
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


_WIDE, _HIGH, _GAP, _STEP = 108, 30, 12, 44


_STYLE = (
    "text{fill:currentColor;font:12px sans-serif;text-anchor:middle}"
    "path{fill:none;stroke:currentColor;stroke-opacity:.25}.again{stroke-dasharray:4 3}"
    "rect{fill:currentColor;fill-opacity:.05;stroke:currentColor;stroke-opacity:.3}"
    ".note{opacity:.6;font-size:11px}.on rect{fill:#7c6cf0;fill-opacity:1}"
    ".on text{fill:#fff;font-weight:600}"
)


class _Box(NamedTuple):
    name: str
    shown: str
    x: float
    y: float


def lit(view: RunView) -> frozenset[str]:
    """The nodes that are running."""
    if view.status is not None:
        return frozenset()
    seats = {
        seat.speaker.name
        for one in view.rounds
        for seat in one.seats.values()
        if seat.state == "speaking"
    }
    voices = {voice.speaker.node for voice in view.voices.values() if voice.state == "speaking"}
    waiting = {"thermal_wait"} if view.heat is not None and view.heat.state == "waiting" else set()
    return frozenset(seats | voices | waiting)


def draw_plan(council: Council, on: AbstractSet[str] = frozenset()) -> None:
    """Draw the council's graph; `on` are the nodes that are running, as `lit` finds them."""
    ink = "#fafafa" if st.context.theme.type == "dark" else "#31333f"
    st.image(plan(council, on, ink=ink), alt=f"The graph of the council {council.name}")


def plan(council: Council, on: AbstractSet[str] = frozenset(), *, ink: str = "#31333f") -> str:
    """The council's graph as SVG.

    Args:
        council: whose graph it is.
        on: the nodes that are running.
        ink: the colour of its lines.
    """
    columns = _columns(council)
    tallest = max(len(column) for column in columns)
    height = tallest * (_HIGH + _GAP) + 46
    width = len(columns) * (_WIDE + _STEP) - _STEP + 8
    middle = (height - 26) / 2
    placed: list[list[_Box]] = []
    for number, column in enumerate(columns):
        top = middle - (len(column) * (_HIGH + _GAP) - _GAP) / 2
        x = 4 + number * (_WIDE + _STEP)
        boxes = [
            _Box(name, label, x, top + place * (_HIGH + _GAP))
            for place, (name, label) in enumerate(column)
        ]
        placed.append(boxes)
    parts = [
        _edge(one, other)
        for left, right in itertools.pairwise(placed)
        for one in left
        for other in right
    ]
    parts.append(_again(placed, council, height))
    parts += [_box(box, box.name in on) for boxes in placed for box in boxes]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" height="{height:g}" '
        f'viewBox="0 0 {width:g} {height:g}" color="{ink}">'
        f"<style>{_STYLE}</style>{''.join(parts)}</svg>"
    )


def _columns(council: Council) -> list[list[tuple[str, str]]]:
    columns = [[("__start__", "question")]]
    if council.annotator is not None:
        columns.append([("annotator", "annotator")])
    if council.thermal is not None:
        columns.append([("thermal_wait", "heat watch")])
    columns += [[(name, name) for name in layer] for layer in council.seats]
    if voters_of(council):
        columns.append([("vote", "vote")])
    columns += [[("consensus", "count")], [("synthesizer", "synthesizer")]]
    return columns


def _box(box: _Box, on: bool) -> str:
    label = box.shown if len(box.shown) <= 14 else box.shown[:13] + "…"
    return (
        f'<g class="{"on" if on else "off"}"><title>{plain(box.shown)}</title>'
        f'<rect x="{box.x:g}" y="{box.y:g}" width="{_WIDE}" height="{_HIGH}" rx="8"/>'
        f'<text x="{box.x + _WIDE / 2:g}" y="{box.y + _HIGH / 2 + 4:g}">{plain(label)}</text></g>'
    )


def _edge(one: _Box, other: _Box) -> str:
    x, y = one.x + _WIDE, one.y + _HIGH / 2
    to_x, to_y = other.x, other.y + _HIGH / 2
    bend = (to_x - x) / 2
    path = f"M{x:g} {y:g} C{x + bend:g} {y:g} {to_x - bend:g} {to_y:g} {to_x:g} {to_y:g}"
    return f'<path d="{path}"/>'


def _again(placed: list[list[_Box]], council: Council, height: float) -> str:
    """The one way back: from the count to the first layer, for another round."""
    if council.deliberation.rounds.max < 2:
        return ""
    count = placed[-2][0]
    first = placed[-2 - bool(voters_of(council)) - len(council.seats)][0]
    low = height - 20
    start, end = count.x + _WIDE / 2, first.x + _WIDE / 2
    bottom = max(box.y for boxes in placed for box in boxes if box.x == first.x) + _HIGH
    path = f"M{start:g} {count.y + _HIGH:g} V{low:g} H{end:g} V{bottom:g}"
    note = f'<text class="note" x="{(start + end) / 2:g}" y="{low + 14:g}">another round</text>'
    return f'<path class="again" d="{path}"/>{note}'


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
            draw_plan(council, lit(view) if live else frozenset())
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
