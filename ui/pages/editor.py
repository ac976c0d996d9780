"""The council's editor: characters, models, rules, tools, extensions, YAML; tried out, or saved."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import streamlit as st

from mom_council.councils import loader as saved
from mom_council.councils.loader import load_council, preset_names
from mom_council.councils.refusals import Path, where
from mom_council.councils.schema import Character, Council, ExtensionEntry
from mom_council.errors import CouncilError, MixtureError
from mom_council.extensions.finding import FoundExtension, every, find
from mom_council.extensions.loaded import ExtensionInfo, describe
from mom_council.ui import council_choice as chosen
from mom_council.ui import draft as drafts
from mom_council.ui import session
from mom_council.ui.council_choice import DraftSession, begin, editing, keep, redraw, settle, undo
from mom_council.ui.draft import (
    Draft,
    at,
    characters,
    council_of,
    draft_of,
    drop,
    extensions,
    put,
    read_draft,
    text_of,
)
from mom_council.ui.field_shapes import shape_of_setting, shapes_of
from mom_council.ui.safe import inert, one_line
from mom_council.ui.schema_form import complain, draw_entries, draw_field, draw_section

_TOLD_AT_ONCE = 8
_ELSEWHERE = ("name", "description", "models", "characters", "layers", "tools", "extensions")
"""Fields of the council that stand above the tabs, or under a tab of their own."""
_LARGEST = 1_000_000
_FRESH: Draft = {
    "name": "mine",
    "models": {"model": {"provider": "ollama", "model": "llama3.2"}},
    "characters": [{"name": "First", "model": "model"}],
    "synthesizer": {"model": "model"},
}
_MINE = "mine: "


def page() -> None:
    """Draw the editor."""
    work = begin()
    st.title("Council", anchor=False)
    _bar(work)
    _refusals(work)
    shapes = shapes_of(Council)
    for column, name in zip(st.columns([1, 2]), ("name", "description"), strict=True):
        with column:
            draw_field(shapes[name], (name,))
    people, models, rules, tools, extensions, text = st.tabs(
        ["Characters", "Models", "Rules", "Tools", "Extensions", "YAML"]
    )
    with people:
        draw_characters(work)
    with models:
        st.caption(
            "The rest of the council names a model by its key. Vendors' keys stay in the "
            "environment: write only the variable's name here."
        )
        draw_entries(shapes["models"], ("models",))
    with rules:
        draw_section(Council, (), leave_out=_ELSEWHERE)
    with tools:
        draw_entries(shapes["tools"], ("tools",))
    with extensions:
        draw_extensions(work)
    with text:
        _draw_text(work)
    keep(work)


def _bar(work: DraftSession) -> None:
    is_sound = not work.faults
    if work.left:
        st.caption("This is the draft that you left here. Open begins another.")
    with st.container(horizontal=True, key="bar"):
        with st.popover("Open", icon=":material/folder_open:"):
            _draw_sources()
        st.button("Undo", key="undo", icon=":material/undo:", disabled=not work.past, on_click=undo)
        st.download_button(
            "Download",
            text_of(work.draft),
            file_name=f"{saved.safe_name(str(work.draft.get('name', '')))}.yaml",
            mime="application/yaml",
            icon=":material/download:",
            key="download",
        )
        with st.popover("Save", icon=":material/save:", disabled=not is_sound):
            _save(work)
        if st.button(
            "Try it",
            key="try-it",
            type="primary",
            icon=":material/play_arrow:",
            disabled=not is_sound,
            help="Ask this council in the chat, without saving it",
        ):
            _try_it(work)


def _save(work: DraftSession) -> None:
    name = saved.safe_name(str(work.draft.get("name", "")))
    st.caption(f"It is saved among your councils as {inert(name)}\\.yaml\\.")
    there = name in saved.saved_councils()
    replace = there and st.checkbox("Replace the one of that name", key="replace")
    if st.button("Save it", key="save-it", disabled=there and not replace):
        try:
            saved.save_council(council_of(work.draft), replace=replace)
        except MixtureError as error:
            st.error(inert(error, 1000))
            return
        settle(work)
        st.toast(f"Saved as {inert(name)}", icon=":material/check:")


def _try_it(work: DraftSession) -> None:
    try:
        chosen.try_out(council_of(work.draft))
        settle(work)
    except MixtureError as error:
        st.error(inert(error, 1000))
        return
    session.open_thread(None)
    _go_to_chat()


def _go_to_chat() -> None:
    from mom_council.ui import frame

    frame.go("chat")


def _refusals(work: DraftSession) -> None:
    if refused := st.session_state.pop("refused", ""):
        st.error(inert(one_line(refused), 1000))
    if not work.faults:
        return
    faults = list(work.faults.items())
    lines = [f"- {inert(where(path) or 'council')}: {inert(says)}" for path, says in faults]
    first = lines[:_TOLD_AT_ONCE]
    if len(lines) > len(first):
        first.append(f"- and {len(lines) - len(first)} more")
    st.warning("\n".join(["Fix these first:", "", *first]), icon=":material/error:")


def _draw_text(work: DraftSession) -> None:
    """The YAML, which can be changed by hand as well."""
    written = text_of(work.draft)
    st.code(written, language="yaml", wrap_lines=True)
    with st.expander("Change it by hand, or paste another", icon=":material/edit:"):
        # A text that was refused stays there to be mended.
        typed = st.text_area(
            "The council as YAML",
            value=written,
            height=min(640, 80 + 24 * written.count("\n")),
            key=f"yaml:{work.turn}:{zlib.crc32(written.encode())}",
        )
        changed = typed != written
        if st.button("Apply", key="take-yaml", disabled=not changed, icon=":material/check:"):
            _take_text(typed, "this text")


def _take_text(text: str, origin: str) -> None:
    """Work at what a text says from now on; where no form could show it, say why."""
    try:
        redraw(read_draft(text, one_line(origin, 60)), 0)
    except MixtureError as error:
        st.error(inert(error, 1000))
        return
    st.rerun()


def _draw_sources() -> None:
    """Where else a council may come from."""
    names = [*preset_names(), *(f"{_MINE}{name}" for name in saved.saved_councils())]
    st.selectbox("Open", names, index=None, key="source", placeholder="a preset, or one of yours")
    st.button(
        "Open it", key="open-source", disabled=not st.session_state.get("source"), on_click=_open
    )
    upload = st.file_uploader(
        "or a file", type=["yaml", "yml", "json"], key="upload", max_upload_size=1
    )
    if upload is not None and st.button("Open the file", key="open-upload"):
        _open_file(upload.name, upload.getvalue())
    st.button("Begin an empty one", key="begin-empty", on_click=redraw, args=(_FRESH, 0))


def _open() -> None:
    name = str(st.session_state.get("source") or "")
    try:
        if name.startswith(_MINE):
            file = saved.saved_councils().get(name.removeprefix(_MINE))
            draft = read_draft(file.read_text(encoding="utf-8"), name) if file else editing().draft
        else:
            draft = draft_of(load_council(name))
    except (MixtureError, OSError, UnicodeDecodeError) as error:
        st.session_state["refused"] = str(error)
        return
    redraw(draft, 0)


def _open_file(name: str, content: bytes) -> None:
    if len(content) > _LARGEST:
        st.error("The file is larger than 1 MB; a council fits on a screen.")
        return
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        st.error("The file is not UTF-8; save it as UTF-8.")
        return
    _take_text(text, name)


def draw_characters(work: DraftSession) -> None:
    """Draw every layer, who is in no layer, and the form of the chosen character."""
    left, right = st.columns([1, 2.2], gap="medium")
    with left, st.container(gap="xsmall"):
        _draw_list(work)
    with right:
        _draw_form(work)


def _draw_list(work: DraftSession) -> None:
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


def _draw_name(work: DraftSession, index: int) -> None:
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


def _draw_form(work: DraftSession) -> None:
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


def draw_extensions(work: DraftSession) -> None:
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
    fields = (about.settings_schema or {}).get("properties", {})
    return {str(name): dict(one) for name, one in fields.items() if isinstance(one, Mapping)}


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


def _draw_add(work: DraftSession) -> None:
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
            on_click=_add_extension,
            args=(name,),
        )


def _add_extension(use: str) -> None:
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
