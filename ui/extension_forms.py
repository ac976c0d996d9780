"""The council's extensions: which are called, in which order, each with a form of its settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import streamlit as st

from mom_council.councils.refusals import Path
from mom_council.councils.schema import ExtensionEntry
from mom_council.errors import CouncilError
from mom_council.extensions.finding import FoundExtension, every, find
from mom_council.extensions.loaded import ExtensionInfo, describe
from mom_council.ui.draft import drop, extensions, put
from mom_council.ui.editing import Editing, editing, redraw
from mom_council.ui.field_shapes import shape_of_setting, shapes_of
from mom_council.ui.safe import inert
from mom_council.ui.schema_form import complain, draw_field


def draw_extensions(work: Editing) -> None:
    """Every extension in the order in which they are called, and a way to add one."""
    st.caption(
        "Your own code, called around the council in this order. Only what is on this machine "
        "already can be named here."
    )
    for place, one in enumerate(extensions(work.draft)):
        _draw_extension(place, str(one.get("use") or ""))
    complain(("extensions",))
    _draw_add(work)


def _draw_extension(place: int, use: str) -> None:
    path: Path = ("extensions", place)
    about = _describe(use)
    with st.container(border=True, key=f"extension-{place}"):
        with st.container(horizontal=True, horizontal_alignment="distribute"):
            st.markdown(f"**{inert(use or '(no name)', 80)}**")
            with st.container(horizontal=True, gap="small", width="content"):
                _draw_buttons(place)
        if about.description:
            st.caption(inert(about.description, 300))
        if about.problem:
            st.caption(f":red[:material/error: {inert(about.problem, 400)}]")
        complain(path)
        complain((*path, "use"))
        complain((*path, "settings"))
        settings = _settings(about)
        for name, schema in settings.items():
            draw_field(shape_of_setting(name, schema), (*path, "settings", name))
        shapes = shapes_of(ExtensionEntry)
        if not settings:
            draw_field(shapes["settings"], (*path, "settings"))
        draw_field(replace(shapes["timeout"], expert=False), (*path, "timeout"))


def _settings(about: ExtensionInfo) -> dict[str, dict[str, Any]]:
    found = (about.settings_schema or {}).get("properties", {})
    return {str(name): dict(one) for name, one in found.items() if isinstance(one, Mapping)}


def _draw_buttons(place: int) -> None:
    count = len(extensions(editing().draft))
    for icon, word, by, off in (
        ("arrow_upward", "Earlier", -1, place == 0),
        ("arrow_downward", "Later", 1, place == count - 1),
    ):
        st.button(
            f":material/{icon}:",
            key=f"extension-{word.lower()}-{place}",
            help=word,
            type="tertiary",
            disabled=off,
            on_click=_move,
            args=(place, by),
        )
    st.button(
        ":material/delete:",
        key=f"extension-remove-{place}",
        help="Remove",
        type="tertiary",
        on_click=_remove,
        args=(place,),
    )


def _draw_add(work: Editing) -> None:
    there = {one.get("use") for one in extensions(work.draft)}
    names = [one.name for one in every() if isinstance(one, FoundExtension)]
    offered = [name for name in dict.fromkeys(names) if name not in there]
    if not offered:
        st.caption("There is no further extension on this machine.")
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = st.selectbox("Add an extension", offered, index=None, key=f"add-use:{work.turn}")
        st.button(
            "Add",
            key="add-extension",
            icon=":material/add:",
            disabled=name is None,
            on_click=_add,
            args=(name,),
        )


def _add(use: str) -> None:
    draft = editing().draft
    redraw(put(draft, ("extensions",), [*extensions(draft), {"use": use}]))


def _remove(place: int) -> None:
    draft = editing().draft
    left = [one for at, one in enumerate(extensions(draft)) if at != place]
    redraw(put(draft, ("extensions",), left) if left else drop(draft, ("extensions",)))


def _move(place: int, by: int) -> None:
    draft = editing().draft
    order = [*extensions(draft)]
    if 0 <= place + by < len(order):
        order[place], order[place + by] = order[place + by], order[place]
        redraw(put(draft, ("extensions",), order))


def _describe(use: str) -> ExtensionInfo:
    """What there is to know of one, whatever it is worth as a name."""
    try:
        return describe(find(use))
    except CouncilError as error:
        return ExtensionInfo(name=use, problem=str(error))
