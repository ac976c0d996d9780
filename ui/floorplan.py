"""The drawn graph of a council, the running node lit. An SVG of our own: nothing is fetched."""

from __future__ import annotations

import itertools
from collections.abc import Set as AbstractSet
from typing import NamedTuple

import streamlit as st

from mom_council.councils.schema import Council
from mom_council.deliberation.schedule import voters_of
from mom_council.runs.follow import RunView
from mom_council.ui.safe import plain

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
            _Box(name, shown, x, top + place * (_HIGH + _GAP))
            for place, (name, shown) in enumerate(column)
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
    shown = box.shown if len(box.shown) <= 14 else box.shown[:13] + "…"
    return (
        f'<g class="{"on" if on else "off"}"><title>{plain(box.shown)}</title>'
        f'<rect x="{box.x:g}" y="{box.y:g}" width="{_WIDE}" height="{_HIGH}" rx="8"/>'
        f'<text x="{box.x + _WIDE / 2:g}" y="{box.y + _HIGH / 2 + 4:g}">{plain(shown)}</text></g>'
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
