"""The re-vote page: a past question of this reader, counted by other rules."""

from __future__ import annotations

from typing import Any

import streamlit as st

from mom_council.councils.schema import Council
from mom_council.errors import MixtureError
from mom_council.ui import council_choice as chosen
from mom_council.ui import frame, session
from mom_council.ui.recount import read_values
from mom_council.ui.revote import draw_revote
from mom_council.ui.safe import inert, one_line
from mom_council.ui.shelf import Entry
from mom_council.ui.talk import Turn, read_talk


def page() -> None:
    """Draw the page."""
    st.title("Re-vote", anchor=False)
    st.caption("A question of a conversation, counted by other rules. Nobody is asked again.")
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
        talk = house.wait_for(read_talk(house.saver, entry.id, council))
        answers = [turn for turn in talk.turns if turn.answer is not None]
        answer = _question(answers, entry.id)
        values = _values(entry, council, answer)
    except MixtureError as error:
        st.error(inert(error, 600))
        return
    _draw(values, council, f"{entry.id}:{answer}")


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


def _question(answered: list[Turn], thread: str) -> str:
    """Which answer is counted anew, by its message's id: the one that was asked for, or the last.

    Empty where nothing has been answered.
    """
    if not answered:
        return ""
    ids = [str(turn.answer.id) for turn in answered if turn.answer is not None]
    asked_for = st.query_params.get("answer", "")
    if len(ids) == 1:
        return ids[0]
    at = st.selectbox(
        "Question",
        range(len(ids)),
        index=ids.index(asked_for) if asked_for in ids else len(ids) - 1,
        format_func=lambda index: one_line(answered[index].question.text, 90) or "(a picture)",
        key=f"revote-question:{thread}:{asked_for}",
    )
    return ids[at or 0]


def _values(entry: Entry, council: Council, answer: str) -> dict[str, Any]:
    """What the question left behind; read once, for every touch of a slider comes by here."""
    at = (entry.id, answer, entry.used)
    held = st.session_state.get("revote-values")
    if held is None or held[0] != at:
        house = session.house()
        read = read_values(house.saver, entry.id, council, answer)
        held = st.session_state["revote-values"] = (at, house.wait_for(read))
    found: dict[str, Any] = held[1]
    return found


def _draw(values: dict[str, Any], council: Council, key: str) -> None:
    asked = [m for m in values.get("messages", ()) if m.type == "human"]
    if asked:
        st.markdown(f"**{inert(asked[-1].text, 400)}**")
    if values.get("status") is None:
        st.caption("This question has no answer yet.")
        return
    # Another question in the same thread gets widgets of its own.
    draw_revote(values, council, key=key)
