"""Fields of a draft: each shows what stands at a path, keeps what is typed, and says what is wrong.

What is typed goes into the draft whatever it is; the complaint under the field says why the council
cannot sit with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import streamlit as st

from mom_council.councils.refusals import Path
from mom_council.councils.schema import Section
from mom_council.ui.draft import at, drop, put
from mom_council.ui.editor.editing import change, editing
from mom_council.ui.safe import inert

Told = type[Section] | Mapping[str, Any]
"""What is known of a field: the section of the schema that it stands in, or its own JSON schema."""

_SAFE = 2**53
"""Beyond it a browser no longer counts exactly."""


def text(label: str, path: Path, told: Told, *, tall: bool = False) -> None:
    """A text; emptied, it goes back to its default."""
    default = _default(told, path)
    shown = at(editing().draft, path, default)
    widget = st.text_area if tall else st.text_input
    widget(
        label,
        value="" if shown is None else str(shown),
        key=_key(path),
        help=_help(told, path),
        on_change=_take,
        args=(path, default, None),
    )
    complain(path)


def number(label: str, path: Path, told: Told, *, whole: bool = False) -> None:
    """A number; emptied, it goes back to its default."""
    default = _default(told, path)
    value = at(editing().draft, path, default)
    if not _countable(value, whole):
        # What stands there is no number that a number's field could show.
        st.text_input(
            label,
            value=str(value),
            key=_key(path),
            help=_help(told, path),
            on_change=_take,
            args=(path, default, _number),
        )
    else:
        kind: Any = int if whole else float
        st.number_input(
            label,
            value=None if value is None else kind(value),
            step=1 if whole else 0.1,
            format="%d" if whole else "%g",
            key=_key(path),
            help=_help(told, path),
            placeholder="not set",
            on_change=_take,
            args=(path, default, None),
        )
    complain(path)


def choice(label: str, path: Path, told: Told, options: Sequence[str], *, none: str = "") -> None:
    """One of several; with `none`, the word for leaving it out."""
    default = _default(told, path)
    value = at(editing().draft, path, default)
    offered: list[Any] = [*([None] if none else []), *options]
    if value not in offered:
        offered.append(value)  # what stands there is shown, right or wrong
    st.selectbox(
        label,
        offered,
        index=offered.index(value),
        format_func=lambda one: none if one is None else str(one),
        key=_key(path),
        help=_help(told, path),
        on_change=_take,
        args=(path, default, None),
    )
    complain(path)


def switch(label: str, path: Path, told: Told) -> None:
    """Yes or no."""
    default = _default(told, path)
    value = at(editing().draft, path, default)
    st.toggle(
        label,
        value=bool(value),
        key=_key(path),
        help=_help(told, path),
        on_change=_take,
        args=(path, default, None),
    )
    complain(path)


def several(
    label: str, path: Path, told: Told, options: Sequence[str] = (), *, new: bool = False
) -> None:
    """Any number of words: out of `options`, or with `new` of one's own."""
    found = at(editing().draft, path, [])
    words = [str(one) for one in found] if isinstance(found, list) else [str(found)]
    words = list(dict.fromkeys(words))
    st.multiselect(
        label,
        list(dict.fromkeys([*words, *options])),
        default=words,
        accept_new_options=new,
        key=_key(path),
        help=_help(told, path),
        placeholder="type one and press Enter" if new else "none",
        on_change=_take,
        args=(path, [], None),
    )
    complain(path, within=True)


def complain(path: Path, *, within: bool = False) -> None:
    """Say what is wrong at a path; `within`, and below it."""
    for place, says in editing().faults.items():
        if place == path or (within and place[: len(path)] == path):
            st.caption(f":red[:material/error: {inert(says)}]")


def _key(path: Path) -> str:
    return f"draft:{editing().turn}:{'/'.join(map(str, path))}"


def _take(path: Path, default: Any, read: Callable[[str], Any] | None) -> None:
    """Lay what a widget holds into the draft; a default is left out, as people leave it out."""
    value = st.session_state[_key(path)]
    value = read(value) if read and isinstance(value, str) else value
    draft = editing().draft
    bare = value is None or value == default or (value == "" and default is None)
    change(drop(draft, path) if bare else put(draft, path, value))


def _number(typed: str) -> Any:
    for kind in (int, float):
        try:
            return kind(typed)
        except ValueError:
            continue
    return typed


def _countable(value: Any, whole: bool) -> bool:
    if value is None:
        return True
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) < _SAFE and (not whole or float(value).is_integer())


def _help(told: Told, path: Path) -> str | None:
    if isinstance(told, Mapping):
        says = told.get("description")
        return inert(says, 300) if says else None
    field = told.model_fields.get(str(path[-1]))
    return field.description if field else None


def _default(told: Told, path: Path) -> Any:
    if isinstance(told, Mapping):
        return told.get("default")
    field = told.model_fields.get(str(path[-1]))
    if field is None or field.is_required():
        return None
    found = field.get_default(call_default_factory=True)
    return list(found) if isinstance(found, tuple) else found
