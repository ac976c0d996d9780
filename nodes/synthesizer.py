"""The synthesizer: writes the council's one answer and its status."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from langgraph.runtime import Runtime

from mom_council.councils.schema import Council
from mom_council.deliberation import conversation, selectors
from mom_council.deliberation.ask_model import (
    ToolAccess,
    ask_model,
    cancelled_segment,
    compose_messages,
    failed_segment,
    tool_access,
)
from mom_council.deliberation.context import AnswerForm, CouncilContext, context_of
from mom_council.deliberation.conversation import UNSEEN
from mom_council.deliberation.events import Answered, Noted, Speaker, emit
from mom_council.deliberation.state import CouncilState, CouncilUpdate
from mom_council.deliberation.status import advise, build_status, message_label
from mom_council.errors import ModelError
from mom_council.models.context_window import PackedPrompt, pack_prompt
from mom_council.models.resolved import resolve_model
from mom_council.models.speaking import Reply
from mom_council.models.tool_offer import ReplyRules, ToolCall
from mom_council.models.tools.toolset import NO_TOOLS, CallerTools
from mom_council.prompts import fill, render, without_marks
from mom_council.records import AnswerFinish, Proposal, Segment, Verdict
from mom_council.voting.dissent import (
    compare,
    contradiction_of,
    dissenting,
    in_words,
    is_short,
    is_unsure,
    most_know_nothing,
    support,
    verdict_in_words,
)

LABEL = "(No synthesizer wrote this: it is the proposal that the council preferred, as it stood.)"

UNSURE = "I do not know. The members do not agree on an answer."
UNKNOWN = "I do not know. Most of the members do not know it."

_MOST_STOPS = 4
"""Texts at which vendors end an answer, OpenAI's count; the door ends it at every one."""
FORM_MISSED = "The answer did not have the form that was asked for, so it is written once more."
ASKED_AGAIN = "The answer contradicted the vote, so it is written once more."
WRITE_AGAIN = (
    "Your answer must agree with the council's. Write it once more, with the answer that the "
    "council settled on; if you have reasons against it, say them in one sentence after it."
)


class WrittenAnswer(NamedTuple):
    """An answer, who wrote it, and what there is to say about that.

    `id` is that of the message whose tokens were streamed: LangGraph's message stream would tell
    an answer with another one a second time.
    """

    text: str
    by: str
    notes: tuple[str, ...]
    segments: tuple[Segment, ...]
    id: str | None = None
    finish: AnswerFinish = "stop"
    calls: tuple[ToolCall, ...] = ()
    fault: str = ""
    """What is wrong with the form of it, as its model is told."""


async def synthesizer(
    state: CouncilState,
    runtime: Runtime[CouncilContext],
    council: Council,
    tools: CallerTools = NO_TOOLS,
) -> CouncilUpdate:
    """Write the council's one answer from the proposals, the verdict and the dissent.

    When the synthesizer and all its fallbacks fail, or the budget leaves no call for it, the
    preferred proposal is the answer, under a label that says so.
    """
    verdict = state["verdicts"][-1]
    standing = selectors.candidates(state, council)
    if spent := _spent(state, runtime, council):
        written = _write_preferred(standing, verdict, f"The budget is spent ({spent}).", ())
    elif council.deliberation.unsure == "decline" and is_unsure(
        verdict, standing, conversation.question_text(state)
    ):
        written = WrittenAnswer(UNKNOWN if most_know_nothing(standing) else UNSURE, "vote", (), ())
    else:
        access = tool_access(council.synthesizer, council, tools)
        faults: list[str] = []
        written = await _write(standing, verdict, state, runtime, council, access, faults)
        written = written._replace(notes=(*written.notes, *faults))
    form = context_of(runtime).form
    if conversation.has_unseen_pictures(state) and not (form and form.json_request):
        written = written._replace(text=f"{written.text}\n\n{UNSEEN}")
    for note in written.notes:
        emit(runtime, Noted(text=note))
    status = build_status(written, standing, verdict, state, council)
    emit(runtime, Answered(text=written.text, status=status, calls=written.calls))
    label = {"council": message_label(status)}
    message = AIMessage(
        content=written.text,
        id=written.id,
        name=re.sub(r"[^\w-]+", "_", council.name),
        response_metadata=label,
        tool_calls=[call.wire for call in written.calls],
    )
    return {"messages": [message], "segments": list(written.segments), "status": status}


