"""The conversation: its turns, and what a reader can do: ask, stop, resume, edit, branch."""

from __future__ import annotations

import asyncio
import base64
import secrets
import uuid
from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

import streamlit as st
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from mom_council.councils.schema import Council, Model
from mom_council.deliberation.context import CouncilContext
from mom_council.deliberation.conversation import COMMAND
from mom_council.errors import MixtureError, StorageError
from mom_council.evals.fitting import rate
from mom_council.models.capabilities import can_see
from mom_council.models.images import MOST, PictureError, data_urls, picture_block, pictures_in
from mom_council.runs.follow import RunView
from mom_council.runs.page_store import Thumb, keep_former, repeat_question
from mom_council.runs.threads import read_values
from mom_council.ui import council_choice as chosen
from mom_council.ui import frame, safe, session, words
from mom_council.ui.council_choice import open_source
from mom_council.ui.council_panel import draw_past_label, draw_record
from mom_council.ui.frame import LONGEST, draw_copy
from mom_council.ui.history import (
    Conversation,
    PastTurn,
    copy_conversation,
    debate_in_markdown,
    messages_before,
    view_of,
)
from mom_council.ui.other_answers import comparison_of, draw_comparison, draw_other_answers
from mom_council.ui.session import PageState

PAST = 10
"""Turns that are drawn at once; earlier ones come by a button."""
COLUMNS = (1.8, 1.0)
"""Of a turn: the answer, and how it came about."""
AVATAR = ":material/groups:"
"""Not shown; without one Streamlit takes a face of its own."""
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


def draw_past_answer(
    conversation: Conversation, place: int, thumbs: dict[str, Thumb], council: Council
) -> None:
    """An earlier answer with its row of buttons, and beside it how it came about."""
    answer, about = st.columns(COLUMNS, gap="medium")
    message = conversation.turns[place].answer
    with answer, st.chat_message("assistant", avatar=AVATAR):
        if message is None:
            st.caption("This question was not answered.")
            return
        with st.container(key=f"answer-{message.id}"):
            draw_text(message)
        draw_buttons(conversation, place, thumbs.get(str(message.id)), council)
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
    try:
        entry = state.store.find(thread)
        council = open_source(entry.council if entry else "").council
        values = state.wait_for(read_values(state.saver, thread, answer))
    except MixtureError as error:
        st.toast(safe.inline(str(error)))
        return
    view, text = view_of(values, council), comparison_of(values, council)

    @st.dialog("The debate", width="large")
    def debate() -> None:
        if not view.rounds:
            st.caption("Nothing of it is stored any more.")
        draw_record(view, council, key=f"debate-{answer}")
        if text:
            draw_comparison(view, council, thread=thread, answer=answer, text=text)

    debate()


def _export(state: PageState, thread: str, turn: PastTurn, council: Council) -> str:
    """The text of the file; the answer alone where the debate cannot be read.

    Streamlit calls it outside of any session when somebody clicks.
    """
    answer = turn.answer
    name = str(answer.id) if answer is not None else ""
    try:
        view = view_of(state.wait_for(read_values(state.saver, thread, name)), council)
    except StorageError:
        view = RunView()
    text = str(answer.text) if answer is not None else ""
    return debate_in_markdown(COMMAND.sub("", turn.question.text).strip(), text, view)


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
            on_click=ask_edited,
            args=(conversation, place, f"text-{key}"),
            disabled=not text.strip(),
        )


def draw_buttons(
    conversation: Conversation, place: int, thumb: Thumb | None, council: Council
) -> None:
    """Copy, thumbs, regenerate, edit, re-vote, branch, export."""
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
        job = session.page_state().jobs.of(conversation.thread)
        if place == len(conversation.turns) - 1 and not (job is not None and job.running):
            st.button(
                "Regenerate",
                icon=":material/refresh:",
                type="tertiary",
                key=f"again-{key}",
                on_click=ask_again,
                args=(conversation, secrets.randbelow(2**31)),
                help="Ask once more. This answer stays, beside the new one.",
            )
        draw_other_answers(conversation, place)
        draw_edit(conversation, place)
        _draw_revote(conversation, place, key)
        st.button(
            "Branch",
            icon=":material/fork_right:",
            type="tertiary",
            key=f"branch-{key}",
            help="Go on from here in a conversation of its own.",
            on_click=branch_off,
            args=(conversation, place),
        )
        _draw_export(conversation, place, key, council)


