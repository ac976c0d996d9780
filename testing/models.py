"""A chat model that says what its script says, inside the test's own process."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessageChunk, BaseMessage, convert_to_openai_messages
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import ConfigDict, Field

from mom_council.models.clients import run_in_background_loop

from .faults import Fault
from .script import Reply, Script


class ScriptedFaultError(RuntimeError):
    """What a scripted model raises for a fault; `status_code` as vendors' errors have it."""

    def __init__(self, fault: Fault, status: int | None = None) -> None:
        super().__init__(fault.message or f"scripted fault: {fault.kind}")
        self.status_code = status
        wait = fault.retry_after
        self.headers = {} if wait is None else {"retry-after": f"{wait:g}"}


class ScriptedModel(BaseChatModel):
    """A LangChain chat model with a script: for `council(..., models={...})`, and anywhere else.

    Example:
        `ScriptedModel(script=Script("42", faults=[Fault.status(429, retry_after=0.1)]))`
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    name: str | None = "scripted"
    script: Script = Field(default_factory=Script)
    """What it says, how fast, and what goes wrong."""
    calls: list[dict[str, Any]] = Field(default_factory=list)
    """Every request so far: `messages` as OpenAI's protocol writes them, and what came along."""

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(self, tools: Any, **options: Any) -> Runnable[Any, Any]:
        """Offer tools; a reply's `tool_calls` call them."""
        return self.bind(tools=[convert_to_openai_tool(tool) for tool in tools], **options)

    def _generate(self, messages: list[BaseMessage], *args: Any, **options: Any) -> ChatResult:
        return run_in_background_loop(self._agenerate, messages, **options)

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **options: Any,
    ) -> ChatResult:
        whole: ChatGenerationChunk | None = None
        async for chunk in self._astream(messages, stop, None, **options):
            whole = chunk if whole is None else whole + chunk
        assert whole is not None  # noqa: S101 - the last chunk always comes
        message = whole.message
        return ChatResult(generations=[ChatGeneration(message=message)])

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **options: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        body = {"model": self.name, "messages": convert_to_openai_messages(messages), **options}
        self.calls.append(body)
        reply, fault = self.script.take(body)
        if fault is not None and not fault.mid_stream and not fault.in_the_answer:
            await _go_wrong(fault)
        if reply.status != 200:
            raise ScriptedFaultError(Fault.status(reply.status, message=reply.text or ""), 500)
        pieces = reply.pieces(bool(self.script.tokens_per_second))
        pace, began = self.script.pace(len(pieces)), asyncio.get_running_loop().time()
        cut = fault.after if fault is not None and fault.mid_stream else None
        for piece, due in zip(pieces[:cut], pace, strict=False):
            await asyncio.sleep(max(0.0, began + due - asyncio.get_running_loop().time()))
            yield await _told(AIMessageChunk(content=piece), run_manager)
        if fault is not None and cut is not None:
            await _break_off(fault)
            return
        yield await _told(_closing(reply, body), run_manager)


async def _told(
    message: AIMessageChunk, run_manager: AsyncCallbackManagerForLLMRun | None
) -> ChatGenerationChunk:
    chunk = ChatGenerationChunk(message=message)
    if run_manager is not None and message.content:
        await run_manager.on_llm_new_token(str(message.content), chunk=chunk)
    return chunk


async def _go_wrong(fault: Fault) -> None:
    """The faults that show before any of the answer does."""
    if fault.kind == "hang":
        await asyncio.get_running_loop().create_future()
    await asyncio.sleep(fault.delay)
    if fault.kind == "reset":
        raise ConnectionResetError("scripted fault: reset")
    if fault.kind == "garbage":
        raise ValueError("No generation: the reply is no JSON")
    raise ScriptedFaultError(fault, fault.code)


async def _break_off(fault: Fault) -> None:
    """What a stream gives in place of its rest; `truncated` is a plain end."""
    if fault.kind == "stall":
        await asyncio.get_running_loop().create_future()
    if fault.kind == "reset":
        raise ConnectionResetError("scripted fault: reset")
    if fault.kind in ("error_in_stream", "malformed"):
        raise ScriptedFaultError(fault, 500)


def _closing(reply: Reply, body: dict[str, Any]) -> AIMessageChunk:
    """The end of a reply: its calls of tools, its usage, and why it ended."""
    calls = [
        tool_call_chunk(
            name=call["name"],
            args=json.dumps(call.get("args", {})),
            id=call.get("id") or f"call_{place}",
            index=place,
        )
        for place, call in enumerate(reply.tool_calls)
    ]
    counted = reply.tokens(body)
    usage = None
    if counted is not None:
        read, written = counted
        usage = UsageMetadata(input_tokens=read, output_tokens=written, total_tokens=read + written)
    more = {"refusal": reply.refusal} if reply.refusal else {}
    return AIMessageChunk(
        content="",
        tool_call_chunks=calls,
        usage_metadata=usage,
        additional_kwargs=more,
        response_metadata={"finish_reason": "tool_calls" if calls else reply.finish},
        chunk_position="last",
    )
