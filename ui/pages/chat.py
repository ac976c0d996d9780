"""The chat: ask the council, and watch it work; on the empty page, questions to begin with."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from urllib.parse import urlsplit

import streamlit as st

from mom_council.councils.schema import Council, Model
from mom_council.councils.trust import UntrustedError
from mom_council.errors import ConsentError, DamagedValueError, MixtureError, QuorumError
from mom_council.models.images import TYPES, UPLOAD_MEGABYTES
from mom_council.models.providers import missing
from mom_council.runs.page_store import Thumb
from mom_council.runs.plan import plan_question
from mom_council.ui import council_choice as chosen
from mom_council.ui import safe, session, words
from mom_council.ui.ask_forms import draw_asks
from mom_council.ui.conversation import (
    AVATAR,
    COLUMNS,
    PAST,
    ask_question,
    current_settings,
    draw_buttons,
    draw_debate,
    draw_edit,
    draw_past_answer,
    draw_progress,
    draw_question,
    draw_text,
    resume_question,
    shown_turns,
    stop_question,
    take_refused_text,
)
from mom_council.ui.council_choice import draw_choice
from mom_council.ui.council_panel import (
    PAINTER,
    SYNTHESIZER,
    draw_label,
    draw_open_answer,
    draw_panel,
    draw_plan,
    progress,
    wants_to_read,
)
from mom_council.ui.frame import LONGEST, NAME, draw_keys, focus, go
from mom_council.ui.history import Conversation, read_conversation
from mom_council.ui.jobs import Job
from mom_council.ui.other_answers import comparison_of, draw_comparison, draw_other_answers
from mom_council.ui.panel_rows import face
from mom_council.ui.sidebar import draw_depth, draw_settings, draw_threads
from mom_council.vendors import vendor_of

EVERY = 0.25
"""Seconds between two drawings of a running question."""
_LOOK_AGAIN = 2.0
"""Seconds between two looks at a stopped question, which another tab may resume."""


def page() -> None:
    """Draw the chat."""
    try:
        session.page_state()
    except MixtureError as error:
        st.error(safe.inline(words.sentence(str(error))))
        return
    thread = _admit_thread(session.thread())
    _follow_thread(thread)
    council = _sidebar()
    for text in st.session_state.pop("said", []):
        st.warning(safe.inline(words.sentence(text)))
    if council is None:
        return
    job = session.page_state().jobs.of(thread) if thread else None
    # Read once: a page that drew one half of a running question and one half of its end would stay
    # so, because nothing in it looks again.
    running = job is not None and job.running
    _input(council, thread, busy=running)
    if thread and running:
        _draw_stop(thread)
    else:
        with st.bottom:
            draw_depth(council)
    if thread is None:
        draw_suggestions(council)
    else:
        try:
            _draw_thread(thread, council, job, running=running)
            draw_open_answer()
            draw_debate()
        except DamagedValueError as error:
            st.error(safe.inline(words.sentence(str(error))))
    state = f"{job.state}-{job.began}" if job else ""
    focus(thread or "", state)


def _admit_thread(thread: str | None) -> str | None:
    """The thread, where it is this reader's to see."""
    if thread is None:
        return None
    entry = session.page_state().store.find(thread)
    if entry is not None and entry.reader == session.reader():
        return thread
    st.info("There is no conversation of yours at this address.")
    return None


def _follow_thread(thread: str | None) -> None:
    """With another thread its council comes along."""
    if thread == session.setting("shown", None):
        return
    session.keep_setting("shown", thread)
    entry = session.page_state().store.find(thread) if thread else None
    if entry is not None:
        chosen.choose(entry.council)


def _sidebar() -> Council | None:
    """The column at the left; what keeps the council from being asked stands in the page itself."""
    with st.sidebar:
        draw_threads()
        st.divider()
        draw_choice()
        try:
            now = chosen.chosen()
        except MixtureError as error:
            refused = error
        else:
            for notice in now.notices:
                st.caption(safe.inline(notice))
            st.session_state["settings"] = draw_settings(now.council)
            draw_keys()
            return now.council
    if isinstance(refused, UntrustedError):
        chosen.draw_trust(refused.review)
    elif isinstance(refused, ConsentError):
        chosen.draw_consent(refused)
    else:
        st.error(safe.inline(words.sentence(str(refused))))
        st.caption("Correct it and load the page again, or choose another council.")
    return None


def _input(council: Council, thread: str | None, *, busy: bool) -> None:
    if refused := take_refused_text():
        st.session_state["question"] = refused
    entry = st.chat_input(
        "The council is answering …" if busy else f"Ask {safe.plain(council.name)}",
        accept_file="multiple",
        file_type=list(TYPES),
        max_upload_size=UPLOAD_MEGABYTES,
        max_chars=LONGEST,
        disabled=busy,
        key="question",
    )
    if entry:
        ask_question(entry.text, entry.files)
        st.rerun()


def _draw_stop(thread: str) -> None:
    """Below the question's field, where it is at hand however far somebody scrolls."""
    with st.bottom:
        st.button(
            "Stop",
            icon=":material/stop_circle:",
            key=f"stop-{thread}",
            shortcut="Esc",
            on_click=stop_question,
            args=(thread,),
        )


