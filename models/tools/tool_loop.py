"""The tool loop: ask, run the calls, send the results, until there is an answer.

For one call its arguments are checked, its time is bounded, its result is cut and has no secrets.

Whatever happens, the model is told in a line or two; nothing is raised but a cancellation. A tool
may block or hang: one that is not asynchronous runs in a thread of its own, is not waited for
beyond its time, and cannot be stopped there.

Calls of one turn are carried out together. When a speaker has had all its calls, it is asked once
more without tools, its conversation in plain words, so that it must answer.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from mom_council.errors import ModelUnavailableError
from mom_council.models.journal import CallRecord
from mom_council.models.resolved import ResolvedModel
from mom_council.models.speaking import Reply, speak
from mom_council.models.tool_offer import ToolCall, ToolResult, call_message, fenced_result
from mom_council.models.tools.toolset import OpenTool, Toolset, redirect_prints
from mom_council.records import Attempt, Usage
from mom_council.redaction import redact

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage
    from langchain_core.runnables import RunnableConfig


_LONGEST_LINE = 300
"""Characters of an error that a model is told."""


async def run_call(
    toolset: Toolset, call: ToolCall, config: RunnableConfig | None = None
) -> ToolResult:
    """Carry out a call, and say what came of it."""
    began = time.monotonic()
    open_tool = toolset.held.get(call.tool)
    if open_tool is None:
        text, failed = f"there is no tool {call.tool[:64]!r}; there are {[*toolset.held]}", True
    elif call.arguments is None:
        text, failed = "the arguments are no JSON object", True
    else:
        text, failed = await _outcome(open_tool, call, config)
    longest = open_tool.rules.longest if open_tool else _LONGEST_LINE * 2
    return ToolResult(
        id=call.id,
        tool=call.tool,
        text=shorten(text, longest),
        failed=failed,
        seconds=round(time.monotonic() - began, 3),
    )


def shorten(text: str, longest: int) -> str:
    """The text without secrets, and no longer than that, saying so where it was cut."""
    # Half a pair of surrogates is no text that could be sent.
    text = redact(text.encode("utf-8", "replace").decode("utf-8"))
    if len(text) <= longest:
        return text
    return f"{text[:longest]}\n(cut: {longest} of {len(text)} characters)"


async def _outcome(
    open_tool: OpenTool, call: ToolCall, config: RunnableConfig | None
) -> tuple[str, bool]:
    from langgraph.errors import GraphBubbleUp
    from pydantic import ValidationError

    trace: RunnableConfig = {"run_name": open_tool.tool.name}  # in the trace, whoever speaks
    limit = asyncio.timeout(open_tool.rules.timeout)
    try:
        with redirect_prints():
            async with limit:
                message: Any = await open_tool.tool.ainvoke(call.wire, {**(config or {}), **trace})
    except GraphBubbleUp:
        raise  # a tool that asks a person itself
    except ValidationError as error:
        return _unfit(error), True
    except Exception as error:
        if limit.expired():
            return f"no result in {open_tool.rules.timeout:g} s", True
        return f"{type(error).__name__}: {_line(error)}", True
    return str(message.text), getattr(message, "status", "") == "error"


def _unfit(error: Any) -> str:
    """What is wrong with the arguments, without repeating them."""
    lines = [
        f"{'.'.join(map(str, one['loc'])) or 'arguments'}: {one['msg']}"
        for one in error.errors(include_input=False, include_url=False)[:5]
    ]
    return f"the arguments do not fit: {'; '.join(lines)}"[: _LONGEST_LINE * 2]


def _line(error: Exception) -> str:
    """An error in one line: no trace, no secret."""
    line = " ".join(redact(str(error)).split())
    return line if len(line) <= _LONGEST_LINE else f"{line[:_LONGEST_LINE]} ..."


OpenRecord = Callable[[str], Awaitable[CallRecord]]
"""Opens the record of the next call of a name."""

_CUT_OFF = (
    "The program was stopped while this call was under way. It may have taken effect, and it was "
    "not made again."
)
_ENOUGH = "No more tools can be called. Answer now, with what you have."


@dataclass(frozen=True, slots=True)
class Decision:
    """What a person said to a call."""

    allowed: bool
    arguments: dict[str, Any] | None = None
    """Other arguments than the model's."""
    reason: str = ""
    """Why it is not allowed."""
    answer: str | None = None
    """What the person answers in the tool's place, where it is not allowed."""


Approve = Callable[[Sequence[ToolCall]], Mapping[str, Decision]]
"""Asks a person about calls; returns what was decided, by the calls' ids."""


async def _no_record(name: str) -> CallRecord:
    return CallRecord()


@dataclass(frozen=True, slots=True)
class ToolCallbacks:
    """What happens around the calls: who is told, who is asked, what is remembered."""

    on_call: Callable[[ToolCall, bool], None] = lambda _, needs_approval: None
    on_result: Callable[[ToolResult], None] = lambda _: None
    on_turn: Callable[[Reply], None] = lambda _: None
    approve: Approve | None = None
    """None: nobody can be asked, and what needs approval is declined."""
    record: OpenRecord = _no_record
    """Opens what is written down of a request or a call of a tool."""


