"""How a node asks a model: what is sent, which events are emitted, and what is recorded.

Speaking with tools inside a run: told as events, approved by a person, remembered over a stop.

A node that was killed, or interrupted for approval, runs again from its start when its run goes on.
What it had done by then (requests to models, calls of tools) stands in the journal, where the run
keeps its thread, and is neither paid nor done a second time.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from langchain_core.messages import AnyMessage, SystemMessage
from langchain_core.runnables import RunnableConfig
from langgraph.runtime import Runtime

from mom_council.councils.schema import Character, Council, Synthesizer, Tool
from mom_council.deliberation.context import CouncilContext, context_of
from mom_council.deliberation.conversation import NO_PICTURES, Pictures, with_pictures
from mom_council.deliberation.events import (
    Called,
    Finished,
    ModelAsked,
    Noted,
    Returned,
    Speaker,
    TokenBatcher,
    Waited,
    emit,
)
from mom_council.deliberation.people import ask_person
from mom_council.deliberation.selectors import spends_within_limits
from mom_council.deliberation.state import CouncilState
from mom_council.errors import CouncilError, ModelError, ModelUnavailableError, OverBudgetError
from mom_council.models.journal import begin_journal, open_record
from mom_council.models.prices import begin_charging, begin_count, drop_counted, take_counted
from mom_council.models.resolved import ResolvedModel
from mom_council.models.retry import Listener, Wait, listening
from mom_council.models.speaking import Reply, speak
from mom_council.models.tool_offer import ReplyRules, ToolCall, ToolDefinition, ToolResult
from mom_council.models.tools.tool_loop import (
    Approve,
    Decision,
    ToolCallbacks,
    speak_with_tools,
)
from mom_council.models.tools.toolset import CallerTools, open_toolset
from mom_council.prompts import Prompt, tries_to_act
from mom_council.records import Absence, AbsenceReason, Note, Segment, Usage
from mom_council.redaction import redact
from mom_council.seams.langgraph import has_checkpointer

if TYPE_CHECKING:
    from mom_council.deliberation.interrupts import HumanDecision

_LONGEST_TEXT = 500
"""Characters of arguments and results that an event carries."""


async def begin_calls(
    state: CouncilState, runtime: Runtime[Any], council: Council, node: str
) -> None:
    """Have a node's calls written down, counted, and charged to the question's budget, if any.

    It holds until the node's end, because LangGraph runs each in a task of its own.
    """
    begin_journal(runtime)
    begin_count()
    if spends_within_limits(council):
        from mom_council.deliberation.budget import open_account

        begin_charging(await open_account(state, runtime, council, node))


@dataclass(frozen=True, slots=True)
class ToolAccess:
    """What a speaker may use: names of tools, how often, and what the caller handed over."""

    names: tuple[str, ...] = ()
    limit: int = 8
    tools: Mapping[str, Tool] = field(default_factory=dict)
    """The council's, by their names."""
    caller_tools: CallerTools = field(default_factory=dict)
    spent: list[Usage] = field(default_factory=list)
    """What its speaker's turns have cost so far, for when it is cut off."""


def tool_access(
    who: Character | Synthesizer, council: Council, caller_tools: CallerTools
) -> ToolAccess:
    """What a character or the synthesizer may use."""
    return ToolAccess(who.tools, who.tool_calls, council.tools, caller_tools)