def _draw_thread(thread: str, council: Council, job: Job | None, *, running: bool) -> None:
    conversation = _talk(thread, council, job)
    removed = job.removed if job is not None and running else frozenset[str]()
    turns = shown_turns(conversation, removed, running=running)
    thumbs = session.page_state().store.thumbs(thread)
    first = max(0, len(turns) - PAST) if not session.setting(f"all-{thread}", False) else 0
    if first and st.button(f"Show {first} earlier questions", type="tertiary"):
        session.keep_setting(f"all-{thread}", True)
        st.rerun()
    past = len(turns) if running else len(turns) - 1
    for place in range(first, past):
        with st.container(key=f"turn-{turns[place].question.id}"):
            draw_question(turns[place].question)
            draw_past_answer(conversation, place, thumbs, council)
    # The last turn is one element, from its first word to the end: nothing in it changes its place.
    with st.container(key=f"turn-last-{thread}"):
        if job is not None and running:
            question = job.question or (
                conversation.turns[-1].question if conversation.turns else None
            )
            if question is not None:
                draw_question(question)
            _draw_live(thread)
        elif turns:
            draw_question(turns[-1].question)
            _draw_last(conversation, council, job, thumbs)


def _talk(thread: str, council: Council, job: Job | None) -> Conversation:
    """The thread as it is kept; read again only when a job has changed it."""
    state = session.page_state()
    # Whichever tab shows another answer of a question keeps where it left this one.
    stamp = (thread, *_stamp(job), state.store.answers(thread))
    held = st.session_state.get("conversation")
    if held is None or held[0] != stamp:
        conversation = state.wait_for(read_conversation(state.saver, thread, council))
        held = st.session_state["conversation"] = (stamp, conversation)
        state.store.keep_text(thread, conversation.text)
    stored: Conversation = held[1]
    return stored


@st.fragment(run_every=EVERY)
def _draw_live(thread: str) -> None:
    """The running question, drawn anew again and again; touching a slider does not touch it."""
    job = session.page_state().jobs.of(thread)
    if job is None or not job.running or wants_to_read():
        st.rerun()
    view, debug = job.view(), current_settings().debug
    # A tab in the background says in its title that a person is waited for.
    st.set_page_config(page_title=f"● {NAME}" if job.asks else NAME)
    answer, panel = st.columns(COLUMNS, gap="medium")
    with answer, st.chat_message("assistant", avatar=AVATAR):
        line = progress(view, live=True) + (" · waiting for you" if job.asks else "")
        draw_progress(line, thread, since=job.seconds)
        with st.container(key=f"answer-{thread}"):
            writing = view.voices.get(SYNTHESIZER) or view.voices.get(PAINTER)
            text = safe.markdown(writing.text) if writing is not None else ""
            st.markdown(text or ":gray[The answer will be here.]")
        draw_asks(thread, job.asks, job.context.method or job.council.deliberation.method)
    with panel:
        draw_panel(view, job.council, live=True, heat_at=job.heat_at, debug=debug, key=thread)


def _draw_last(
    conversation: Conversation, council: Council, job: Job | None, thumbs: dict[str, Thumb]
) -> None:
    """The last question: its answer, or how it ended; beside it how the council worked."""
    debug, last = current_settings().debug, conversation.turns[-1].answer
    view, thread = conversation.view, conversation.thread
    if job is not None and (seen := job.view()).rounds:
        view = seen  # it holds the prompts too, and what was cut off
    answer, panel = st.columns(COLUMNS, gap="medium")
    with answer, st.chat_message("assistant", avatar=AVATAR):
        has_failed = job is not None and job.error is not None and last is None
        draw_progress("No answer" if has_failed else progress(view, live=False), thread)
        with st.container(key=f"answer-{thread}"):
            if last is not None:
                draw_text(last)
            elif job is not None and job.error is not None:
                draw_failure(job.error)
            elif conversation.is_open:
                st.info(
                    "This question was stopped before it was answered. What was finished is kept."
                )
        if last is not None:
            if view.status is not None:
                draw_label(view.status)
            place = len(conversation.turns) - 1
            draw_buttons(conversation, place, thumbs.get(str(last.id)), council)
        if conversation.is_open:
            _draw_resume(conversation)
            draw_other_answers(conversation, len(conversation.turns) - 1)
            _follow_others(thread, _stamp(job))
    with panel:
        if view.rounds:
            drawn = job.council if job is not None else council
            compared = partial(
                draw_comparison,
                view,
                drawn,
                thread=thread,
                answer=str(last.id) if last is not None else "",
                text=comparison_of(conversation.values, drawn),
            )
            draw_panel(
                view,
                drawn,
                live=False,
                heat_at=0.0,
                debug=debug,
                key=thread,
                draw_comparison=compared,
            )


def _stamp(job: Job | None) -> tuple[float, str]:
    return (job.began, job.state) if job else (0.0, "")


