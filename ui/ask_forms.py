"""The forms by which a person gives leave for a tool, or speaks from a seat at the table."""

from __future__ import annotations

import json
import time
from typing import Any

import streamlit as st

from mom_council.deliberation.people import PersonRequest
from mom_council.ui import safe, session, words
from mom_council.ui.safe import inert


def draw_asks(thread: str, asks: tuple[PersonRequest, ...]) -> None:
    """Draw everything that the run waits for."""
    for one in asks:
        with st.container(border=True, key=f"ask-{one.id}"):
            if one.kind == "approve":
                _leave(thread, one)
            else:
                _person(thread, one)


def _leave(thread: str, ask: PersonRequest) -> None:
    with st.form(f"leave-{ask.id}", border=False):
        for place, call in enumerate(ask.calls):
            tool = inert(call.get("tool", ""), 80)
            st.markdown(f":material/build: **{inert(ask.name, 60)}** wants to call **{tool}**")
            st.text_area(
                "With these arguments",
                json.dumps(call.get("arguments", {}), ensure_ascii=False, indent=2),
                key=_arguments(ask, place),
            )
        with st.container(horizontal=True):
            allow = st.form_submit_button("Allow", type="primary", icon=":material/check:")
            refuse = st.form_submit_button("Refuse", icon=":material/block:")
    if allow:
        try:
            decided = {
                str(call.get("id")): _decided(call, _read(ask, place))
                for place, call in enumerate(ask.calls)
            }
        except ValueError:
            st.error("The arguments are a JSON object, such as {}.")
            return
        session.page_state().jobs.tell(thread, ask.id, decided)
    if refuse:
        session.page_state().jobs.tell(thread, ask.id, False)


def _arguments(ask: PersonRequest, place: int) -> str:
    return f"arguments-{ask.id}-{place}"


def _read(ask: PersonRequest, place: int) -> dict[str, Any]:
    read = json.loads(st.session_state[_arguments(ask, place)])
    if not isinstance(read, dict):
        raise ValueError("no object")  # noqa: TRY004 - as for any other text that is none
    return read


def _decided(call: dict[str, Any], arguments: dict[str, Any]) -> Any:
    """Leave for a call as it was asked for, or with other arguments, which its model is told."""
    return True if arguments == call.get("arguments") else {"arguments": arguments}


def _person(thread: str, ask: PersonRequest) -> None:
    does = "votes" if ask.votes else "answers"
    left = words.clock(max(0.0, (ask.until or 0.0) - time.time()))
    st.markdown(f":material/person: **{inert(ask.name, 60)}** {does} · {left} left")
    with st.expander("What is asked", expanded=ask.votes):
        st.markdown(safe.markdown(ask.prompt))
    with st.form(f"say-{ask.id}", border=False):
        said = st.text_area("Your answer", key=f"said-{ask.id}")
        with st.container(horizontal=True):
            say = st.form_submit_button("Send", type="primary", icon=":material/send:")
            pass_ = st.form_submit_button("Abstain" if ask.votes else "Skip")
    if say and said.strip():
        session.page_state().jobs.tell(thread, ask.id, said)
    if pass_:
        session.page_state().jobs.tell(thread, ask.id, "")
