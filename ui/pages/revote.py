"""The re-vote page: a past question of this reader, counted by other rules."""

from __future__ import annotations

from typing import Any

import streamlit as st

from mixture_of_models.councils.schema import Council
from mixture_of_models.errors import MixtureError
from mixture_of_models.ui import chosen, frame, session
from mixture_of_models.ui.inert import inert, one_line
from mixture_of_models.ui.recount import read_values
from mixture_of_models.ui.revote import draw_revote
from mixture_of_models.ui.shelf import Entry


def page() -> None:
    """Draw the page."""
    st.title("Re-vote", anchor=False)
    st.caption(
        "The last question of a conversation, counted by other rules. Nobody is asked again."
    )
    entries = session.house().shelf.of(session.reader())
    if not entries:
        st.info("There is no conversation yet.", icon=":material/how_to_vote:")
        return
    entry = entries[_chosen(entries)]
    if st.button("Back to the conversation", icon=":material/arrow_back:", type="tertiary"):
        frame.go("chat", thread=entry.id)
    try:
        council = chosen.open_source(entry.council).council
        house = session.house()
        values = house.wait_for(read_values(house.saver, entry.id, council))
    except MixtureError as error:
        st.error(inert(error, 600))
        return
    _draw(values, council, entry.id)


def _chosen(entries: list[Entry]) -> int:
    ids = [entry.id for entry in entries]
    shown = session.thread() or session.kept("shown", None)
    at = st.selectbox(
        "Conversation",
        range(len(ids)),
        index=ids.index(shown) if shown in ids else 0,
        format_func=lambda index: one_line(entries[index].title, 90) or "(no title)",
        key="revote-thread",
    )
    return at or 0


def _draw(values: dict[str, Any], council: Council, thread: str) -> None:
    asked = [m for m in values.get("messages", ()) if m.type == "human"]
    if asked:
        st.markdown(f"**{inert(asked[-1].text, 400)}**")
    if values.get("status") is None:
        st.caption("This question has no answer yet.")
        return
    # Another question in the same thread gets widgets of its own.
    draw_revote(values, council, key=f"{thread}:{len(asked)}")
