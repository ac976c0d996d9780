"""A council as a LangChain chat model, for whatever takes one: a chain, an agent, a test suite.

ChatCouncil(council="home").invoke("Is 91 prime?").text
"""

from __future__ import annotations

import asyncio
import queue
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import aclosing
from contextvars import Context
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import Field, PrivateAttr

from mom_council.deliberation.context import AnswerForm, CouncilContext
from mom_council.deliberation.events import Answered, Event, TextSpoken
from mom_council.errors import DeliberationError
from mom_council.graph.council import load_with_models
from mom_council.models.clients import background_loop, run_in_background_loop
from mom_council.records import Status
from mom_council.runs.ask import OpenCouncil, Run

_PARAMS = ("temperature", "max_tokens", "top_p", "top_k", "seed")


class ChatCouncil(BaseChatModel):
    """A council that answers as one chat model.

    The members deliberate over every call. Tools that are bound go to the synthesizer, which may
    call one in place of an answer; the members are streamed of them. The message's
    `response_metadata["council"]` says how the answer came about.
    """

    council: Any = "demo"
    """A preset's name, a YAML file, a mapping, or a `Council`."""
    models: Mapping[str, BaseChatModel] = Field(default_factory=dict, exclude=True)
    """Chat models of yours, by the keys of `models` that they stand for."""
    context: CouncilContext | None = Field(default=None, exclude=True)
    """Settings of every question."""
    temperature: float | None = None
    """Of the synthesizer."""
    max_tokens: int | None = None
    """Of the answer alone."""
    stop: list[str] | None = None
    """Texts at which the answer ends."""

    _opened: OpenCouncil | None = PrivateAttr(default=None)

    @property
    def model_name(self) -> str:
        """The council's name."""
        return self._open().council.name

    @property
    def _llm_type(self) -> str:
        return "council"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"council": self.model_name, "temperature": self.temperature}

    def bind_tools(
        self, tools: Sequence[Any], *, tool_choice: Any = None, **options: Any
    ) -> Runnable[Any, AIMessage]:
        """Offer tools to the synthesizer.

        Args:
            tools: functions, LangChain tools, pydantic classes or OpenAI's descriptions.
            tool_choice: "auto"; "any", "required" or True: one must be called; "none"; or the name
                of the one that must be called.
            options: `parallel_tool_calls=False`: one call at a time.
        """
        described = [convert_to_openai_tool(tool) for tool in tools]
        return self.bind(tools=described, tool_choice=tool_choice, **options)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **options: Any,
    ) -> ChatResult:
        return run_in_background_loop(self._agenerate, messages, stop, None, **options)

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **options: Any,
    ) -> ChatResult:
        form = self._form(stop, options)
        async with aclosing(self._events(messages, form)) as events:
            async for event in events:
                if isinstance(event, Answered):
                    message = AIMessage(
                        content=_cut(event.text, form.stop),
                        tool_calls=[call.wire for call in event.calls],
                        usage_metadata=_usage(event.status),
                        response_metadata=self._metadata(event),
                    )
                    return ChatResult(generations=[ChatGeneration(message=message)])
        raise DeliberationError("the council gave no answer")

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **options: Any,
    ) -> Iterator[ChatGenerationChunk]:
        came: queue.SimpleQueue[ChatGenerationChunk | None] = queue.SimpleQueue()

        async def pump() -> None:
            try:
                async with aclosing(self._chunks(messages, self._form(stop, options))) as chunks:
                    async for chunk in chunks:
                        came.put(chunk)
            finally:
                came.put(None)

        reading = asyncio.run_coroutine_threadsafe(pump(), background_loop())
        try:
            while (chunk := came.get()) is not None:
                if run_manager:
                    run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                yield chunk
            reading.result()
        finally:
            reading.cancel()

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **options: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        async with aclosing(self._chunks(messages, self._form(stop, options))) as chunks:
            async for chunk in chunks:
                if run_manager:
                    await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                yield chunk

    async def _chunks(
        self, messages: list[BaseMessage], form: AnswerForm
    ) -> AsyncGenerator[ChatGenerationChunk, None]:
        """The answer as it is written; in one piece where its form has to be checked."""
        streamed = ""
        at_once = form.is_demanding or bool(form.stop)
        async with aclosing(self._events(messages, form)) as events:
            async for event in events:
                if isinstance(event, TextSpoken) and not at_once and not event.reasoning:
                    if event.speaker.node == "synthesizer":
                        streamed += event.text
                        yield ChatGenerationChunk(message=AIMessageChunk(content=event.text))
                elif isinstance(event, Answered):
                    yield self._last_chunk(event, streamed, form)

    def _last_chunk(self, event: Answered, streamed: str, form: AnswerForm) -> ChatGenerationChunk:
        text = _cut(event.text, form.stop)
        head = streamed.rstrip()
        # What was streamed of a try that broke off is followed by the whole answer.
        rest = text.removeprefix(head) if text.startswith(head) else f"\n\n{text}"
        message = AIMessageChunk(
            content=rest if rest.strip() else "",
            tool_calls=[call.wire for call in event.calls],
            usage_metadata=_usage(event.status),
            response_metadata=self._metadata(event),
            chunk_position="last",
        )
        return ChatGenerationChunk(message=message)

    async def _events(
        self, messages: list[BaseMessage], form: AnswerForm
    ) -> AsyncGenerator[Event, None]:
        """A run of its own: as a subgraph of who asks, it would be streamed there twice."""
        settings = self.context or CouncilContext()
        context = settings.model_copy(update={"form": form, "can_ask": False})
        run = Run(
            self._open(), messages, context=context, state_keys=("messages", "status"), traced=False
        )
        came: asyncio.Queue[Event | None] = asyncio.Queue()

        async def pump() -> None:
            try:
                async with aclosing(run.events()) as events:
                    async for event in events:
                        came.put_nowait(event)
            finally:
                came.put_nowait(None)

        reading = asyncio.get_running_loop().create_task(pump(), context=Context())
        try:
            while (event := await came.get()) is not None:
                yield event
            await reading
        finally:
            if not reading.done():
                reading.cancel()
                await asyncio.wait({reading})

    def _open(self) -> OpenCouncil:
        if self._opened is None:
            self._opened = OpenCouncil(load_with_models(self.council, self.models))
        return self._opened

    def _metadata(self, event: Answered) -> dict[str, Any]:
        return {
            "model_name": self.model_name,
            "model_provider": self._llm_type,
            "finish_reason": "tool_calls" if event.calls else event.status.finish,
            "council": event.status.model_dump(mode="json"),
        }

    def _form(self, stop: list[str] | None, options: Mapping[str, Any]) -> AnswerForm:
        """What the call asks of the answer, as an endpoint's client would."""
        params = {name: options.get(name, getattr(self, name, None)) for name in _PARAMS}
        tools, must_call = _chosen_tools(options)
        format_ = options.get("response_format") or {}
        schema = (format_.get("json_schema") or {}).get("schema")
        return AnswerForm(
            **params,
            stop=tuple(stop or self.stop or ()),
            tools=tools,
            must_call=must_call,
            one_call=options.get("parallel_tool_calls") is False,
            json_schema=schema,
            as_json=format_.get("type") == "json_object",
        )


def _chosen_tools(options: Mapping[str, Any]) -> tuple[tuple[dict[str, Any], ...], bool]:
    """The tools that are offered, and whether one must be called."""
    tools, choice = tuple(options.get("tools") or ()), options.get("tool_choice")
    if choice == "none":
        return (), False
    if choice is None or choice is False or choice == "auto":
        return tools, False
    name = choice
    if isinstance(choice, Mapping):
        name = (choice.get("function") or choice).get("name")
    if named := tuple(tool for tool in tools if tool["function"]["name"] == name):
        return named, True
    return tools, True


def _cut(text: str, stops: Sequence[str]) -> str:
    ends = [at for stop in stops if (at := text.find(stop)) >= 0]
    return text[: min(ends)] if ends else text


def _usage(status: Status) -> UsageMetadata | None:
    read, written = status.usage.input_tokens, status.usage.output_tokens
    if read is None or written is None:
        return None
    return UsageMetadata(input_tokens=read, output_tokens=written, total_tokens=read + written)
