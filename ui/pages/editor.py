"""The council's editor: who sits, on which models, and how they decide; tried out, or kept."""

from __future__ import annotations

import streamlit as st

from mom_council.councils import saved
from mom_council.councils.refusals import where
from mom_council.errors import MixtureError
from mom_council.ui import council_choice as chosen
from mom_council.ui import session
from mom_council.ui.draft import council_of, text_of
from mom_council.ui.editor import board, extensions, forms, text
from mom_council.ui.editor.editing import Editing, begin, keep, settle, undo
from mom_council.ui.safe import inert, one_line

_TOLD_AT_ONCE = 8


def page() -> None:
    """Draw the editor."""
    work = begin()
    st.title("Council", anchor=False)
    _bar(work)
    _refusals(work)
    forms.council(work)
    people, voices, rules, more, yaml = st.tabs(
        ["Characters", "Models", "Rules", "Extensions", "YAML"]
    )
    with people:
        board.draw(work)
        forms.character(work)
    with voices:
        forms.models(work)
    with rules:
        forms.rules(work)
    with more:
        extensions.draw(work)
    with yaml:
        text.draw(work)
    keep(work)


def _bar(work: Editing) -> None:
    sits = not work.faults
    if work.left:
        st.caption("This is the draft that you left here. Open begins another.")
    with st.container(horizontal=True, key="bar"):
        with st.popover("Open", icon=":material/folder_open:"):
            text.sources()
        st.button("Undo", key="undo", icon=":material/undo:", disabled=not work.past, on_click=undo)
        st.download_button(
            "Download",
            text_of(work.draft),
            file_name=f"{saved.safe_name(str(work.draft.get('name', '')))}.yaml",
            mime="application/yaml",
            icon=":material/download:",
            key="download",
        )
        with st.popover("Save", icon=":material/save:", disabled=not sits):
            _save(work)
        if st.button(
            "Try it",
            key="try-it",
            type="primary",
            icon=":material/play_arrow:",
            disabled=not sits,
            help="Ask this council in the chat, without saving it",
        ):
            _try_it(work)


def _save(work: Editing) -> None:
    name = saved.safe_name(str(work.draft.get("name", "")))
    st.caption(f"It is kept among your councils as {inert(name)}\\.yaml\\.")
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
    st.warning("\n".join(["It cannot sit yet:", "", *told]), icon=":material/error:")
