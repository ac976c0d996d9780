"""Other answers to a question ("2/3"), and a model's comparison of the members' answers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import streamlit as st

from mom_council.councils.schema import Council
from mom_council.deliberation.context import CouncilContext, steady_time
from mom_council.deliberation.selectors import synthesizer_order
from mom_council.errors import MixtureError
from mom_council.graph.council import compile_comparison, compile_council
from mom_council.nodes.comparison import BY_WORDS
from mom_council.runs.follow import RunView
from mom_council.runs.page_store import KeptAnswer, answers_of, show_answer
from mom_council.runs.plan import plan_calls
from mom_council.runs.threads import read_values
from mom_council.ui import council_choice as chosen
from mom_council.ui import safe, session, words
from mom_council.ui.history import Conversation, keep_comparison
from mom_council.ui.session import BackgroundCall, start_call

_NUMBERS = re.compile(r"\bproposals? (\d+(?:(?:, and|,| and| &) \d+)*)", re.IGNORECASE)


def comparison_of(values: Mapping[str, Any], council: Council | None) -> str:
    """The comparison that is stored with a question, with names in place of the numbers."""
    text = str(values.get("comparison") or "")
    if not text or council is None:
        return text
    # The model read numbers, so that no name could please it; the order is drawn by the seed.
    order: Any = synthesizer_order(dict(values), council)  # type: ignore[arg-type]
    names = {str(number): one.character for number, one in enumerate(order, 1)}

    def named(match: re.Match[str]) -> str:
        return re.sub(r"\d+", lambda number: names.get(number[0], number[0]), match[1])

    legend = ", ".join(f"{number}: {name}" for number, name in names.items())
    return f"{_NUMBERS.sub(named, text)}\n\n({legend})"


def draw_comparison(
    view: RunView, council: Council | None, *, thread: str, answer: str, text: str
) -> None:
    """What a model says of the differences; where no model has compared them, the offer to."""
    if text:
        with st.expander("Compared by a model", icon=":material/compare_arrows:", expanded=True):
            st.markdown(safe.markdown(_as_list(text)))
        return
    texts = [seat.text for seat in view.rounds[-1].seats.values() if seat.text]
    if council is None or view.status is None or len(texts) < 2:
        return
    at = f"comparison:{thread}:{answer}"
    call: BackgroundCall[str] | None = st.session_state.get(at)
    if call is not None and call.running:
        _wait(call)
        return
    if call is not None and (error := call.error()):
        st.caption(f":material/error: {safe.inline(words.sentence(error))}")
    if st.button(
        "Have a model compare the answers",
        icon=":material/compare_arrows:",
        type="tertiary",
        key=f"ask-{at}",
        help=_cost(council, texts),
    ):
        st.session_state[at] = start_call(_compare(thread, council))
        st.rerun()


def _as_list(text: str) -> str:
    """One point a line, as the model was asked to write them."""
    return re.sub(r"\n(?=\S)", "\n\n", text)


@st.fragment(run_every=0.5)
def _wait(call: BackgroundCall[str]) -> None:
    if not call.running:
        st.session_state.pop("conversation", None)  # it is read again, with the comparison
        st.rerun()
    st.caption(f"Comparing … {call.seconds:.0f} s")
    st.button("Stop", icon=":material/stop:", type="tertiary", on_click=call.stop)


def _cost(council: Council, texts: list[str]) -> str:
    """What the comparison costs at the most."""
    writer = council.synthesizer.model
    model = council.models[writer].model
    try:
        planned = session.page_state().wait_for(
            plan_calls(council, "\n\n".join(texts), {writer: 1}, name="comparison")
        )
    except MixtureError:
        return f"One call of {model}."
    if planned.usd is None:
        return f"One call of {model}. What it costs is not known here: no prices are set."
    return f"One call of {model}, " + (
        f"at most ${planned.usd:.4f}." if planned.usd else "which costs nothing."
    )


async def _compare(thread: str, council: Council) -> str:
    """Ask the synthesizer's model, and store what it says with the answer.

    Raises:
        MixtureError: it could not be asked, or said nothing of use.
    """
    saver = session.page_state().saver
    values = await read_values(saver, thread)
    # The question's time and budget are over; this call has its own.
    begun = {**values, "asked_at": steady_time(), "segments": [], "notes": [], "status": None}
    after = await compile_comparison(council).ainvoke(begun, context=CouncilContext())
    text, notes = str(after.get("comparison") or ""), after.get("notes") or []
    if not text:
        why = notes[-1].text.removeprefix(BY_WORDS) if notes else "there is nothing to compare"
        raise MixtureError(why)
    await keep_comparison(saver, thread, council, text, after["segments"])
    return text


def draw_other_answers(conversation: Conversation, place: int) -> None:
    """The way to the other answers of a question that was asked more than once."""
    question = str(conversation.turns[place].question.id)
    answers = answers_of(session.page_state().store, conversation.thread, question)
    current = [one.question for one in answers].index(question) if answers else 0
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
        arrow("Former answer", "chevron_left", current - 1)
        count = f"{current + 1}/{len(answers)}"
        st.html(f'<span class="mom-count">{count}</span>', width="content")
        arrow("Next answer", "chevron_right", current + 1)


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
