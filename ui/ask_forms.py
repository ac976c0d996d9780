"""The forms in which a person approves a tool's call, or answers as a character."""

from __future__ import annotations

import json
import re
from typing import Any

import streamlit as st

from mom_council.deliberation.context import steady_time
from mom_council.deliberation.people import PersonRequest
from mom_council.ui import safe, session, words
from mom_council.ui.safe import inert
from mom_council.voting.ballot_forms import BallotForm
from mom_council.voting.methods import METHODS

_CANDIDATE = re.compile(
    r'<candidate label="(?P<label>[^"]+)"[^>]*>(?P<text>.*?)</candidate\b', re.DOTALL
)


def draw_asks(thread: str, asks: tuple[PersonRequest, ...], method: str) -> None:
    """Draw everything that the run waits for; `method` is how the council votes."""
    for one in asks:
        with st.container(border=True, key=f"ask-{one.id}"):
            if one.kind == "approve":
                _leave(thread, one)
            else:
                _person(thread, one, method)


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
            once = st.form_submit_button("Allow once", type="primary", icon=":material/check:")
            always = st.form_submit_button(
                "Allow for this question",
                icon=":material/done_all:",
                help="No member is asked again before it calls this tool, with whatever arguments, "
                "until this question is answered.",
            )
            refuse = st.form_submit_button("Refuse", icon=":material/block:")
    if once or always:
        try:
            decided = {
                str(call.get("id")): _decided(call, _read(ask, place))
                for place, call in enumerate(ask.calls)
            }
        except ValueError:
            st.error("The arguments are a JSON object, such as {}.")
            return
        tools = [str(call.get("tool", "")) for call in ask.calls] if always else []
        session.page_state().jobs.tell(thread, ask.id, decided, tools)
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


def _person(thread: str, ask: PersonRequest, method: str) -> None:
    does = "votes" if ask.votes else "answers"
    time_left = (ask.until or 0.0) - steady_time()
    left = words.clock(min(max(0.0, time_left), ask.seconds or 0.0))
    st.markdown(f":material/person: **{inert(ask.name, 60)}** {does} · {left} left")
    form = METHODS[method].form if method in METHODS else None
    candidates = candidates_in(ask.prompt) if ask.votes else {}
    if form is None or not candidates:
        _speech(thread, ask)
        return
    with st.form(f"say-{ask.id}", border=False):
        for label, text in candidates.items():
            with st.container(border=True, key=f"candidate-{ask.id}-{label}"):
                st.markdown(f"**{inert(label, 10)}**")
                st.markdown(safe.markdown(text))
        vote = _draw_vote(ask, form, [*candidates])
        reason = st.text_input("Reason", key=f"reason-{ask.id}", placeholder="if you like")
        with st.container(horizontal=True):
            send = st.form_submit_button("Vote", type="primary", icon=":material/how_to_vote:")
            abstain = st.form_submit_button("Abstain")
    if send and vote:
        [field] = form.properties([*candidates])
        ballot = json.dumps({"reason": reason, field: vote}, ensure_ascii=False)
        session.page_state().jobs.tell(thread, ask.id, ballot)
    elif send:
        st.caption("Choose one, or abstain.")
    if abstain:
        session.page_state().jobs.tell(thread, ask.id, "")


def _draw_vote(ask: PersonRequest, form: BallotForm, labels: list[str]) -> Any:
    """What a person says in a ballot's form; nothing as long as nothing was chosen."""
    title, key = inert(form.instruction, 200), f"vote-{ask.id}"
    if form.field == "choice":
        return st.radio(title, labels, index=None, horizontal=True, key=key)
    if form.field == "scores":
        st.caption(title)
        return {name: st.slider(name, 0, 10, 5, key=f"{key}-{name}") for name in labels}
    return st.multiselect(title, labels, key=key, placeholder="in your order")


def candidates_in(prompt: str) -> dict[str, str]:
    """The candidates of a voter's prompt, by their labels."""
    return {match["label"]: match["text"].strip() for match in _CANDIDATE.finditer(prompt)}


def _speech(thread: str, ask: PersonRequest) -> None:
    """A person's own words, in the place of a model's."""
    with st.expander("What is asked", expanded=ask.votes):
        st.markdown(safe.markdown(ask.prompt))
    with st.form(f"say-{ask.id}", border=False):
        text = st.text_area("Your answer", key=f"said-{ask.id}")
        with st.container(horizontal=True):
            send = st.form_submit_button("Send", type="primary", icon=":material/send:")
            skip = st.form_submit_button("Abstain" if ask.votes else "Skip")
    if send and text.strip():
        session.page_state().jobs.tell(thread, ask.id, text)
    if skip:
        session.page_state().jobs.tell(thread, ask.id, "")