async def _write(
    standing: list[Proposal],
    verdict: Verdict,
    state: CouncilState,
    runtime: Runtime[CouncilContext],
    council: Council,
    access: ToolAccess,
    faults: list[str],
) -> WrittenAnswer:
    """Have the synthesizer write; an answer that contradicts the verdict is asked for once more.

    Where it contradicts again, or cannot be asked, the council's own answer is published. What an
    advisory step could not do is added to `faults`.
    """
    form = context_of(runtime).form or AnswerForm()
    read = _as_it_was_read(state, form)
    since = conversation.tool_traffic(state["messages"][len(read["messages"]) :])
    proposals = selectors.synthesizer_order(state, council)

    def compose(texts: list[str]) -> list[AnyMessage]:
        pairs = zip(proposals, texts, strict=True)
        fitted = [one.model_copy(update={"text": text}) for one, text in pairs]
        composed = compose_messages(
            _prompt(fitted, standing, verdict, read, council, form, faults),
            instructions="\n\n".join(
                filter(None, (conversation.caller_instructions(state), form.for_the_writer))
            ),
            conversation=conversation.earlier_messages(read, council, with_tools=bool(form.tools)),
            pictures=conversation.question_pictures(read),
        )
        return [*composed, *since]

    model = resolve_model(council, council.synthesizer.model)
    seconds = selectors.reader_seconds(state, council, context_of(runtime))
    texts = [one.text for one in proposals]
    prompt = await pack_prompt(model, texts, compose, form.params, seconds=seconds)
    write = partial(_write_once, form, standing, verdict, state, runtime, council, access)
    written = await write(prompt)
    can_repeat = selectors.exceeded_budget(state, council, more_calls=2) is None
    if written.fault:
        return await _write_in_form(write, prompt, written, runtime) if can_repeat else written
    if since:
        return written  # what tools gave may speak against the vote
    options = conversation.question_options(state)
    checked = (form, verdict, options, faults)
    contradiction = await asyncio.to_thread(_contradiction, written, *checked)
    if not contradiction:
        return written
    if not can_repeat:
        return _winning_answer(standing, verdict, contradiction, written.segments)
    emit(runtime, Noted(text=ASKED_AGAIN))
    again = await write(
        _answered_with(prompt, written, f"{without_marks(contradiction)} {WRITE_AGAIN}")
    )
    segments = (*written.segments, *again.segments)
    still = await asyncio.to_thread(_contradiction, again, *checked)
    if again.by == "vote" or still:
        return _winning_answer(standing, verdict, still or contradiction, segments)
    return again._replace(segments=segments)


def _as_it_was_read(state: CouncilState, form: AnswerForm) -> CouncilState:
    """The state with the messages alone that the council had read when it spoke."""
    if form.continues_from is None:
        return state
    return {**state, "messages": state["messages"][: form.continues_from]}


def _answered_with(prompt: PackedPrompt, written: WrittenAnswer, words: str) -> PackedPrompt:
    """The prompt, what was written on it, and what is said to that."""
    more: list[AnyMessage] = [AIMessage(written.text or "(nothing)"), HumanMessage(words)]
    return prompt._replace(messages=[*prompt.messages, *more])


