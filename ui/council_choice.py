"""Which council is asked: chosen in the sidebar, by name, by file, or by upload."""

from __future__ import annotations

import os
from pathlib import PurePath

import streamlit as st

from mom_council.councils.loader import council_from_yaml, load_council, preset_names
from mom_council.errors import MixtureError
from mom_council.models.discovery import VARIABLE
from mom_council.ui import chosen, safe, session

_LARGEST = 1  # MB; a council fits on a screen


def draw_choice() -> None:
    """The council's selection, and the ways to bring one."""
    now = chosen.source()
    options = ["", *preset_names()]
    if now not in options:
        options.append(now)
    key = f"council-{session.kept('councils', 0)}"
    # What is asked is kept with the session; with another thread it changes under the widget.
    st.session_state[key] = now
    st.selectbox(
        "Council",
        options,
        format_func=_shown,
        help="Who answers. A preset, one of yours, or the best that this machine can seat.",
        key=key,
        on_change=_pick,
        args=(key,),
    )
    with st.popover("Bring a council", icon=":material/upload_file:", width="stretch"):
        _bring()


def _pick(key: str) -> None:
    # Not by a rerun from within the page: what was typed at the same moment would be lost.
    chosen.choose(str(st.session_state[key] or ""))


def _bring() -> None:
    path = st.text_input("A file on this machine", placeholder="desk.yaml", key="council-path")
    if path and path != session.kept("council-path", ""):
        session.keep("council-path", path)
        _take(path if PurePath(path).suffix else f"./{path}")
    upload = st.file_uploader(
        "Or upload a YAML file",
        type=["yaml", "yml", "json"],
        max_upload_size=_LARGEST,
        key="council-upload",
    )
    if upload is not None and upload.file_id != session.kept("council-upload", ""):
        session.keep("council-upload", upload.file_id)
        _take(upload.getvalue().decode("utf-8", errors="replace"), text=True)


def _take(source: str, *, text: bool = False) -> None:
    try:
        if text:
            chosen.try_out(council_from_yaml(source, "the uploaded file"))
        else:
            load_council(source)
            chosen.choose(source)
    except MixtureError as error:
        st.error(safe.inline(str(error)))
        return
    session.keep("councils", session.kept("councils", 0) + 1)  # a selectbox with a new option
    st.rerun()


def _shown(source: str) -> str:
    if not source:
        named = os.environ.get(VARIABLE)
        # Two options that read the same would be one to the browser.
        name = PurePath(named).name if named else "this machine's choice"
        return f"{name} (as started)" if name in preset_names() else name
    if "\n" in source:
        first = next((line for line in source.splitlines() if line.startswith("name:")), "")
        return f"{first.removeprefix('name:').strip() or 'unnamed'} (yours)"
    return source
