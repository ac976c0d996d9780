"""What a reader does: ask, stop, resume, ask again, edit, branch. Each starts or ends a job."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

import streamlit as st
from langchain_core.messages import BaseMessage, HumanMessage

from mom_council.deliberation.context import CouncilContext
from mom_council.errors import MixtureError
from mom_council.models.images import MOST, PictureError, picture_block
from mom_council.ui import council_choice as chosen
from mom_council.ui import session
from mom_council.ui.frame import LONGEST
from mom_council.ui.history import Conversation, copy_conversation, messages_before, repeat_question


def settings() -> CouncilContext:
    """The settings as the sidebar last had them."""
    told = st.session_state.get("settings")
    return told if isinstance(told, CouncilContext) else CouncilContext()


def say(text: str) -> None:
    """Tell the reader something with the next drawing."""
    st.session_state.setdefault("said", []).append(text)


def ask(text: str, pictures: Sequence[Any] = ()) -> None:
    """Put a question, in the open thread or a new one; a refused one stays in its field."""
    text = text.strip()
    if len(text) > LONGEST:
        say(f"The question has {len(text):,} characters, and at most {LONGEST:,} are taken.")
        _give_back(text)
        return
    try:
        blocks = _blocks(pictures)
    except PictureError as error:
        say(str(error))
        _give_back(text)
        return
    if not text and not blocks:
        return
    content: Any = [{"type": "text", "text": text}, *blocks] if blocks else text
    _start(session.thread() or session.new_thread(), [_message(content)], text or "A picture")


def given_back() -> str:
    """The text of a question that was refused; told once."""
    return str(st.session_state.pop("given-back", ""))


def stop(thread: str) -> None:
    """Stop the running question; its calls are cancelled."""
    session.page_state().jobs.stop(thread)


def resume(thread: str, source: str) -> None:
    """Go on with a question that was stopped."""
    try:
        council = chosen.open_source(source).council
        session.page_state().jobs.resume(thread, council, context=settings(), named=_name(source))
    except MixtureError as error:
        say(str(error))


def regenerate(conversation: Conversation, seed: int) -> None:
    """Ask the last question once more; the dice fall otherwise."""
    again = repeat_question(conversation.turns[-1])
    again[-1] = _message(again[-1].content)
    _start(conversation.thread, again, seed=seed)


def edit(conversation: Conversation, place: int, field: str) -> None:
    """Ask an edited question, in a new thread that begins as this one did.

    Args:
        conversation: as it is.
        place: of the question.
        field: the key of the widget that holds the text as it is now.
    """
    text = str(st.session_state.get(field, "")).strip()
    if not text:
        return
    old = conversation.turns[place].question
    pictures = [b for b in old.content if isinstance(b, dict) and b.get("type") != "text"]
    content: Any = [{"type": "text", "text": text}, *pictures] if pictures else text
    before: list[BaseMessage] = [*messages_before(conversation.turns, place), _message(content)]
    _start(session.new_thread(), before, text)


def branch(conversation: Conversation, place: int) -> None:
    """Go on from a turn in a thread of its own."""
    state, name = session.page_state(), session.new_thread()
    said = messages_before(conversation.turns, place + 1)
    try:
        council = chosen.chosen().council
        state.wait_for(copy_conversation(state.saver, name, council, said))
        entry = state.store.find(conversation.thread)
        title = f"{entry.title if entry else conversation.turns[0].question.text} (branch)"
        state.store.put(name, reader=session.reader(), title=title, council=chosen.source())
    except MixtureError as error:
        say(str(error))
        return
    session.open_thread(name)


def _start(
    thread: str, messages: Sequence[BaseMessage], title: str = "", seed: int | None = None
) -> None:
    state, context = session.page_state(), settings()
    if seed is not None:
        context = context.model_copy(update={"seed": seed})
    try:
        source = chosen.source()
        council = chosen.chosen().council
        state.jobs.ask(thread, council, messages, context=context, named=_name(source))
        reader = session.reader()
        state.store.put(thread, reader=reader, title=title or "Untitled", council=source)
    except MixtureError as error:
        say(str(error))
        return
    session.open_thread(thread)


def _give_back(text: str) -> None:
    st.session_state["given-back"] = text[:LONGEST]


def _blocks(pictures: Sequence[Any]) -> list[dict[str, Any]]:
    if len(pictures) > MOST:
        raise PictureError(f"There are {len(pictures)} pictures, and at most {MOST} are taken")
    return [picture_block(one.getvalue(), one.name) for one in pictures]


def _message(content: Any) -> HumanMessage:
    return HumanMessage(content, id=str(uuid.uuid4()))


def _name(source: str) -> str:
    """What `mom resume` is told: a council that is no file of its own has no name there."""
    return "" if "\n" in source else source
