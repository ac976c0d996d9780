"""The board: the layers as columns, a card for each character, and what can be done with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st

from mom_council.ui import draft as drafts
from mom_council.ui.draft import Draft, at, characters
from mom_council.ui.editor.editing import Editing, editing, redraw
from mom_council.ui.editor.fields import complain
from mom_council.ui.safe import inert


def draw(work: Editing) -> None:
    """Draw every layer, and who sits in no layer."""
    rows = drafts.columns(work.draft)
    lost = drafts.unseated(work.draft)
    for place, (column, row) in enumerate(zip(st.columns(len(rows)), rows, strict=True)):
        with column:
            apart = bool(lost) and place == len(rows) - 1
            many = len(rows) - bool(lost) > 1
            st.caption(_title(place, many, apart))
            for index in row:
                _card(work, index)
            if not apart:
                complain(("layers", place), within=True)
                _add(place)


def _title(place: int, many: bool, apart: bool) -> str:
    if apart:
        return "Not seated"
    if not many:
        return "One layer: all speak at once"
    return f"Layer {place + 1}" + (" · reads the layer before" if place else " · speaks first")


def _card(work: Editing, index: int) -> None:
    one = characters(work.draft)[index]
    with (
        st.container(border=True, key=f"seat-{index}"),
        st.container(
            horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"
        ),
    ):
        with st.container(width="content", gap="xxsmall"):
            name = f"**{inert(one.get('name') or '(no name)', 64)}**"
            looked_at = work.chosen == index
            st.markdown(f":primary[:material/arrow_right: {name}]" if looked_at else name)
            st.caption(_about(one))
            wrong = sum(path[:2] == ("characters", index) for path in work.faults)
            if wrong:
                st.caption(f":red[:material/error: {wrong} to mend]")
        with st.container(horizontal=True, gap="small", width="content"):
            _buttons(work, index)


def _about(one: dict[str, Any]) -> str:
    weight = one.get("weight", 1)
    told = f" · weight {inert(weight, 20)}" if weight != 1 else ""
    return inert(one.get("model") or "no model", 64) + told


def _buttons(work: Editing, index: int) -> None:
    st.button(
        ":material/edit:",
        key=f"edit-{index}",
        help="Edit",
        type="tertiary",
        on_click=_look_at,
        args=(index,),
    )
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


_ACTIONS: tuple[tuple[str, str, str, Callable[[Draft, int], Draft]], ...] = (
    ("arrow_upward", "up", "Move up", lambda draft, index: drafts.move(draft, index, -1)),
    ("arrow_downward", "down", "Move down", lambda draft, index: drafts.move(draft, index, 1)),
    ("arrow_back", "left", "To the layer before", lambda d, index: drafts.shift(d, index, -1)),
    ("arrow_forward", "right", "To the next layer", lambda d, index: drafts.shift(d, index, 1)),
    ("content_copy", "copy", "Duplicate", drafts.duplicate),
    ("delete", "remove", "Remove", drafts.remove),
)


def _look_at(index: int) -> None:
    editing().chosen = index


def _act(to: Callable[[Draft, int], Draft], index: int) -> None:
    """Do it, and go on looking at the same character, or at the copy."""
    work = editing()
    before, made = work.draft, to(work.draft, index)
    grown = len(characters(made)) - len(characters(before))
    followed = work.chosen
    if followed is not None and grown == 0:
        name = at(before, ("characters", followed))
        followed = next((i for i, one in enumerate(characters(made)) if one == name), followed)
    elif grown > 0:
        followed = index + 1
    elif followed is not None and followed >= index:
        followed = max(0, followed - 1)
    redraw(made, followed)


def _add(layer: int) -> None:
    st.button(
        "Add a character",
        key=f"add-{layer}",
        icon=":material/person_add:",
        on_click=_grow,
        args=(layer,),
    )


def _grow(layer: int) -> None:
    work = editing()
    redraw(drafts.add_character(work.draft, layer), len(characters(work.draft)))