@st.fragment(run_every=_LOOK_AGAIN)
def _follow_others(thread: str, stamp: tuple[float, str]) -> None:
    """Draw the page anew when another tab goes on with this question."""
    if _stamp(session.page_state().jobs.of(thread)) != stamp:
        st.rerun()


def _draw_resume(conversation: Conversation) -> None:
    entry = session.page_state().store.find(conversation.thread)
    with st.container(horizontal=True, gap="xsmall"):
        st.button(
            "Resume",
            icon=":material/play_circle:",
            type="primary",
            on_click=resume_question,
            args=(conversation.thread, entry.council if entry else ""),
            key=f"resume-{conversation.thread}",
        )
        draw_edit(conversation, len(conversation.turns) - 1)


def draw_failure(error: MixtureError) -> None:
    """What went wrong, one line for each member that is missing, and what to do."""
    if not isinstance(error, QuorumError) or not error.absences:
        st.error(safe.inline(words.sentence(str(error))))
        return
    lines = [f"- {safe.inline(words.why_absent(one))}" for one in error.absences]
    what = safe.inline(words.sentence(error.what.partition(" (")[0]))
    st.error("\n".join((what, "", *lines)))
    st.caption(
        "Fix the cause and press Resume: who has answered is not asked again. Or choose another "
        "council and ask again."
    )


SMALL = ("What is 17 + 25?", "Which is larger, 17 or 71?", "What kind of thing is an oak?")
"""What models of a megabyte know."""
LARGE = (
    "Is it better to rent or to buy a home?",
    "A bat and a ball cost 1.10 together, the bat 1 more than the ball. What costs the ball?",
    "What is the strongest argument against your own first answer to: should cities ban cars?",
)
_PERSONA = 120


def draw_suggestions(council: Council) -> None:
    """A word of welcome: who sits, what a question takes, and three questions to begin with."""
    with st.container(key="welcome"):
        st.html(
            '<div class="mom-hero"><h1>Ask the council</h1><p>Each member answers on its own. They '
            "vote, and one answer is written from what holds up. You see who disagrees, and why."
            "</p></div>"
        )
        about = f": {council.description}" if council.description else ""
        st.markdown(f"**{safe.inline(council.name)}**{safe.inline(about)}")
        st.html(f'<div class="mom-seats">{"".join(_seats(council))}</div>')
        with st.container(horizontal=True, vertical_alignment="center", key="welcome-cost"):
            if line := _question_cost(council):
                st.caption(line)
            if st.button("Change the members", icon=":material/edit:", type="tertiary"):
                go("editor")
            if missing(council.models.values()) and st.button(
                "How to get what is missing", icon=":material/key:", type="tertiary"
            ):
                go("models")
        small = {model.model for model in council.models.values()} <= {"tiny-1", "tiny-2", "tiny-3"}
        questions = SMALL if small else LARGE
        for number, (question, column) in enumerate(
            zip(questions, st.columns(len(questions)), strict=True)
        ):
            column.button(
                question,
                key=f"suggestion-{number}",
                on_click=ask_question,
                args=(question,),
                width="stretch",
            )
        with st.expander("How this council works", icon=":material/schema:"):
            draw_plan(council)


def _seats(council: Council) -> Iterator[str]:
    for place, one in enumerate(council.characters):
        portrait, model = face(one.name, place), council.models[one.model]
        about = safe.one_line(one.personality, _PERSONA)
        needs = "".join(
            f'<p class="mom-absent">{safe.plain(safe.one_line(need.what, 90))}</p>'
            for need in missing([model])
        )
        yield (
            f'<div class="mom-seat"><span class="mom-face mom-c{portrait["colour"]}" '
            f'aria-hidden="true">{safe.plain(portrait["initial"])}</span><div>'
            f"<b>{safe.plain(portrait['name'])}</b>"
            f"<p>{safe.plain(safe.one_line(_answers_by(model), 70))}</p>"
            f"<p>{safe.plain(about)}</p>{needs}</div></div>"
        )


def _answers_by(model: Model) -> str:
    """Which model a member answers with, and where that model runs."""
    vendor = vendor_of(model.provider)
    if vendor.is_person:
        return "a person, who is asked here"
    if vendor.engine:
        return f"{model.model} · on this machine"
    if model.base_url:
        return f"{model.model} · at {urlsplit(model.base_url).netloc}"
    return f"{model.model} · {vendor.title}"


def _question_cost(council: Council) -> str:
    """What one question takes at the most, in a line; empty where that cannot be said."""
    limit = current_settings().max_rounds
    rules = council.deliberation
    if limit is not None:
        rounds = rules.rounds.model_copy(update={"max": limit, "min": min(limit, rules.rounds.min)})
        rules = rules.model_copy(update={"rounds": rounds})
    try:
        plan = session.page_state().wait_for(
            plan_question(council.model_copy(update={"deliberation": rules}), LARGE[0])
        )
    except MixtureError:
        return ""
    calls = f"A question takes at most {words.counted(plan.calls, 'call')}"
    if plan.usd is None:
        return f"{calls}. What they cost is not known here: no prices are set."
    return f"{calls} and costs nothing." if plan.usd == 0 else f"{calls} and ${plan.usd:.2f}."
