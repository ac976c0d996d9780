"""The conversation: its turns, and what can be done with each."""

from __future__ import annotations

import base64
import secrets
from typing import Literal

import streamlit as st
from langchain_core.messages import AIMessage, HumanMessage

from mom_council.deliberation.conversation import COMMAND
from mom_council.errors import MixtureError, StorageError
from mom_council.evals.thumbs import rate
from mom_council.models.images import data_urls, pictures_in
from mom_council.runs.threads import read_values
from mom_council.ui import actions, frame, safe, session, words
from mom_council.ui.answer import draw_past_label
from mom_council.ui.council_choice import open_source
from mom_council.ui.council_panel import draw_record
from mom_council.ui.frame import draw_copy
from mom_council.ui.history import Conversation, PastTurn, view_of
from mom_council.ui.page_store import Thumb

PAST = 10
"""Turns that are drawn at once; earlier ones come by a button."""
COLUMNS = (1.9, 1.0)
"""Of a turn: the answer, and how it came about."""
AVATAR = ":material/groups:"
_LONG_QUESTION = 2_000
"""Characters of a question that are shown before it is folded."""


def draw_question(message: HumanMessage) -> None:
    """What a person asked; a long question is folded after some lines."""
    with st.chat_message("user", avatar=":material/person:"):
        if text := COMMAND.sub("", message.text).strip():
            is_long = len(text) > _LONG_QUESTION
            with st.container(key=f"{'long-' if is_long else ''}question-{message.id}"):
                st.markdown(safe.markdown(text[:_LONG_QUESTION] + " …" if is_long else text))
            if is_long:
                with st.popover(f"All {len(text):,} characters", type="tertiary"):
                    st.code(text, language=None, wrap_lines=True, height=400)
        pictures = [_decoded(url) for url in data_urls(message.content)]
        if pictures:
            with st.container(horizontal=True, key=f"pictures-{message.id}"):
                for number, picture in enumerate(pictures, 1):
                    st.image(picture, width=160, alt=f"Picture {number} of the question")


def draw_progress(line: str, thread: str, *, since: float | None = None) -> None:
    """How far the question has got: one line of one height, which a screen reader hears."""
    clock = f'<span aria-hidden="true"> · {words.clock(since)}</span>' if since is not None else ""
    with st.container(key=f"progress-{thread}"):
        now = "mom-now" if since is not None else ""
        text = safe.plain(line)
        st.html(f'<div class="mom-progress {now}" title="{text}">{text}{clock}</div>')


def draw_past_answer(conversation: Conversation, place: int, thumbs: dict[str, Thumb]) -> None:
    """An earlier answer with its row of buttons, and beside it how it came about."""
    answer, about = st.columns(COLUMNS, gap="medium")
    message = conversation.turns[place].answer
    with answer, st.chat_message("assistant", avatar=AVATAR):
        if message is None:
            st.caption("This question was not answered.")
            return
        with st.container(key=f"answer-{message.id}"):
            draw_text(message)
        draw_buttons(conversation, place, thumbs.get(str(message.id)))
    with about:
        if label := message.response_metadata.get("council"):
            draw_past_label(label)
            st.button(
                "Show the debate",
                icon=":material/forum:",
                type="tertiary",
                key=f"debate-{message.id}",
                help="What everybody answered and voted",
                on_click=_open_debate,
                args=(str(message.id),),
            )


def _open_debate(answer: str) -> None:
    st.session_state["debate"] = answer


def draw_debate() -> None:
    """How an earlier answer came about, over the page, where somebody asked for it."""
    answer, thread = st.session_state.pop("debate", None), session.thread()
    if answer is None or thread is None:
        return
    state = session.page_state()
    entry = state.store.find(thread)
    try:
        council = open_source(entry.council if entry else "").council
        values = state.wait_for(read_values(state.saver, thread, answer))
    except MixtureError as error:
        st.toast(safe.inline(str(error)))
        return
    view = view_of(values, council)

    @st.dialog("The debate", width="large")
    def debate() -> None:
        if not view.rounds:
            st.caption("Nothing of it is stored any more.")
        draw_record(view, council, key=f"debate-{answer}")

    debate()


