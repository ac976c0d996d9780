"""The conversations of a reader, in the sidebar: found, opened, renamed, forgotten."""

from __future__ import annotations

import streamlit as st

from mom_council.runs.threads import delete_thread, show_thread
from mom_council.ui import safe, session
from mom_council.ui.history import text_of
from mom_council.ui.page_store import LONGEST_TITLE, ListedThread

_SHOWN = 25


def draw_threads() -> None:
    """The list, and what can be done with the open one."""
    state, open_one = session.page_state(), session.thread()
    st.button(
        "New conversation",
        icon=":material/edit_square:",
        width="stretch",
        on_click=session.open_thread,
        args=(None,),
        key="new-thread",
    )
    search = st.text_input(
        "Search", placeholder="Search conversations", label_visibility="collapsed", key="search"
    )
    if search.strip():
        _read_texts()
    found = state.store.of(session.reader(), search)
    running = {job.thread for job in state.jobs.running()}
    if search and not found:
        st.caption("No results")
    for entry in found[:_SHOWN]:
        _draw_entry(entry, is_open=entry.id == open_one, is_running=entry.id in running)
    if len(found) > _SHOWN:
        st.caption(f"{len(found) - _SHOWN} older ones: search for them.")


def _read_texts() -> None:
    """Read what no page has shown since searches look into texts."""
    state = session.page_state()
    for thread in state.store.without_text(session.reader()):
        view = state.wait_for(show_thread(state.saver, thread))
        state.store.keep_text(thread, text_of(view.messages) if view is not None else "")


def _draw_entry(entry: ListedThread, *, is_open: bool, is_running: bool) -> None:
    with st.container(horizontal=True, gap="xsmall", vertical_alignment="center", wrap=False):
        st.button(
            safe.inline(entry.title) or "Untitled",
            key=f"thread-{entry.id}",
            icon=":material/progress_activity:" if is_running else None,
            type="secondary" if is_open else "tertiary",
            width="stretch",
            on_click=session.open_thread,
            args=(entry.id,),
        )
        if is_open:
            with st.popover(
                "Rename or delete",
                icon=":material/more_horiz:",
                type="tertiary",
                key=f"menu-{entry.id}",
            ):
                _draw_actions(entry)


def _draw_actions(entry: ListedThread) -> None:
    name = st.text_input(
        "Name", entry.title, max_chars=LONGEST_TITLE, key=f"name-{entry.id}-{entry.title}"
    )
    if name.strip() and name.strip() != entry.title:
        session.page_state().store.rename(entry.id, name)
        st.rerun()
    sure = st.checkbox("Delete conversation", key=f"sure-{entry.id}")
    st.button(
        "Delete",
        icon=":material/delete:",
        disabled=not sure,
        on_click=_forget,
        args=(entry.id,),
        key=f"delete-{entry.id}",
    )


def _forget(thread: str) -> None:
    state = session.page_state()
    state.jobs.forget(thread)
    state.wait_for(delete_thread(state.saver, thread))
    state.store.forget(thread)
    if session.thread() == thread:
        session.open_thread(None)
