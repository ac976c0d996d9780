"""The council as text: shown, changed by hand, downloaded; and where a draft comes from."""

from __future__ import annotations

import zlib

import streamlit as st

from mom_council.councils import saved
from mom_council.councils.loader import load_council, preset_names
from mom_council.errors import MixtureError
from mom_council.ui.draft import Draft, draft_of, read_draft, text_of
from mom_council.ui.editor.editing import Editing, editing, redraw
from mom_council.ui.safe import inert, one_line

LARGEST = 1_000_000
_FRESH: Draft = {
    "name": "mine",
    "models": {"model": {"provider": "ollama", "model": "llama3.2"}},
    "characters": [{"name": "First", "model": "model"}],
    "synthesizer": {"model": "model"},
}
_MINE = "mine: "


def draw(work: Editing) -> None:
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
        if st.button("Take over", key="take-yaml", disabled=not changed, icon=":material/check:"):
            take(typed, "this text")


def take(text: str, origin: str) -> None:
    """Work at what a text says from now on; where no form could show it, say why."""
    try:
        redraw(read_draft(text, one_line(origin, 60)), 0)
    except MixtureError as error:
        st.error(inert(error, 1000))
        return
    st.rerun()


def sources() -> None:
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
    if len(content) > LARGEST:
        st.error("The file is larger than 1 MB; a council fits on a screen.")
        return
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        st.error("The file is not UTF-8; save it as UTF-8.")
        return
    take(text, name)
