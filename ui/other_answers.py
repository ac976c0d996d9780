"""The answers of a question that was asked more than once: "2/3", and the way from one to another.

Asking again takes the place of the answer in the thread; the store keeps the checkpoint at which
the former one was left. To show another answer, the thread goes on from the checkpoint of that
one, so its debate, its label and what was asked after it are there again.
"""

from __future__ import annotations

import streamlit as st

from mom_council.errors import MixtureError
from mom_council.runs.page_store import KeptAnswer
from mom_council.ui import council_choice as chosen
from mom_council.ui import session
from mom_council.ui.history import Conversation, return_to


def keep_former(conversation: Conversation, new: str) -> None:
    """Keep where the last answer is, whose question was asked again by the message `new`."""
    store, thread = session.page_state().store, conversation.thread
    old = str(conversation.turns[-1].question.id)
    first = {one.question: one.first for one in store.answers(thread)}.get(old, old)
    store.keep_answer(thread, KeptAnswer(question=old, first=first, head=conversation.head))
    store.keep_answer(thread, KeptAnswer(question=new, first=first, head=""))


def draw_other_answers(conversation: Conversation, place: int) -> None:
    """The way to the other answers of a question that was asked more than once."""
    question = str(conversation.turns[place].question.id)
    answers = _answers_of(conversation.thread, question)
    shown = [one.question for one in answers].index(question) if answers else 0
    is_last = place == len(conversation.turns) - 1
    if len(answers) < 2 or (conversation.is_open and not is_last):
        return

    def arrow(label: str, icon: str, to: int) -> None:
        st.button(
            label,
            icon=f":material/{icon}:",
            type="tertiary",
            key=f"{icon}-{conversation.thread}-{question}",
            disabled=not 0 <= to < len(answers),
            on_click=show_answer,
            args=(conversation, place, answers[min(max(to, 0), len(answers) - 1)]),
        )

    with st.container(horizontal=True, gap=None, vertical_alignment="center", width="content"):
        arrow("Former answer", "chevron_left", shown - 1)
        count = f"{shown + 1}/{len(answers)}"
        st.html(f'<span class="mom-count">{count}</span>', width="content")
        arrow("Next answer", "chevron_right", shown + 1)


def _answers_of(thread: str, question: str) -> list[KeptAnswer]:
    """The answers that can be shown in the place of a question's answer, that one among them."""
    answers = session.page_state().store.answers(thread)
    first = {one.question: one.first for one in answers}.get(question)
    return [one for one in answers if one.first == first and (one.head or one.question == question)]


def show_answer(conversation: Conversation, place: int, other: KeptAnswer) -> None:
    """Show another answer in the place of this one, with what was asked after it.

    Whoever comes back finds what was asked after this one.
    """
    state, thread, turn = session.page_state(), conversation.thread, conversation.turns[place]
    question = str(turn.question.id)
    job = state.jobs.of(thread)
    if job is not None and job.running:
        session.notify("This conversation is being answered: stop it first, or wait.")
        return
    try:
        returned = return_to(state.saver, thread, chosen.chosen().council, other.head)
        if not state.wait_for(returned):
            state.store.drop_answer(thread, other.question)
            session.notify("That answer is not stored any more.")
            return
    except MixtureError as error:
        session.notify(str(error))
        return
    if turn.answer is not None:
        left = KeptAnswer(question=question, first=other.first, head=conversation.head)
        state.store.keep_answer(thread, left)
    else:
        state.store.drop_answer(thread, question)
    state.jobs.forget(thread)
