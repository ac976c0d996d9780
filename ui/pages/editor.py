"""The council's editor: who speaks, on which models, and how they decide; tried out, or saved."""

from __future__ import annotations

import zlib

import streamlit as st

from mom_council.councils import saved
from mom_council.councils.loader import load_council, preset_names
from mom_council.councils.refusals import where
from mom_council.councils.schema import Council
from mom_council.errors import MixtureError
from mom_council.ui import council_choice as chosen
from mom_council.ui import session
from mom_council.ui.character_list import draw_characters
from mom_council.ui.draft import Draft, council_of, draft_of, read_draft, text_of
from mom_council.ui.editing import Editing, begin, editing, keep, redraw, settle, undo
from mom_council.ui.extension_forms import draw_extensions
from mom_council.ui.field_shapes import shapes_of
from mom_council.ui.safe import inert, one_line
from mom_council.ui.schema_form import draw_entries, draw_field, draw_section

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


def _bar(work: Editing) -> None:
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


def _save(work: Editing) -> None:
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


def _try_it(work: Editing) -> None:
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


def _refusals(work: Editing) -> None:
    if refused := st.session_state.pop("refused", ""):
        st.error(inert(one_line(refused), 1000))
    if not work.faults:
        return
    faults = list(work.faults.items())
    lines = [f"- {inert(where(path) or 'council')}: {inert(says)}" for path, says in faults]
    told = lines[:_TOLD_AT_ONCE]
    if len(lines) > len(told):
        told.append(f"- and {len(lines) - len(told)} more")
    st.warning("\n".join(["Fix these first:", "", *told]), icon=":material/error:")


def _draw_text(work: Editing) -> None:
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
    given = st.file_uploader(
        "or a file", type=["yaml", "yml", "json"], key="upload", max_upload_size=1
    )
    if given is not None and st.button("Open the file", key="open-upload"):
        _open_file(given.name, given.getvalue())
    st.button("Begin an empty one", key="begin-empty", on_click=redraw, args=(_FRESH, 0))


def _open() -> None:
    name = str(st.session_state.get("source") or "")
    try:
        if name.startswith(_MINE):
            file = saved.saved_councils().get(name.removeprefix(_MINE))
            made = read_draft(file.read_text(encoding="utf-8"), name) if file else editing().draft
        else:
            made = draft_of(load_council(name))
    except (MixtureError, OSError, UnicodeDecodeError) as error:
        st.session_state["refused"] = str(error)
        return
    redraw(made, 0)


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