def _draw_export(conversation: Conversation, place: int, key: str, council: Council) -> None:
    """A file of the question, the answer and the debate; it is written when somebody clicks."""
    st.download_button(
        "Export",
        partial(
            _export,
            session.page_state(),
            conversation.thread,
            conversation.turns[place],
            council,
        ),
        file_name="council.md",
        mime="text/markdown",
        icon=":material/download:",
        type="tertiary",
        key=f"export-{key}",
        help="The question, the answer, and what everybody said and voted, as Markdown.",
        on_click="ignore",
    )


def _draw_revote(conversation: Conversation, place: int, key: str) -> None:
    """The way to the page that counts this question anew, where there was something to count."""
    answer = conversation.turns[place].answer
    label = answer.response_metadata.get("council") if answer is not None else None
    if answer is None or not label or not label.get("stop_reason"):
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


def current_settings() -> CouncilContext:
    """The settings as the sidebar last had them."""
    context = st.session_state.get("settings")
    return context if isinstance(context, CouncilContext) else CouncilContext()


def ask_question(text: str, pictures: Sequence[Any] = ()) -> None:
    """Put a question, in the open thread or a new one; a refused one stays in its field."""
    text = text.strip()
    if len(text) > LONGEST:
        session.notify(
            f"The question has {len(text):,} characters, and at most {LONGEST:,} are taken."
        )
        _keep_refused_text(text)
        return
    try:
        blocks = _blocks(pictures)
    except PictureError as error:
        session.notify(str(error))
        _keep_refused_text(text)
        return
    if blocks and not _can_see_pictures():
        session.notify(
            "No model of this council can see pictures. Ask without the picture, or choose a "
            "council with a model that can."
        )
        _keep_refused_text(text)
        return
    if not text and not blocks:
        return
    content: Any = [{"type": "text", "text": text}, *blocks] if blocks else text
    _start(session.thread() or session.new_thread(), [_message(content)], text or "A picture")


def _can_see_pictures() -> bool:
    """Whether a picture is of any use to the chosen council."""
    try:
        council = chosen.chosen().council
    except MixtureError:
        return True  # starting the question says what is wrong
    if council.painter is not None or any(one.vision for one in council.characters):
        return True
    return session.page_state().wait_for(_any_can_see([*council.models.values()]))


async def _any_can_see(models: Sequence[Model]) -> bool:
    return any(await asyncio.gather(*(can_see(model) for model in models)))


def take_refused_text() -> str:
    """The text of a question that was refused; told once."""
    return str(st.session_state.pop("given-back", ""))


def stop_question(thread: str) -> None:
    """Stop the running question; its calls are cancelled."""
    session.page_state().jobs.stop(thread)


def resume_question(thread: str, source: str) -> None:
    """Go on with a question that was stopped."""
    try:
        council = chosen.open_source(source).council
        session.page_state().jobs.resume(
            thread, council, context=current_settings(), named=_name(source)
        )
    except MixtureError as error:
        session.notify(str(error))


def ask_again(conversation: Conversation, seed: int) -> None:
    """Ask the last question once more, with another seed; the answer of before stays reachable."""
    turn, thread = conversation.turns[-1], conversation.thread
    again = repeat_question(turn.question, turn.answer)
    if _start(thread, again, seed=seed):
        keep_former(
            session.page_state().store,
            thread,
            old=str(turn.question.id),
            new=str(again[-1].id),
            head=conversation.head,
        )


def ask_edited(conversation: Conversation, place: int, field: str) -> None:
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


def branch_off(conversation: Conversation, place: int) -> None:
    """Go on from a turn in a thread of its own."""
    state, name = session.page_state(), session.new_thread()
    messages = messages_before(conversation.turns, place + 1)
    try:
        council = chosen.chosen().council
        state.wait_for(copy_conversation(state.saver, name, council, messages))
        entry = state.store.find(conversation.thread)
        title = f"{entry.title if entry else conversation.turns[0].question.text} (branch)"
        state.store.put(name, reader=session.reader(), title=title, council=chosen.source())
    except MixtureError as error:
        session.notify(str(error))
        return
    session.open_thread(name)


def _start(
    thread: str, messages: Sequence[BaseMessage], title: str = "", seed: int | None = None
) -> bool:
    """Start a question; False where it was refused, which the reader is told."""
    state, context = session.page_state(), current_settings()
    if seed is not None:
        context = context.model_copy(update={"seed": seed})
    try:
        source = chosen.source()
        council = chosen.chosen().council
        state.jobs.ask(thread, council, messages, context=context, named=_name(source))
        reader = session.reader()
        state.store.put(thread, reader=reader, title=title or "Untitled", council=source)
    except MixtureError as error:
        session.notify(str(error))
        return False
    session.open_thread(thread)
    return True


def _keep_refused_text(text: str) -> None:
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
