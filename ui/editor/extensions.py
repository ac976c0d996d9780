"""The council's extensions: which are called, in which order, each with a form of its settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from mom_council.councils.schema import Extension
from mom_council.errors import CouncilError
from mom_council.extensions.finding import FoundExtension, every, find
from mom_council.extensions.loaded import ExtensionInfo, describe
from mom_council.ui.draft import drop, extensions, put
from mom_council.ui.editor import fields
from mom_council.ui.editor.editing import Editing, editing, redraw
from mom_council.ui.safe import inert

_NUMBERS = ("integer", "number")


def draw(work: Editing) -> None:
    """Every extension in the order in which they are called, and a way to add one."""
    st.caption("Code that is called around the council, in this order. Only what lies on this "
               "machine already can be named here.")  # fmt: skip
    for place, one in enumerate(extensions(work.draft)):
        _extension(place, str(one.get("use") or ""))
    fields.complain(("extensions",))
    _add(work)


def _extension(place: int, use: str) -> None:
    at = ("extensions", place)
    about = _about(use)
    with st.container(border=True, key=f"extension-{place}"):
        with st.container(horizontal=True, horizontal_alignment="distribute"):
            st.markdown(f"**{inert(use or '(no name)', 80)}**")
            with st.container(horizontal=True, gap="small", width="content"):
                _buttons(place)
        if about.description:
            st.caption(inert(about.description, 300))
        if about.problem:
            st.caption(f":red[:material/error: {inert(about.problem, 400)}]")
        fields.complain(at)
        fields.complain((*at, "use"))
        fields.complain((*at, "settings"), within=True)
        for name, told in _properties(about).items():
            _setting(name, (*at, "settings", name), told)
        fields.number("Seconds for one call", (*at, "timeout"), Extension)


def _setting(name: str, path: tuple[str | int, ...], told: Mapping[str, Any]) -> None:
    """The field for one setting, by what its schema says it is."""
    label = inert(name.replace("_", " ").capitalize(), 60)
    kinds = {told.get("type"), *(each.get("type") for each in told.get("anyOf", ()))}
    words = _words(told)
    if words:
        fields.choice(label, path, told, words, none="left out")
    elif "boolean" in kinds:
        fields.switch(label, path, told)
    elif kinds & {*_NUMBERS}:
        fields.number(label, path, told, whole="number" not in kinds)
    elif "array" in kinds:
        fields.several(label, path, told, new=True)
    elif "string" in kinds:
        fields.text(label, path, told)
    else:
        st.caption(f"{label}: written under the YAML tab")


def _words(told: Mapping[str, Any]) -> list[str]:
    """The words that a setting may have, where they are counted."""
    found = [*told.get("enum", ())]
    for each in told.get("anyOf", ()):
        found += each.get("enum", ())
    return list(dict.fromkeys(str(one) for one in found if isinstance(one, str)))


def _properties(about: ExtensionInfo) -> dict[str, dict[str, Any]]:
    found = (about.settings_schema or {}).get("properties", {})
    return {str(name): dict(told) for name, told in found.items() if isinstance(told, Mapping)}


def _buttons(place: int) -> None:
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


def _add(work: Editing) -> None:
    there = {one.get("use") for one in extensions(work.draft)}
    known = [found.name for found in every() if isinstance(found, FoundExtension)]
    offered = [name for name in dict.fromkeys(known) if name not in there]
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
            on_click=_grow,
            args=(name,),
        )


def _grow(use: str) -> None:
    draft = editing().draft
    redraw(put(draft, ("extensions",), [*extensions(draft), {"use": use}]))


def _remove(place: int) -> None:
    draft = editing().draft
    left = [one for at, one in enumerate(extensions(draft)) if at != place]
    redraw(put(draft, ("extensions",), left) if left else drop(draft, ("extensions",)))


def _move(place: int, by: int) -> None:
    draft = editing().draft
    order = extensions(draft)
    if 0 <= place + by < len(order):
        order = [*order]
        order[place], order[place + by] = order[place + by], order[place]
        redraw(put(draft, ("extensions",), order))


def _about(use: str) -> ExtensionInfo:
    """What there is to know of one, whatever it is worth as a name."""
    try:
        return describe(find(use))
    except CouncilError as error:
        return ExtensionInfo(name=use, problem=str(error))