async def _write_in_form(
    write: Callable[[PackedPrompt], Awaitable[WrittenAnswer]],
    prompt: PackedPrompt,
    written: WrittenAnswer,
    runtime: Runtime[CouncilContext],
) -> WrittenAnswer:
    """Have an answer written once more whose form cannot be used; the better of the two."""
    emit(runtime, Noted(text=FORM_MISSED))
    words = f"Your answer cannot be used: {written.fault}. Write it once more."
    again = await write(_answered_with(prompt, written, words))
    usable = written if again.by == "vote" and written.text else again
    return usable._replace(segments=(*written.segments, *again.segments))


def _contradiction(
    written: WrittenAnswer,
    form: AnswerForm,
    verdict: Verdict,
    options: Mapping[str, str],
    faults: list[str],
) -> str:
    """What to say where a written answer is another than the council's; empty where it is not."""
    if form.json_request or written.by == "vote" or written.calls:
        return ""
    return advise(
        lambda: contradiction_of(written.text, verdict, options),
        "",
        what="The check of the answer against the vote",
        notes=faults,
    )


async def _write_once(
    form: AnswerForm,
    standing: list[Proposal],
    verdict: Verdict,
    state: CouncilState,
    runtime: Runtime[CouncilContext],
    council: Council,
    access: ToolAccess,
    prompt: PackedPrompt,
) -> WrittenAnswer:
    speaker = Speaker(node="synthesizer", name="synthesizer")
    key = council.synthesizer.model
    began = time.monotonic()
    try:
        async with asyncio.timeout(
            selectors.remaining_seconds(state, council, context_of(runtime))
        ):
            reply, segment = await ask_model(
                runtime,
                speaker,
                resolve_model(council, key),
                prompt.messages,
                notes=prompt.notes,
                schema=form.json_schema,
                params=form.params,
                stop=form.stop[:_MOST_STOPS],
                access=access,
                tools=form.tools,
                rules=ReplyRules(
                    must_call=form.must_call,
                    one_call=form.one_call,
                    as_json=form.as_json,
                    strict=form.strict_schema,
                ),
            )
    except TimeoutError:
        note = f"The budget is spent ({council.budget.seconds:g} seconds)."
        cut = cancelled_segment(speaker, key, began, access)
        return _write_preferred(standing, verdict, note, (cut,))
    except ModelError as error:
        note = f"The synthesizer did not answer: {error}"
        return _write_preferred(standing, verdict, note, (failed_segment(speaker, key, error),))
    text = reply.text.strip()
    fault = await asyncio.to_thread(_form_fault, reply, form) if form.is_demanding else ""
    if calls := _asked_for(reply, form):
        return WrittenAnswer(
            text, reply.model, (), (segment,), reply.id or None, "calls", calls, fault=fault
        )
    if not text and not fault:
        return _write_preferred(standing, verdict, _why_nothing(reply), (segment,))
    return WrittenAnswer(
        text,
        reply.model,
        _notes_on(reply, key),
        (segment,),
        reply.id or None,
        "filtered" if reply.finish == "refused" else reply.finish,
        fault=fault,
    )


def _form_fault(reply: Reply, form: AnswerForm) -> str:
    """What is wrong with the form of a whole reply, for its model to read; empty: nothing."""
    from mom_council.deliberation.answer_check import call_fault, json_fault

    if reply.finish != "stop":
        return ""
    if reply.calls:
        return call_fault(reply.calls, form)
    if form.must_call:
        return "it calls none of the tools, and one has to be called"
    return json_fault(reply.text, form)


def _notes_on(reply: Reply, key: str) -> tuple[str, ...]:
    """What its reader should know of how an answer was written."""
    notes = []
    if reply.finish == "broken":
        notes.append(f"The answer broke off: {reply.detail or reply.finish}.")
    if reply.finish == "length":
        notes.append("The answer was cut off at the model's length limit.")
    if reply.model != key:
        notes.append(f"The fallback {reply.model!r} wrote the answer; {key!r} did not answer.")
    return tuple(notes)