async def speak_with_tools(
    model: ResolvedModel,
    messages: Sequence[BaseMessage],
    toolset: Toolset,
    callbacks: ToolCallbacks = ToolCallbacks(),
    *,
    seat: str | None = None,
    config: RunnableConfig | None = None,
    **asking: Any,
) -> tuple[Reply, int]:
    """As `speak`, with tools; returns the answer, with everything it cost, and its calls.

    Raises:
        ModelUnavailableError: and its like, as `speak` does.
    """
    from langchain_core.messages import HumanMessage, ToolMessage

    conversation = [*messages]
    parts: list[Reply] = []
    calls_made = 0
    definitions = toolset.definitions
    while True:
        last = calls_made >= toolset.limit or len(parts) > toolset.limit
        sent = [*conversation, HumanMessage(_ENOUGH)] if last else conversation
        turn = {**asking, "seat": seat and (f"{seat}/{len(parts)}" if parts else seat)}
        turn |= {"config": config, "tools": () if last else definitions}
        try:
            record = await callbacks.record(f"{seat}/turn")
            parts.append(await speak(model, tuple(sent), record=record, **turn))
        except ModelUnavailableError as error:
            tries = [attempt for part in parts for attempt in part.attempts]
            spent = sum((part.usage for part in parts), error.usage or Usage())
            kind = type(error)  # a spent budget stays one
            raise kind(error.what, [*tries, *error.attempts], spent, cure=error.cure) from error
        reply = parts[-1]
        callbacks.on_turn(reply)
        if not reply.calls or last:
            return _sum_parts(parts), calls_made
        left = toolset.limit - calls_made
        results = await _carry_out(toolset, callbacks, reply.calls, left, config, seat)
        calls_made += len(reply.calls)
        conversation.append(call_message(reply.message, reply.text, reply.calls))
        conversation += [
            fenced_result(
                ToolMessage(
                    result.text,
                    tool_call_id=result.id,
                    name=result.tool,
                    status="error" if result.failed else "success",
                )
            )
            for result in results
        ]


async def _carry_out(
    toolset: Toolset,
    callbacks: ToolCallbacks,
    calls: Sequence[ToolCall],
    left: int,
    config: RunnableConfig | None,
    seat: str | None,
) -> list[ToolResult]:
    """The results of one turn's calls, in their order."""
    for_approval = [
        call
        for call in calls[:left]
        if call.tool in toolset.held and toolset.held[call.tool].rules.approve
    ]
    for call in calls:
        callbacks.on_call(call, callbacks.approve is not None and call in for_approval)
    decided = _decide(callbacks, for_approval) if for_approval else {}

    records = [await callbacks.record(f"{seat}/tool") for _ in calls]

    async def one(place: int, call: ToolCall) -> ToolResult:
        if place >= left:
            return _not_done(call, f"no more than {toolset.limit} calls are made for one answer")
        if call in for_approval:
            decision = decided.get(call.id, Decision(False))
            if decision.answer is not None:
                text = f"(a person answered in the tool's place)\n{decision.answer}"
                return ToolResult(id=call.id, tool=call.tool, text=text)
            if not decision.allowed:
                who = "a person did not allow" if callbacks.approve else "nobody is here to allow"
                why = f", because: {decision.reason}" if decision.reason else ""
                return _not_done(call, f"{who} this call{why}; go on without it")
            if decision.arguments is not None:
                changed = call.model_copy(update={"arguments": decision.arguments})
                result = await _run_once(toolset, changed, records[place], config)
                text = f"(a person changed the arguments: {changed.words})\n{result.text}"
                return result.model_copy(update={"text": text})
        return await _run_once(toolset, call, records[place], config)

    results = await asyncio.gather(*(one(place, call) for place, call in enumerate(calls)))
    for result in results:
        callbacks.on_result(result)
    return [*results]


def _decide(callbacks: ToolCallbacks, calls: Sequence[ToolCall]) -> dict[str, Decision]:
    """What a person says about calls; nothing where nobody can be asked."""
    if callbacks.approve is None:
        return {}
    decided = dict(callbacks.approve(calls))
    for call in calls:
        decision = decided.get(call.id)
        if decision is not None and decision.allowed and decision.answer is None:
            callbacks.on_call(call, False)
    return decided


async def _run_once(
    toolset: Toolset, call: ToolCall, record: CallRecord, config: RunnableConfig | None
) -> ToolResult:
    """Carry out a call, unless an earlier run of the question did.

    A call that an earlier run began may have changed something, so only a tool that changes
    nothing is called again.
    """
    if record.result is not None:
        return ToolResult.model_validate(record.result)
    tool = toolset.held.get(call.tool)
    if record.was_begun and tool is not None and not tool.changes_nothing:
        return _not_done(call, _CUT_OFF)
    await record.begin(call.tool)
    try:
        result = await run_call(toolset, call, config)
    except Exception:  # the tool itself asks a person: it begins anew with what they say
        await record.put_back()
        raise
    await record.finish(result.model_dump(mode="json"))
    return result


def _not_done(call: ToolCall, why: str) -> ToolResult:
    return ToolResult(id=call.id, tool=call.tool, text=why, failed=True)


def _sum_parts(parts: Sequence[Reply]) -> Reply:
    """The last part, with what all of them cost."""
    last = parts[-1]
    attempts: tuple[Attempt, ...] = sum((part.attempts for part in parts), ())
    return replace(
        last,
        usage=sum((part.usage for part in parts), Usage()),
        attempts=attempts,
        cached=all(part.cached for part in parts),
        reasoning="\n\n".join(part.reasoning for part in parts if part.reasoning),
        first_token=parts[0].first_token,
        calls=(),
        message=None,
    )