async def speak_with_access(
    access: ToolAccess,
    runtime: Runtime[Any],
    speaker: Speaker,
    model: ResolvedModel,
    messages: Sequence[AnyMessage],
    batcher: TokenBatcher,
    **asking: Any,
) -> tuple[Reply, int]:
    """As `speak`, with tools; returns the answer and how many calls were made.

    Raises:
        ModelUnavailableError: and its like, as `speak` does; CouncilError for a tool as well.
    """
    toolset = await open_toolset(access.tools, access.names, access.limit, access.caller_tools)

    def called(call: ToolCall, needs_approval: bool) -> None:
        batcher.close()  # what was said before it
        event = Called(
            speaker=speaker,
            id=call.id,
            tool=call.tool,
            arguments=_short(call.words),
            needs_approval=needs_approval,
        )
        emit(runtime, event)

    def returned(result: ToolResult) -> None:
        shortened = result.model_copy(update={"text": _short(result.text)})
        emit(runtime, Returned(speaker=speaker, **shortened.model_dump()))

    def turned(reply: Reply) -> None:
        access.spent.append(reply.usage)
        take_counted()

    callbacks = ToolCallbacks(called, returned, turned)
    if has_checkpointer():
        approve = _build_approval(runtime, speaker) if context_of(runtime).can_ask else None
        callbacks = replace(callbacks, approve=approve, record=open_record)
    return await speak_with_tools(model, messages, toolset, callbacks, on_text=batcher, **asking)


def _build_approval(runtime: Runtime[Any], speaker: Speaker) -> Approve:
    def approve(calls: Sequence[ToolCall]) -> Mapping[str, Decision]:
        from mom_council.deliberation.interrupts import interrupt_in_turn

        decided: dict[str, Decision] = {}
        left = [*calls]
        while left:  # a client that shows one call answers one: the others are asked about again
            reply = interrupt_in_turn(runtime, _approval_request(speaker, left))
            decided |= read_decisions(reply, left)
            left = [call for call in left if call.id not in decided]
        return decided

    return approve


def _approval_request(speaker: Speaker, calls: Sequence[ToolCall]) -> dict[str, Any]:
    from mom_council.deliberation.interrupts import Action, review_request

    actions = [
        Action(call.tool, call.arguments or {}, f"{speaker.name} wants to call {call.tool!r}.")
        for call in calls
    ]
    return {
        "kind": "approve",
        "speaker": speaker.model_dump(),
        "calls": [call.model_dump() for call in calls],
        **review_request(actions, ["approve", "edit", "reject", "respond"]),
    }


def read_decisions(reply: Any, calls: Sequence[ToolCall]) -> dict[str, Decision]:
    """What a resume value says about these calls, by their ids.

    Decisions in the shapes of LangChain's human-in-the-loop stand in the order of the calls, and
    may be about the first of them alone; every other value decides about all.
    """
    from mom_council.deliberation.interrupts import read_reviews

    reviews = read_reviews(reply)
    if reviews is None:
        return {call.id: read_decision(reply, call.id) for call in calls}
    return {
        call.id: _reviewed_decision(review, call)
        for call, review in zip(calls, reviews, strict=False)
    }


def _reviewed_decision(review: HumanDecision, call: ToolCall) -> Decision:
    from mom_council.deliberation.interrupts import restore_types

    if review.kind == "respond":
        return Decision(False, answer=review.text)
    if review.kind == "edit" and review.name in ("", call.tool):
        arguments = restore_types(review.args, call.arguments or {})
        return Decision(True, None if arguments == call.arguments else arguments)
    if review.kind == "edit":
        return Decision(False, reason=f"they want {review.name!r} to be called instead")
    return Decision(review.kind == "approve", reason=review.text)


def read_decision(reply: Any, call: str) -> Decision:
    """What a resume value says about a call; whatever does not clearly say yes is a no.

    It is a yes or a no for all calls, other arguments for the only call, or a mapping from the
    calls' ids to such.
    """
    if isinstance(reply, Mapping) and isinstance(reply.get("arguments"), Mapping):
        return Decision(True, dict(reply["arguments"]))
    if isinstance(reply, Mapping):
        return read_decision(reply.get(call), call) if call in reply else Decision(False)
    if isinstance(reply, str):
        return Decision(reply.strip().lower() in ("y", "yes", "true", "ok", "allow"))
    return Decision(reply is True)


def _short(text: str) -> str:
    text = redact(text)
    return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]} ..."


def compose_messages(
    prompt: Prompt,
    *,
    instructions: str = "",
    conversation: Sequence[AnyMessage] = (),
    pictures: Pictures = NO_PICTURES,
) -> list[AnyMessage]:
    """The messages of one call: one system message at the most, then the past, then the question.

    Many chat templates refuse a second system message, so the caller's instructions join ours.
    """
    system = "\n\n".join(part for part in (prompt.system, instructions) if part)
    head: list[AnyMessage] = [SystemMessage(system)] if system else []
    return [*head, *conversation, with_pictures(prompt.user, pictures)]


