"""How a node has a model speak: what is sent, what is told while it comes, what is written down."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.messages import AnyMessage, SystemMessage
from langchain_core.runnables import RunnableConfig
from langgraph.runtime import Runtime

from mom_council.deliberation.context import context_of
from mom_council.deliberation.conversation import NO_PICTURES, Pictures, with_pictures
from mom_council.deliberation.events import (
    Finished,
    ModelAsked,
    Noted,
    Speaker,
    TokenBatcher,
    Waited,
    emit,
)
from mom_council.deliberation.people import ask_person
from mom_council.deliberation.tools import ToolAccess, speak_with_access
from mom_council.errors import CouncilError, ModelError, ModelUnavailableError
from mom_council.models.resolved import ResolvedModel
from mom_council.models.speaking import Reply, speak
from mom_council.models.tool_offer import ToolDefinition
from mom_council.prompts import Prompt
from mom_council.records import Absence, AbsenceReason, Segment, Usage


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

    Raises:
        ModelError: the model and all its fallbacks failed.
    """
    debug = context_of(runtime).debug
    prompt = tuple((m.type, m.text) for m in messages) if debug else ()
    emit(runtime, ModelAsked(speaker=speaker, model=model.key, prompt=prompt))
    batcher = TokenBatcher(runtime, speaker)
    try:
        asking: dict[str, Any] = {
            "params": params,
            "stop": stop,
            "config": _marked(speaker),
            "seat": f"{speaker.node}/{speaker.name}/{speaker.round}/{speaker.layer}",
            "on_wait": lambda lane, seconds: emit(
                runtime, Waited(speaker=speaker, lane=lane, seconds=seconds)
            ),
        }
        calls = 0
        if model.is_person:
            reply = await ask_person(runtime, speaker, model, messages)
            batcher(reply.text, False)
        elif tools:
            reply = await speak(model, messages, on_text=batcher, tools=tools, **asking)
        elif access is not None and access.names and schema is None:
            reply, calls = await speak_with_access(
                access, runtime, speaker, model, messages, batcher, **asking
            )
        else:
            reply = await speak(model, messages, on_text=batcher, schema=schema, **asking)
    except CouncilError as error:
        # A voice that cannot be opened as it is written is missed like one that is down.
        raise ModelUnavailableError(str(error)) from error
    finally:
        batcher.close()
    segment = Segment(
        **speaker.model_dump(),
        model=reply.model,
        usage=reply.usage,
        first_token=reply.first_token,
        cached=reply.cached,
        attempts=reply.attempts,
        tool_calls=calls,
        notes=reply.notes,
    )
    for note in reply.notes:
        emit(runtime, Noted(text=note))
    reply_text = reply.text if debug else ""
    emit(runtime, Finished(speaker=speaker, segment=segment, reply=reply_text))
    return reply, segment


def failed_segment(speaker: Speaker, key: str, error: ModelError) -> Segment:
    """The segment of a call that came to nothing: its requests count all the same."""
    attempts = error.attempts if isinstance(error, ModelUnavailableError) else ()
    usage = error.usage if isinstance(error, ModelUnavailableError) else None
    return Segment(**speaker.model_dump(), model=key, usage=usage or Usage(), attempts=attempts)


def cancelled_segment(
    speaker: Speaker, key: str, began: float, access: ToolAccess | None = None
) -> Segment:
    """The segment of a call that was cancelled: its request was sent, and is charged."""
    spent = sum(access.spent, Usage()) if access else Usage()
    under_way = Usage(calls=1, seconds=max(0.0, time.monotonic() - began - spent.seconds))
    return Segment(**speaker.model_dump(), model=key, usage=spent + under_way)


def absence_reason(error: ModelError) -> tuple[AbsenceReason, str]:
    """Why a character is missing whose model failed."""
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


def _marked(speaker: Speaker) -> RunnableConfig:
    """What the trace and the message stream say about a call."""
    return {
        "run_name": speaker.name,
        "metadata": {
            "segment": speaker.node,
            "character": speaker.name,
            "round": speaker.round,
            "layer": speaker.layer,
        },
    }
