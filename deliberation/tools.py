"""Speaking with tools inside a run: told as events, approved by a person, remembered over a stop.

A node that is interrupted for approval runs again from its start when it is resumed. What its
speaker had done by then (requests to its model, calls of its tools) is kept by LangGraph as tasks
of the node, where the run has a checkpointer, and is neither paid nor done a second time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from langchain_core.messages import AnyMessage
from langgraph.func import task
from langgraph.runtime import Runtime
from langgraph.types import interrupt

from mom_council.councils.schema import Character, Council, Synthesizer, Tool
from mom_council.deliberation.context import context_of
from mom_council.deliberation.events import Called, Returned, Speaker, TokenBatcher, emit
from mom_council.models.resolved import ResolvedModel
from mom_council.models.speaking import Reply
from mom_council.models.tool_offer import ToolCall, ToolResult
from mom_council.models.tools.tool_loop import (
    Approve,
    Decision,
    JsonObject,
    ToolCallbacks,
    speak_with_tools,
)
from mom_council.models.tools.toolset import CallerTools, open_toolset
from mom_council.records import Usage
from mom_council.redaction import redact
from mom_council.seams.langgraph import has_checkpointer

_TOLD = 500
"""Characters of arguments and results that an event carries."""


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

    def called(call: ToolCall) -> None:
        batcher.close()  # what was said before it
        arguments = _short(call.words)
        emit(runtime, Called(speaker=speaker, id=call.id, tool=call.tool, arguments=arguments))

    def returned(result: ToolResult) -> None:
        shortened = result.model_copy(update={"text": _short(result.text)})
        emit(runtime, Returned(speaker=speaker, **shortened.model_dump()))

    callbacks = ToolCallbacks(called, returned, lambda reply: access.spent.append(reply.usage))
    if has_checkpointer():
        approve = _asking(speaker) if context_of(runtime).can_ask else None
        callbacks = replace(callbacks, approve=approve, once=_once)
    return await speak_with_tools(model, messages, toolset, callbacks, on_text=batcher, **asking)


def _asking(speaker: Speaker) -> Approve:
    def approve(calls: Sequence[ToolCall]) -> Mapping[str, Decision]:
        resume_value = interrupt(
            {
                "kind": "approve",
                "speaker": speaker.model_dump(),
                "calls": [call.model_dump() for call in calls],
            }
        )
        return {call.id: read_decision(resume_value, call.id) for call in calls}

    return approve


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


async def _once(name: str, act: Callable[[], Awaitable[JsonObject]]) -> JsonObject:
    """Do something as a task of the node, which LangGraph keeps and does not do again."""
    remembered: Any = task(name=name)
    try:
        done: JsonObject = await remembered(act)()
    except RuntimeError as error:
        if "async tasks cannot be called" not in str(error):
            raise
    else:
        return done
    # A synchronous run's tasks run in threads; the work stays on this loop, where its clients are.
    loop = asyncio.get_running_loop()

    def wait() -> JsonObject:
        async def awaited() -> JsonObject:
            return await act()

        return asyncio.run_coroutine_threadsafe(awaited(), loop).result()

    waited: JsonObject = await asyncio.wrap_future(remembered(wait)())
    return waited


def _short(text: str) -> str:
    text = redact(text)
    return text if len(text) <= _TOLD else f"{text[:_TOLD]} ..."