async def ask_model(
    runtime: Runtime[Any],
    speaker: Speaker,
    model: ResolvedModel,
    messages: Sequence[AnyMessage],
    *,
    schema: dict[str, Any] | None = None,
    params: Mapping[str, Any] | None = None,
    stop: Sequence[str] = (),
    access: ToolAccess | None = None,
    tools: Sequence[ToolDefinition] = (),
    rules: ReplyRules | None = None,
    notes: Sequence[Note] = (),
) -> tuple[Reply, Segment]:
    """Have a model speak, telling its tokens as they come.

    Args:
        runtime: the run.
        speaker: who is speaking, for the stream and the trace.
        model: who is asked, from `resolve_model`.
        messages: what it is sent.
        schema: a JSON schema for the reply, where the model can be held to one.
        params: parameters of this call alone, such as a character's temperature.
        stop: texts at which the reply ends.
        access: the tools that it may use.
        tools: the caller's own, which it may ask for in place of an answer; then without those.
        rules: of the form of the reply, beside the schema.
        notes: what a reader should know of the messages, such as that they were shortened.

    Raises:
        ModelError: the model and all its fallbacks failed.
    """
    debug, batcher = context_of(runtime).debug, TokenBatcher(runtime, speaker)
    if batcher.listener is not None:
        prompt = tuple((m.type, m.text) for m in messages) if debug else ()
        emit(runtime, ModelAsked(speaker=speaker, model=model.key, prompt=prompt))
    try:
        options, calls = _call_options(runtime, speaker, params, stop), 0
        with listening(_wait_teller(runtime, speaker)):
            if model.is_person:
                reply = await ask_person(runtime, speaker, model, messages)
                batcher(reply.text, False)
            elif access is not None and access.names and schema is None and not tools:
                reply, calls = await speak_with_access(
                    access, runtime, speaker, model, messages, batcher, **options
                )
            else:
                options |= {"rules": rules, "tools": tools, "schema": schema}
                options["record"] = await open_record(options["seat"])
                reply = await speak(model, messages, on_text=batcher.listener, **options)
    except CouncilError as error:  # missed like a model that is down
        raise ModelUnavailableError(str(error)) from error
    finally:
        batcher.close()
    segment = _answered_segment(speaker, reply, calls, notes := (*notes, *reply.notes))
    for note in notes:
        emit(runtime, Noted(text=note.text))
    if batcher.listener is not None:
        emit(runtime, Finished(speaker=speaker, segment=segment, reply=reply.text if debug else ""))
    return reply, segment


def _wait_teller(runtime: Runtime[Any], speaker: Speaker) -> Listener:
    """What writes a speaker's waits into the stream."""
    waits: list[Wait] = []

    def tell(wait: Wait | None) -> None:
        if wait is not None:
            waits.append(wait)
            about = {"reason": wait.reason, "place": wait.place, "seconds": wait.seconds}
            emit(runtime, Waited(speaker=speaker, lane=wait.lane, **about))
        elif waits:
            last = waits[-1]
            waits.clear()
            emit(runtime, Waited(speaker=speaker, lane=last.lane, reason=last.reason, over=True))

    return tell


def _call_options(
    runtime: Runtime[Any],
    speaker: Speaker,
    params: Mapping[str, Any] | None,
    stop: Sequence[str],
) -> dict[str, Any]:
    """The arguments that every kind of call has in common."""
    return {
        "params": params,
        "stop": stop,
        "config": _tag_call(speaker, in_chat=context_of(runtime).stream_members),
        "seat": f"{speaker.node}/{speaker.name}/{speaker.round}/{speaker.layer}",
    }


