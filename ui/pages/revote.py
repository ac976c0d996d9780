"""The re-vote page: a past question of this reader, counted by other rules.

No model is asked, but a synthesizer where somebody wants a new answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import streamlit as st
from langchain_core.messages import AIMessage

from mom_council.councils.schema import Council
from mom_council.deliberation import selectors
from mom_council.deliberation.context import CouncilContext, steady_time
from mom_council.errors import MixtureError
from mom_council.graph.council import compile_synthesizer
from mom_council.records import AnswerKind, Ballot, Option, Proposal, Status, Verdict
from mom_council.runs.page_store import ListedThread
from mom_council.runs.threads import read_values
from mom_council.ui import council_choice as chosen
from mom_council.ui import frame, safe, session
from mom_council.ui.council_panel import draw_ballots
from mom_council.ui.history import PastTurn, read_conversation, replace_answer
from mom_council.ui.jobs import BusyError
from mom_council.ui.safe import inert, one_line
from mom_council.ui.session import BackgroundCall, start_call
from mom_council.voting.methods import METHODS
from mom_council.voting.revote import Revote, revote
from mom_council.voting.stopping import explain

if TYPE_CHECKING:
    from mom_council.deliberation.state import CouncilState


def page() -> None:
    """Draw the page."""
    st.title("Re-vote", anchor=False)
    st.caption("A question of a conversation, counted by other rules. Nobody is asked again.")
    entries = session.page_state().store.of(session.reader())
    if not entries:
        st.info("There is no conversation yet.", icon=":material/how_to_vote:")
        return
    entry = entries[_choose_entry(entries)]
    if st.button("Back to the conversation", icon=":material/arrow_back:", type="tertiary"):
        frame.go("chat", thread=entry.id)
    try:
        council = chosen.open_source(entry.council).council
        state = session.page_state()
        conversation = state.wait_for(read_conversation(state.saver, entry.id, council))
        answers = [turn for turn in conversation.turns if turn.answer is not None]
        answer = _question(answers, entry.id)
        values = _values(entry, council, answer)
    except MixtureError as error:
        st.error(inert(error, 600))
        return
    _draw(values, council, f"{entry.id}:{answer}", entry.id)


def _choose_entry(entries: list[ListedThread]) -> int:
    ids = [entry.id for entry in entries]
    open_thread = session.thread() or session.setting("shown", None)
    at = st.selectbox(
        "Conversation",
        range(len(ids)),
        index=ids.index(open_thread) if open_thread in ids else 0,
        format_func=lambda index: one_line(entries[index].title, 90) or "(no title)",
        key="revote-thread",
    )
    return at or 0


def _question(answered: list[PastTurn], thread: str) -> str:
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


def _values(entry: ListedThread, council: Council, answer: str) -> dict[str, Any]:
    """What the question left behind; read once, for every touch of a slider comes by here."""
    at = (entry.id, answer, entry.used)
    held = st.session_state.get("revote-values")
    if held is None or held[0] != at:
        state = session.page_state()
        read = read_values(state.saver, entry.id, answer)
        held = st.session_state["revote-values"] = (at, state.wait_for(read))
    values: dict[str, Any] = held[1]
    return values


def _draw(values: dict[str, Any], council: Council, key: str, thread: str) -> None:
    questions = [m for m in values.get("messages", ()) if m.type == "human"]
    if questions:
        st.markdown(f"**{inert(questions[-1].text, 400)}**")
    if values.get("status") is None:
        st.caption("This question has no answer yet.")
        return
    # Another question in the same thread gets widgets of its own.
    draw_revote(values, council, key=key, thread=thread)


_IN_A_ROW = 4
_METHODS = tuple(METHODS)


@st.fragment
def draw_revote(values: Mapping[str, Any], council: Council, *, key: str, thread: str = "") -> None:
    """Draw the panel under a finished question.

    Args:
        values: of the thread, as its graph's state has them.
        council: who answered.
        key: tells this panel's widgets from another's: the thread and the turn.
        thread: the conversation that may take over a new answer; empty: none.
    """
    stood = standing(values, council)
    if stood is None or stood.verdict is None:
        st.caption("There are no proposals to vote on.")
        return
    rules, ballots = st.columns([2, 1], gap="medium")
    with rules:
        again = _rules(stood, council, key)
    with ballots:
        st.caption("Ballots")
        draw_ballots(stood.ballots)
    _compare(stood, again, council)
    _written(values, council, again, _apply_weights(stood, key), key)
    _draw_take_over(values, council, key, thread)


def _rules(stood: LastRound, council: Council, key: str) -> Revote:
    """The other rules, and what they come to."""
    then = stood.verdict.method if stood.verdict else council.deliberation.method
    left, right = st.columns(2)
    with left:
        method = st.selectbox(
            "Voting method",
            _METHODS,
            index=_METHODS.index(then) if then in _METHODS else 0,
            key=f"revote-method:{key}",
            help="Ballots that were cast another way are read as far as they go.",
        )
    with right:
        threshold = st.slider(
            "Threshold",
            0.0,
            1.0,
            council.deliberation.threshold,
            0.05,
            key=f"revote-threshold:{key}",
            help="The share of the tally that counts as agreement.",
        )
    st.caption("Weights")
    columns = st.columns(min(_IN_A_ROW, len(stood.proposals)))
    for place, proposal in enumerate(stood.proposals):
        with columns[place % _IN_A_ROW]:
            st.number_input(
                inert(proposal.character, 40),
                0.0,
                1000.0,
                float(proposal.weight),
                0.5,
                key=_weight_key(key, proposal),
            )
    return revote(
        stood.proposals,
        stood.ballots,
        method=method or then,
        deliberation=council.deliberation,
        weights=_weights(stood, key),
        threshold=threshold,
        kind=stood.kind,
    )


def _compare(stood: LastRound, again: Revote, council: Council) -> None:
    """What it comes to, beside what it came to."""
    then = stood.verdict
    if then is None:
        return
    same = then.leader == again.verdict.leader
    mark = ":material/check_circle:" if same else ":material/swap_horiz:"
    words = "The same proposal leads" if same else "Another proposal leads"
    if again.verdict.leader is None:
        mark, words = ":material/remove:", "Nobody leads"
    reached = "" if again.verdict.leader is None else _say_agreement(again)
    with st.container(border=True, key=f"revote-{'same' if same else 'other'}"):
        st.markdown(f"{mark} **{words}{reached}**")
        st.markdown(f"Now: {inert(again.why, 500)}")
        st.caption(f"Then: {inert(explain(then, council.deliberation), 500)}")
        for note in again.notes:
            st.caption(f":material/info: {inert(note, 500)}")
        for option in again.verdict.options:
            _bar(option)
    _proposal(stood, again)


def _say_agreement(again: Revote) -> str:
    return ", and that is agreement" if again.agreed else ", without agreement"


def _bar(option: Option) -> None:
    names = inert(", ".join(option.members), 120)
    answer = f" · {inert(option.display_answer, 80)}" if option.answer else ""
    st.progress(min(1.0, option.share), text=f"{names}{answer} · {option.share:.0%}")


def _proposal(stood: LastRound, again: Revote) -> None:
    leading = next((p for p in stood.proposals if p.character == again.verdict.leader), None)
    if leading is not None:
        with st.expander(f"What {inert(leading.character, 60)} proposed"):
            st.markdown(safe.markdown(leading.text))


def _written(
    values: Mapping[str, Any],
    council: Council,
    again: Revote,
    proposals: list[Proposal],
    key: str,
) -> None:
    """Another answer from the same proposals, when it is asked for."""
    keys = [*council.models]
    at = f"revote-call:{key}"
    call: BackgroundCall[RewrittenAnswer] | None = st.session_state.get(at)
    running = call is not None and call.running
    with st.container(horizontal=True, vertical_alignment="bottom"):
        model = st.selectbox(
            "Synthesizer",
            keys,
            index=keys.index(council.synthesizer.model),
            key=f"revote-writer:{key}",
        )
        pressed = st.button(
            "Rewrite answer",
            key=f"revote-write:{key}",
            icon=":material/edit_note:",
            disabled=running,
            help="One call of this model, with the same proposals and this count",
        )
    if pressed:
        work = rewrite(values, council, again.verdict, key=model, proposals=proposals)
        call = st.session_state[at] = start_call(work)
    if call is not None:
        _follow(at, running=call.running)


def _follow(at: str, *, running: bool) -> None:
    """What came of the call; looked for until it is there."""

    @st.fragment(run_every=0.5 if running else None)
    def answer() -> None:
        call: BackgroundCall[RewrittenAnswer] = st.session_state[at]
        if call.running:
            st.caption(f"Writing … {call.seconds:.0f} s")
            st.button("Stop", key=f"{at}:stop", icon=":material/stop:", on_click=call.stop)
        elif running:
            st.rerun()
        else:
            _answer(call)

    answer()


def _answer(call: BackgroundCall[RewrittenAnswer]) -> None:
    if error := call.error():
        st.error(inert(error, 600), icon=":material/error:")
        return
    answer = call.result()
    if answer is None:
        return
    with st.container(border=True, key="revote-answer"):
        st.markdown(safe.markdown(answer.text))
        usage = answer.status.usage
        facts = [f"written by {inert(answer.status.written_by, 60)}", f"{usage.seconds:.1f} s"]
        if usage.tokens is not None:
            facts.append(f"{usage.tokens:,} tokens")
        st.caption(" · ".join(facts))
        for note in answer.status.notes:
            st.caption(f":material/info: {inert(note, 500)}")


def _draw_take_over(values: Mapping[str, Any], council: Council, key: str, thread: str) -> None:
    """The way of a new answer into the conversation, in the place of the old one."""
    call: BackgroundCall[RewrittenAnswer] | None = st.session_state.get(f"revote-call:{key}")
    written = call.result() if call is not None else None
    if not thread or written is None:
        return
    if st.button(
        "Use this answer in the conversation",
        key=f"revote-take:{key}",
        icon=":material/input:",
        help="It takes the place of the old answer.",
    ):
        answer = written.message.model_copy(update={"id": values["messages"][-1].id})
        state = session.page_state()
        try:
            if (job := state.jobs.of(thread)) is not None and job.running:
                raise BusyError("this conversation is being answered", cure="stop it, or wait")
            state.wait_for(replace_answer(state.saver, thread, council, answer, written.status))
        except MixtureError as error:
            st.error(inert(error, 600))
            return
        # What is remembered of the old answer is read again.
        state.jobs.forget(thread)
        for held in ("conversation", "revote-values"):
            st.session_state.pop(held, None)
        frame.go("chat", thread=thread)


def _weights(stood: LastRound, key: str) -> dict[str, float]:
    weights = {p.character: st.session_state.get(_weight_key(key, p)) for p in stood.proposals}
    return {name: float(weight) for name, weight in weights.items() if weight is not None}


def _apply_weights(stood: LastRound, key: str) -> list[Proposal]:
    weights = _weights(stood, key)
    return [
        proposal.model_copy(update={"weight": weights.get(proposal.character, proposal.weight)})
        for proposal in stood.proposals
    ]


def _weight_key(key: str, proposal: Proposal) -> str:
    return f"revote-weight:{key}:{proposal.character}"


@dataclass(frozen=True)
class LastRound:
    """What the last round of a question left behind."""

    proposals: tuple[Proposal, ...]
    ballots: tuple[Ballot, ...]
    kind: AnswerKind
    verdict: Verdict | None
    """How it was counted then."""


@dataclass(frozen=True)
class RewrittenAnswer:
    """Another answer from the same proposals."""

    message: AIMessage
    status: Status

    @property
    def text(self) -> str:
        """What it says."""
        return str(self.message.text)


def standing(values: Mapping[str, Any], council: Council) -> LastRound | None:
    """What stood at the end; None where there is nothing to count."""
    state = cast("CouncilState", values)
    if not values.get("proposals"):
        return None
    proposals = selectors.candidates(state, council)
    turn = selectors.current_turn(state)
    annotation, verdicts = values.get("annotation"), values.get("verdicts") or ()
    return LastRound(
        proposals=tuple(proposals),
        ballots=tuple(b for b in values.get("ballots", ()) if b.round == turn.round),
        kind=annotation.kind if annotation else "unknown",
        verdict=verdicts[-1] if verdicts else None,
    )


async def rewrite(
    values: Mapping[str, Any],
    council: Council,
    verdict: Verdict,
    *,
    key: str,
    proposals: Sequence[Proposal],
) -> RewrittenAnswer:
    """Ask a synthesizer anew, with the same proposals and another verdict: one call of a model.

    Args:
        values: of the finished question.
        council: who answered it.
        verdict: what it is told of the vote.
        key: the model that writes.
        proposals: as they were weighed for the verdict.
    """
    writer = council.synthesizer.model_copy(update={"model": key})
    weighed = {proposal.id: proposal for proposal in proposals}
    # The question's time and budget are over; this call has its own.
    state = {
        **values,
        "asked_at": steady_time(),
        "proposals": [weighed.get(one.id, one) for one in values["proposals"]],
        "verdicts": [verdict],
        "segments": [],
        "notes": [],
        "status": None,
    }
    graph = compile_synthesizer(council.model_copy(update={"synthesizer": writer}))
    result = await graph.ainvoke(state, context=CouncilContext())
    status = result["status"]
    if status is None:
        raise AssertionError("the synthesizer always says how it came to its answer")
    return RewrittenAnswer(message=result["messages"][-1], status=status)
