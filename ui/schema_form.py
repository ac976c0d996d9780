"""Forms drawn from the council's schema: every field of every part, with its own words.

What is typed goes into the draft whatever it is; the complaint under the field says why the council
cannot be asked with it. A value that a widget could not show stands there as text.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import streamlit as st

from mom_council.councils.refusals import Path
from mom_council.councils.schema import Section
from mom_council.councils.sections import BUNDLED
from mom_council.councils.yaml import as_yaml, read_yaml
from mom_council.errors import CouncilError
from mom_council.ui.council_choice import change, editing, redraw
from mom_council.ui.draft import add_entry, at, drop, entries, put, rename_entry
from mom_council.ui.field_shapes import FieldShape, humanised, shapes_of
from mom_council.ui.safe import inert, one_line
from mom_council.vendors import VENDORS

_SAFE = 2**53
"""Beyond it a browser no longer counts exactly."""
_NARROW = ("choice", "whole", "number", "text")
"""Kinds of which two stand in a line."""
_YES_NO = {"yes": True, "no": False}


def draw_section(section: type[Section], path: Path, *, leave_out: Collection[str] = ()) -> None:
    """Every field of a part of the council; those that few people need are folded."""
    shapes = {n: shape for n, shape in shapes_of(section).items() if n not in leave_out}
    _complain_here(path, section)
    _draw_fields({n: shape for n, shape in shapes.items() if not shape.expert}, path)
    rare = {n: shape for n, shape in shapes.items() if shape.expert}
    if rare:
        wrong = any(_has_fault((*path, name)) for name in rare)
        with st.expander("Expert", expanded=wrong, key=f"{_key(path)}:expert"):
            _draw_fields(rare, path)


def draw_field(shape: FieldShape, path: Path) -> None:
    """One field."""
    value = at(editing().draft, path, shape.default)
    if shape.kind == "section":
        _draw_part(shape, path)
        return
    if shape.kind == "entries":
        draw_entries(shape, path)
        return
    if shape.kind == "mapping":
        _draw_mapping(shape, path, value)
    elif shape.kind in ("words", "whole numbers"):
        _draw_several(shape, path, value)
    elif shape.kind == "switch":
        _draw(st.toggle, shape, path, value=bool(value))
    elif shape.kind in ("whole", "number"):
        _draw_number(shape, path, value)
    elif shape.kind == "choice" or shape.key_of:
        _draw_choice(shape, path, value)
    elif shape.kind in ("text", "long text"):
        widget = st.text_area if shape.kind == "long text" else st.text_input
        _draw(widget, shape, path, value="" if value is None else str(value))
    else:
        st.caption(f"{inert(shape.label, 60)}: written under the YAML tab")
    complain(path, within=shape.kind in ("words", "whole numbers", "mapping"))


def draw_entries(shape: FieldShape, path: Path) -> None:
    """Parts of the council by name: a list on the left, the form of one on the right."""
    work, section = editing(), shape.section
    names = [*entries(work.draft, path)]
    if section is None:
        return
    left, right = st.columns([1, 2.6])
    with left, st.container(gap="xsmall"):
        for name in names:
            is_open = name == work.opened.get(path, names[0])
            wrong = _has_fault((*path, name))
            st.button(
                inert(name, 64),
                key=f"{_key((*path, name))}:open",
                type="primary" if is_open else "secondary",
                icon=":material/error:" if wrong else None,
                width="stretch",
                on_click=_open_entry,
                args=(path, name),
            )
        st.button(
            f"Add a {str(path[-1]).removesuffix('s')}",
            icon=":material/add:",
            key=f"add-{path[-1]}",
            type="tertiary",
            on_click=_add_entry,
            args=(path, section),
        )
        complain(path)
    chosen = work.opened.get(path, names[0] if names else "")
    if chosen in names:
        with right, st.container(border=True, key=f"entry-{path[-1]}"):
            _draw_entry(section, path, chosen)


def complain(path: Path, *, within: bool = False) -> None:
    """Say what is wrong at a path; `within`, and below it."""
    for place, says in editing().faults.items():
        if place == path or (within and place[: len(path)] == path):
            st.caption(f":red[:material/error: {inert(says)}]")


def _draw_fields(shapes: dict[str, FieldShape], path: Path) -> None:
    """The fields in their order, narrow ones two in a line."""
    narrow: list[tuple[str, FieldShape]] = []
    for name, shape in shapes.items():
        if shape.kind in _NARROW:
            narrow.append((name, shape))
            continue
        _draw_pairs(narrow, path)
        narrow = []
        draw_field(shape, (*path, name))
    _draw_pairs(narrow, path)


def _draw_pairs(narrow: list[tuple[str, FieldShape]], path: Path) -> None:
    for first in range(0, len(narrow), 2):
        pair = narrow[first : first + 2]
        for column, (name, shape) in zip(st.columns(2), pair, strict=False):
            with column:
                draw_field(shape, (*path, name))


def _draw_part(shape: FieldShape, path: Path) -> None:
    """A part within a part; one that may be left out has a switch."""
    if shape.section is None:
        return
    with st.container(border=True, key=f"part-{'-'.join(map(str, path))}"):
        if shape.optional:
            is_on = at(editing().draft, path, shape.default) is not None
            st.toggle(
                f"**{inert(shape.label, 60)}**",
                value=is_on,
                key=_key(path),
                help=inert(shape.help, 600) or None,
                on_change=_switch_part,
                args=(path, shape),
            )
        else:
            is_on = True
            st.markdown(f"**{inert(shape.label, 60)}**", help=inert(shape.help, 600) or None)
        if is_on:
            draw_section(shape.section, path)


def _draw_entry(section: type[Section], path: Path, name: str) -> None:
    widget = f"{_key((*path, name))}:name"
    st.text_input(
        "Key",
        value=name,
        key=widget,
        help="What else in the council names it follows.",
        on_change=_rename,
        args=(path, name, widget),
    )
    draw_section(section, (*path, name))
    st.button(
        "Remove",
        key=f"remove-{path[-1]}",
        icon=":material/delete:",
        type="tertiary",
        on_click=_remove_entry,
        args=(path, name),
    )


def _draw_number(shape: FieldShape, path: Path, value: Any) -> None:
    whole = shape.kind == "whole"
    if not _countable(value, whole=whole):
        _draw(st.text_input, shape, path, value=str(value), read=_read_number)
        return
    kind: Any = int if whole else float
    _draw(
        st.number_input,
        shape,
        path,
        value=None if value is None else kind(value),
        step=1 if whole else 0.1,
        format="%d" if whole else "%g",
        placeholder="not set",
    )


def _draw_choice(shape: FieldShape, path: Path, value: Any) -> None:
    """One of several; what stands there is shown, right or wrong."""
    options = [*(shape.choices or _names_of(shape.key_of))]
    if not options and not shape.key_of:  # yes, no, or as the default says
        options = [*_YES_NO]
        value = {True: "yes", False: "no"}.get(value, value)
    offered: list[Any] = [None, *options] if shape.optional else options
    if value not in offered:
        offered.append(value)
    _draw(
        st.selectbox,
        shape,
        path,
        options=offered,
        index=offered.index(value),
        format_func=_shown_choice,
        accept_new_options=shape.key_of in ("providers", "lanes"),
        read=_read_yes_no if options == [*_YES_NO] else None,
    )


def _shown_choice(value: Any) -> str:
    return "not set" if value is None else one_line(value, 80)


def _draw_several(shape: FieldShape, path: Path, value: Any) -> None:
    """Any number of words or numbers, chosen or typed."""
    listed = value if isinstance(value, list) else [] if value is None else [value]
    words = list(dict.fromkeys(str(one) for one in listed))
    own = path[1] if path[:1] == ("models",) and len(path) > 1 else None
    offered = [name for name in _names_of(shape.key_of) if name != own]
    new = shape.key_of != "models"
    _draw(
        st.multiselect,
        shape,
        path,
        options=list(dict.fromkeys([*words, *offered])),
        default=words,
        accept_new_options=new,
        placeholder="type one and press Enter" if new else "none",
        read=_read_numbers if shape.kind == "whole numbers" else None,
    )


def _draw_mapping(shape: FieldShape, path: Path, value: Any) -> None:
    """Anything by name, a line each, as YAML."""
    written = as_yaml(value) if isinstance(value, dict) and value else ""
    text = written if isinstance(value, dict) or value is None else str(value)
    _draw(
        st.text_area,
        shape,
        path,
        value=text.strip(),
        height=80,
        placeholder="name: value, one a line",
        read=_read_mapping,
    )


def _draw(widget: Any, shape: FieldShape, path: Path, *, read: Any = None, **about: Any) -> None:
    widget(
        label=inert(shape.label, 60),
        key=_key(path),
        help=inert(shape.help, 900) or None,
        on_change=_take,
        args=(path, shape.default, read),
        **about,
    )


def _take(path: Path, default: Any, read: Any) -> None:
    """Lay what a widget holds into the draft; a default is left out, as people leave it out."""
    value = st.session_state[_key(path)]
    value = read(value) if read and isinstance(value, str | list) else value
    draft = editing().draft
    bare = value is None or value == default or (value in ("", [], {}) and not default)
    change(drop(draft, path) if bare else put(draft, path, value))


def _switch_part(path: Path, shape: FieldShape) -> None:
    """Add a part with what it cannot do without, or leave it out."""
    draft = editing().draft
    if not st.session_state[_key(path)]:
        redraw(drop(draft, path) if shape.default is None else put(draft, path, None))
    elif shape.default is not None:
        redraw(drop(draft, path))
    elif shape.section is not None:
        redraw(put(draft, path, _first_values(shape.section)))


def _first_values(section: type[Section]) -> dict[str, Any]:
    """What a new part has to say: the first of the models where it needs one."""
    shapes = shapes_of(section)
    needs = {name for name, info in section.model_fields.items() if info.is_required()}
    names = {name: _names_of(shapes[name].key_of) for name in needs}
    return {name: offered[0] for name, offered in names.items() if offered}


def _open_entry(path: Path, name: str) -> None:
    editing().opened[path] = name


def _add_entry(path: Path, section: type[Section]) -> None:
    draft, key = add_entry(editing().draft, path, _first_values(section))
    redraw(draft)
    editing().opened[path] = key


def _rename(path: Path, old: str, widget: str) -> None:
    new = one_line(st.session_state[widget], 64)
    draft = editing().draft
    if new and new != old and new in entries(draft, path):
        st.toast(f"{humanised(str(path[-1]))} has {inert(new)} already.", icon=":material/error:")
    elif new:
        editing().opened[path] = new
        redraw(rename_entry(draft, path, old, new))
        return
    redraw(draft)


def _remove_entry(path: Path, name: str) -> None:
    editing().opened.pop(path, None)
    redraw(drop(editing().draft, (*path, name)))


def _names_of(part: str) -> list[str]:
    """The names that stand in a part of the council, or come along."""
    if not part:
        return []
    along = {"tools": BUNDLED, "providers": tuple(VENDORS)}.get(part, ())
    return list(dict.fromkeys([*along, *entries(editing().draft, (part,))]))


def _complain_here(path: Path, section: type[Section]) -> None:
    """What is wrong with a part itself, and with keys that it does not know."""
    complain(path)
    for place, says in editing().faults.items():
        deeper = place[: len(path)] == path and len(place) == len(path) + 1
        if deeper and path and place[-1] not in section.model_fields:
            st.caption(f":red[:material/error: {inert(f'{place[-1]}: {says}')}]")


def _has_fault(path: Path) -> bool:
    return any(place[: len(path)] == path for place in editing().faults)


def _key(path: Path) -> str:
    return f"draft:{editing().turn}:{'/'.join(map(str, path))}"


def _read_number(typed: str) -> Any:
    for kind in (int, float):
        try:
            return kind(typed)
        except ValueError:
            continue
    return typed


def _read_numbers(words: Iterable[str]) -> list[Any]:
    return [_read_number(word) for word in words]


def _read_yes_no(word: str) -> Any:
    return _YES_NO.get(word, word)


def _read_mapping(text: str) -> Any:
    """What the lines say; text that is no mapping stays as it was typed, and is complained of."""
    try:
        return read_yaml(text, "this text") if text.strip() else {}
    except CouncilError:
        return text


def _countable(value: Any, *, whole: bool) -> bool:
    if value is None:
        return True
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) < _SAFE and (not whole or float(value).is_integer())