def _answered_segment(speaker: Speaker, reply: Reply, calls: int, notes: Sequence[Note]) -> Segment:
    """The segment of a call that was answered, with `calls` calls of tools on the way."""
    drop_counted()
    return Segment(
        node=speaker.node,
        name=speaker.name,
        round=speaker.round,
        layer=speaker.layer,
        model=reply.model,
        usage=reply.usage,
        first_token=reply.first_token,
        cached=reply.cached,
        attempts=reply.attempts,
        tool_calls=calls,
        notes=tuple(note.text for note in notes),
        prompt_cut=any(note.kind == "prompt_cut" for note in notes),
    )


def failed_segment(speaker: Speaker, key: str, error: ModelError) -> Segment:
    """The segment of a call that came to nothing: its requests count all the same."""
    drop_counted()
    attempts = error.attempts if isinstance(error, ModelUnavailableError) else ()
    usage = error.usage if isinstance(error, ModelUnavailableError) else None
    return Segment(**speaker.model_dump(), model=key, usage=usage or Usage(), attempts=attempts)


def cancelled_segment(
    speaker: Speaker, key: str, began: float, access: ToolAccess | None = None
) -> Segment:
    """The segment of a call that was cancelled: what was sent is charged."""
    spent = sum(access.spent, Usage()) if access else Usage()
    under_way = Usage(seconds=max(0.0, time.monotonic() - began - spent.seconds))
    usage = spent + take_counted() + under_way
    return Segment(**speaker.model_dump(), model=key, usage=usage)


def absence_reason(error: ModelError) -> tuple[AbsenceReason, str]:
    """Why a character is missing whose model failed."""
    if isinstance(error, OverBudgetError):
        return "budget", str(error)
    last = (
        error.attempts[-1] if isinstance(error, ModelUnavailableError) and error.attempts else None
    )
    return ("timeout" if last is not None and last.timed_out else "failed"), str(error)


def make_absence(speaker: Speaker, reason: AbsenceReason, detail: str = "") -> Absence:
    """Write down that a character did not speak, or did not vote."""
    return Absence(
        character=speaker.name,
        reason=reason,
        detail=detail,
        stage="vote" if speaker.node == "vote" else "character",
        round=speaker.round,
        layer=speaker.layer,
    )


_TAGS = {"character": "proposal", "vote": "ballot", "synthesizer": "answer"}
_NOT_IN_CHAT = ("nostream", "langsmith:nostream")
"""By these, LangGraph and its clients keep a call out of the stream of messages."""


def _tag_call(speaker: Speaker, *, in_chat: bool) -> RunnableConfig:
    """What the trace and the message stream say about a call.

    A chat client shows every message of that stream, so only the answer's belong there.
    """
    tag = _TAGS.get(speaker.node, speaker.node)
    is_shown = in_chat or tag == "answer"
    return {
        "run_name": speaker.name,
        "tags": [tag, *(() if is_shown else _NOT_IN_CHAT)],
        "metadata": {
            "segment": speaker.node,
            "character": speaker.name,
            "round": speaker.round,
            "layer": speaker.layer,
        },
    }


def notes_of_attempt(runtime: Runtime[CouncilContext], name: str, text: str) -> list[Note]:
    """What a reader should know of an answer that tries to act as a part of others' prompts."""
    if not (attempt := tries_to_act(text)):
        return []
    says = f"{name}'s answer was read as material only, because {attempt}."
    emit(runtime, Noted(text=says))
    return [Note(text=says, about=name)]


def proposal_fault(reply: Reply) -> tuple[AbsenceReason, str] | None:
    """Why a reply is no proposal."""
    if reply.finish in ("refused", "filtered") and not reply.text.strip():
        return "refused", reply.detail or "the provider withheld the answer"
    if not reply.text.strip():
        return "empty", "the model answered nothing"
    if _is_garbled(reply.text):
        return "garbled", "the answer is no readable text"
    return None


def _is_garbled(text: str) -> bool:
    """Whether a text is mostly characters that no text has: controls and decoding failures."""
    return len(_UNREADABLE.findall(text)) * 5 > len(text)


_UNREADABLE = re.compile("[\\x00-\\x08\\x0b\\x0e-\\x1f\\ufffd]")