def _asked_for(reply: Reply, form: AnswerForm) -> tuple[ToolCall, ...]:
    """The calls of the caller's tools that a reply asks for: of those that there are, readable."""
    names = {tool["function"]["name"] for tool in form.tools}
    calls = tuple(c for c in reply.calls if c.tool in names and c.arguments is not None)
    return calls[:1] if form.one_call else calls


def _why_nothing(reply: Reply) -> str:
    if reply.finish not in ("refused", "filtered"):
        return "The synthesizer answered nothing."
    words = reply.detail or "the provider withheld the answer"
    return f"The synthesizer declined: {words.rstrip('.')}."


def _prompt(
    proposals: list[Proposal],
    standing: list[Proposal],
    verdict: Verdict,
    state: CouncilState,
    council: Council,
    form: AnswerForm,
    faults: list[str],
) -> Any:
    number = {p.character: i for i, p in enumerate(proposals, 1)}
    is_named = not council.synthesizer.anonymous
    restated = state["annotation"].restated
    against: tuple[str, ...] = ()
    against = advise(
        lambda: dissenting(standing, verdict), against, what="The dissent", notes=faults
    )
    compared = advise(
        lambda: _compare_proposals(proposals, number, state, council),
        "",
        what="The comparison of the proposals",
        notes=faults,
    )
    prompt = render(
        "synthesizer",
        style=council.prompts,
        personality=council.synthesizer.personality,
        question=conversation.question_with_results(state, files_apart=True),
        restated=restated,
        proposals=[
            {
                "text": p.text,
                "support": support(p, verdict, len(standing)),
                "author": p.character if is_named else "",
                "weight": p.weight,
            }
            for p in proposals
        ],
        verdict=verdict_in_words(verdict, number),
        dissent=[f"proposal {number[name]}" for name in against],
        comparison=compared,
        wanted=form.json_request,
    )
    if template := council.synthesizer.template:
        texts = [(p.text, p.weight) for p in proposals]
        return prompt._replace(
            user=fill(
                template,
                conversation.question_with_results(state, files_apart=True),
                restated,
                texts,
            )
        )
    return prompt


def _compare_proposals(
    proposals: list[Proposal], number: dict[str, int], state: CouncilState, council: Council
) -> str:
    """What the proposals have in common and what one alone says, as far as the council wants it."""
    if council.synthesizer.compare == "none":
        return ""
    comparison = state.get("comparison", "") if council.synthesizer.compare == "model" else ""
    return comparison or in_words(
        compare({p.character: p.text for p in proposals}, conversation.question_options(state)),
        number,
        beside=[p.text for p in proposals],
    )


def _write_preferred(
    standing: list[Proposal], verdict: Verdict, why: str, segments: tuple[Segment, ...]
) -> WrittenAnswer:
    best = next((p for p in standing if p.character == verdict.leader), None)
    best = best or max(standing, key=lambda p: p.weight)
    note = f"{why} The answer is the proposal that the council preferred, by {best.character!r}."
    return WrittenAnswer(f"{best.text}\n\n{LABEL}", "vote", (note,), segments)


def _winning_answer(
    standing: list[Proposal], verdict: Verdict, why: str, segments: tuple[Segment, ...]
) -> WrittenAnswer:
    """The answer that won, in place of a text that contradicts it.

    An answer of a few words is the council's own, whoever wrote it down: a note says how it came
    here. A longer text needs the label, because one member alone speaks in it.
    """
    written = _write_preferred(standing, verdict, why, segments)
    text = written.text.removesuffix(LABEL).rstrip()
    return written._replace(text=text) if is_short(text) else written


def _spent(state: CouncilState, runtime: Runtime[CouncilContext], council: Council) -> str | None:
    left = selectors.remaining_seconds(state, council, context_of(runtime))
    if left is not None and left <= 0:
        return f"{council.budget.seconds:g} seconds"
    return selectors.exceeded_budget(state, council)