def draw_text(answer: AIMessage) -> None:
    """The answer itself."""
    for file, about in pictures_in(answer.content):
        st.image(str(file), alt=safe.plain(str(about.get("prompt", ""))[:500]))
    st.markdown(safe.markdown(answer.text))


def draw_edit(conversation: Conversation, place: int) -> None:
    """A question to be put otherwise, in a branch of its own."""
    turn = conversation.turns[place]
    key = f"{conversation.thread}-{turn.question.id}"
    with st.popover("Edit", icon=":material/edit:", type="tertiary", key=f"edit-{key}"):
        text = st.text_area("Edit question", turn.question.text, key=f"text-{key}")
        st.caption("The conversation as it is stays; this becomes a branch of it.")
        st.button(
            "Ask",
            type="primary",
            key=f"send-{key}",
            on_click=actions.edit,
            args=(conversation, place, f"text-{key}"),
            disabled=not text.strip(),
        )


def draw_buttons(conversation: Conversation, place: int, thumb: Thumb | None) -> None:
    """Copy, thumbs, regenerate, edit, branch."""
    turn = conversation.turns[place]
    answer = str(turn.answer.id) if turn.answer is not None else ""
    key = f"{conversation.thread}-{answer}"
    with st.container(horizontal=True, gap="xsmall", vertical_alignment="center", key=f"do-{key}"):
        draw_copy(turn.answer.text if turn.answer is not None else "")
        st.feedback(
            "thumbs",
            key=f"thumb-{key}",
            default={"up": 1, "down": 0}.get(thumb or "") if thumb else None,
            on_change=_rate,
            args=(conversation.thread, answer, f"thumb-{key}"),
        )
        if place == len(conversation.turns) - 1:
            st.button(
                "Regenerate",
                icon=":material/refresh:",
                type="tertiary",
                key=f"again-{key}",
                on_click=actions.regenerate,
                args=(conversation, secrets.randbelow(2**31)),
            )
        draw_edit(conversation, place)
        _draw_revote(conversation, place, key)
        st.button(
            "Branch",
            icon=":material/fork_right:",
            type="tertiary",
            key=f"branch-{key}",
            help="Go on from here in a conversation of its own.",
            on_click=actions.branch,
            args=(conversation, place),
        )


def _draw_revote(conversation: Conversation, place: int, key: str) -> None:
    """The way to the page that counts this question anew, where there was something to count."""
    answer = conversation.turns[place].answer
    told = answer.response_metadata.get("council") if answer is not None else None
    if answer is None or not told or not told.get("stop_reason"):
        return
    if st.button(
        "Re-vote",
        icon=":material/how_to_vote:",
        type="tertiary",
        key=f"revote-{key}",
        help="Count these proposals by other rules, without asking the characters again.",
    ):
        frame.go("revote", thread=conversation.thread, answer=str(answer.id))


def _rate(thread: str, answer: str, key: str) -> None:
    state = session.page_state()
    chosen = st.session_state.get(key)
    thumb: Literal["up", "down"] | None = None if chosen is None else ("down", "up")[chosen]
    job = state.jobs.of(thread)
    state.store.rate(thread, answer, thumb, trace=(job.trace if job else None) or "")
    up = None if thumb is None else thumb == "up"
    try:
        state.wait_for(rate(state.saver, thread, up=up, answer=answer))
    except StorageError as error:
        st.toast(safe.inline(f"The ledger learned nothing from it: {error}"))


def shown_turns(
    conversation: Conversation, removed: frozenset[str], *, running: bool
) -> tuple[PastTurn, ...]:
    """The turns that stand still: without the one that is being answered, or asked again."""
    turns = tuple(turn for turn in conversation.turns if turn.question.id not in removed)
    if running and turns and turns[-1].answer is None:
        return turns[:-1]
    return turns


def _decoded(url: str) -> bytes:
    return base64.b64decode(url.partition(",")[2], validate=False)
