"""The answers of a question that was asked more than once: "2/3", and the way to the others."""

from __future__ import annotations

import streamlit as st

from mom_council.errors import MixtureError
from mom_council.graph.council import compile_council
from mom_council.runs.other_answers import answers_of, show_answer
from mom_council.runs.page_store import KeptAnswer
from mom_council.ui import council_choice as chosen
from mom_council.ui import session
from mom_council.ui.history import Conversation


def draw_other_answers(conversation: Conversation, place: int) -> None:
    """The way to the other answers of a question that was asked more than once."""
    question = str(conversation.turns[place].question.id)
    answers = answers_of(session.page_state().store, conversation.thread, question)
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
            on_click=_show,
            args=(conversation, place, answers[min(max(to, 0), len(answers) - 1)]),
        )

    with st.container(horizontal=True, gap=None, vertical_alignment="center", width="content"):
        arrow("Former answer", "chevron_left", shown - 1)
        count = f"{shown + 1}/{len(answers)}"
        st.html(f'<span class="mom-count">{count}</span>', width="content")
        arrow("Next answer", "chevron_right", shown + 1)


def _show(conversation: Conversation, place: int, other: KeptAnswer) -> None:
    state, thread, turn = session.page_state(), conversation.thread, conversation.turns[place]
    job = state.jobs.of(thread)
    if job is not None and job.running:
        session.notify("This conversation is being answered: stop it first, or wait.")
        return
    try:
        graph = compile_council(chosen.chosen().council, state.saver)
        is_shown = state.wait_for(
            show_answer(
                graph,
                state.store,
                thread,
                other,
                current=str(turn.question.id),
                head=conversation.head if turn.answer is not None else "",
            )
        )
    except MixtureError as error:
        session.notify(str(error))
        return
    if not is_shown:
        session.notify("That answer is not stored any more.")
        return
    state.jobs.forget(thread)
