"""The characters of a draft: layers and names on the left, the form of one on the right."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st

from mom_council.councils.schema import Character
from mom_council.ui import draft as drafts
from mom_council.ui.draft import Draft, at, characters
from mom_council.ui.editing import Editing, editing, redraw
from mom_council.ui.safe import inert
from mom_council.ui.schema_form import complain, draw_section


def draw_characters(work: Editing) -> None:
    """Draw every layer, who is in no layer, and the form of the chosen character."""
    left, right = st.columns([1, 2.2], gap="medium")
    with left, st.container(gap="xsmall"):
        _draw_list(work)
    with right:
        _draw_form(work)


def _draw_list(work: Editing) -> None:
    rows = drafts.columns(work.draft)
    without_layer = drafts.unseated(work.draft)
    for place, row in enumerate(rows):
        apart = bool(without_layer) and place == len(rows) - 1
        st.caption(_title(place, len(rows) - bool(without_layer), apart=apart))
        for index in row:
            _draw_name(work, index)
        if not apart:
            complain(("layers", place), within=True)
            st.button(
                "Add a character",
                key=f"add-{place}",
                icon=":material/person_add:",
                type="tertiary",
                on_click=_add,
                args=(place,),
            )


def _title(place: int, layers: int, *, apart: bool) -> str:
    if apart:
        return "In no layer"
    if layers < 2:
        return "One layer: all speak at once"
    return f"Layer {place + 1}" + (" · reads the layer before" if place else " · speaks first")


def _draw_name(work: Editing, index: int) -> None:
    one = characters(work.draft)[index]
    wrong = any(path[:2] == ("characters", index) for path in work.faults)
    weight = one.get("weight", 1)
    about = inert(one.get("model") or "no model", 64)
    about += f" · weight {inert(weight, 20)}" if weight != 1 else ""
    with st.container(key=f"seat-{index}", gap=None):
        st.button(
            f"**{inert(one.get('name') or '(no name)', 64)}**  \n:small[{about}]",
            key=f"edit-{index}",
            type="primary" if work.chosen == index else "secondary",
            icon=":material/error:" if wrong else None,
            width="stretch",
            on_click=_choose,
            args=(index,),
        )


def _draw_form(work: Editing) -> None:
    index = work.chosen
    if index is None or not 0 <= index < len(characters(work.draft)):
        st.caption("Choose a character to edit it.")
        return
    with st.container(border=True, key="character"):
        with st.container(horizontal=True, gap="small", horizontal_alignment="right"):
            for icon, key, word, to in _ACTIONS:
                st.button(
                    f":material/{icon}:",
                    key=f"{key}-{index}",
                    help=word,
                    type="tertiary",
                    disabled=to(work.draft, index) == work.draft,
                    on_click=_act,
                    args=(to, index),
                )
        draw_section(Character, ("characters", index))


_ACTIONS: tuple[tuple[str, str, str, Callable[[Draft, int], Draft]], ...] = (
    ("arrow_upward", "up", "Move up", lambda draft, index: drafts.move(draft, index, -1)),
    ("arrow_downward", "down", "Move down", lambda draft, index: drafts.move(draft, index, 1)),
    ("arrow_back", "left", "To the layer before", lambda d, index: drafts.shift(d, index, -1)),
    ("arrow_forward", "right", "To the next layer", lambda d, index: drafts.shift(d, index, 1)),
    ("content_copy", "copy", "Duplicate", drafts.duplicate),
    ("delete", "remove", "Remove", drafts.remove),
)


def _choose(index: int) -> None:
    editing().chosen = index


def _act(to: Callable[[Draft, int], Draft], index: int) -> None:
    """Do it, and go on with the same character, or with the copy."""
    work = editing()
    before, changed = work.draft, to(work.draft, index)
    more = len(characters(changed)) - len(characters(before))
    chosen = work.chosen
    if chosen is not None and more == 0:
        same: Any = at(before, ("characters", chosen))
        chosen = next((i for i, one in enumerate(characters(changed)) if one == same), chosen)
    elif more > 0:
        chosen = index + 1
    elif chosen is not None and chosen >= index:
        chosen = max(0, chosen - 1)
    redraw(changed, chosen)


def _add(layer: int) -> None:
    work = editing()
    redraw(drafts.add_character(work.draft, layer), len(characters(work.draft)))
