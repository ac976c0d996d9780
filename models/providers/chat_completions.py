"""Chat completions without a vendor's library: what nearly every call is.

`langchain_openai` and the SDK under it take two thirds of a second to import. A plain request
(text, pictures, common parameters) and its streamed reply need neither. Whatever else is asked of
the model (tools, callbacks that follow it, the newer interface, other parameters) opens LangChain's
model for it, `models.providers.openai`, which is also what this is compared with
(`tests/models/test_wire.py`).
"""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing, suppress
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlencode

from langchain_core.language_models import BaseChatModel, LangSmithParams
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolCallChunk,
)
from langchain_core.messages.ai import InputTokenDetails, OutputTokenDetails, UsageMetadata
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGenerationChunk
from pydantic import Field, PrivateAttr

from mom_council.models.clients import open_in_thread
from mom_council.models.providers import Opening
from mom_council.models.wire import FRAME, Delta, JsonStream, Wire, read_deltas
from mom_council.prompts import UNKNOWN_TO_TINY, ask_for_kind, is_made_for, kinds_of_things
from mom_council.vendors import load_code

if TYPE_CHECKING:
    from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
    from langchain_core.language_models import LanguageModelInput
    from langchain_core.outputs import ChatResult
    from langchain_core.runnables import Runnable

KEPT_FIELDS = {
    "reasoning_content": "reasoning_content",
    "reasoning": "reasoning_content",
    "refusal": "refusal",
}
"""Fields of a streamed delta, and the name LangChain gives them where it knows them."""

_NUMBERS = frozenset({"temperature", "top_p", "presence_penalty", "frequency_penalty"})
_WHOLE_NUMBERS = frozenset({"max_tokens", "seed"})
"""With `stop`, the parameters that go into the body as they are."""
_OTHERS_PARAMS = frozenset(
    {"top_k", "min_p", "repeat_penalty", "repetition_penalty", "cache_prompt"}
)
"""Parameters of other servers, which LangChain has no field for."""
_PLAIN_ARGUMENTS = frozenset({"stop", "extra_body"})


def open_chat(opening: Opening) -> BaseChatModel:
    """A chat model on OpenAI's protocol: OpenAI's own, or of a server that speaks it."""
    params = {name: value for name, value in opening.params.items() if value is not None}
    if opening.vendor.api_version:
        params.pop("api_version", None)  # it is in the address
    newer = opening.at_home and opening.vendor.shared_protocol  # its names and roles differ
    extra = dict(params.pop("extra_body", None) or {})
    extra |= {name: params.pop(name) for name in _OTHERS_PARAMS & params.keys()}
    unsure_below = params.pop("unsure_below", None) if opening.vendor.engine else None
    plain = all(_is_plain_param(name, value) for name, value in params.items())
    if newer or not opening.has_wire or not plain:
        return _open_langchain(opening)
    chat = ChatCompletions(extra_body=extra)
    chat.set_up(opening, params, unsure_below)
    return chat


def _is_plain_param(name: str, value: Any) -> bool:
    """Whether it goes into the body as it is; LangChain's model reads or refuses any other."""
    if name in _NUMBERS:
        return type(value) in (int, float)
    if name in _WHOLE_NUMBERS:
        return type(value) is int
    if name != "stop":
        return False
    words = value if isinstance(value, list | tuple) else [value]
    return all(isinstance(word, str) for word in words)


def _open_langchain(opening: Opening) -> BaseChatModel:
    opened: BaseChatModel = load_code("openai:open_chat")(opening)
    return opened


class ChatCompletions(BaseChatModel):
    """A model of a server that speaks OpenAI's protocol."""

    extra_body: dict[str, Any] = Field(default_factory=dict)
    """What else the body holds; LangChain's model has a field of this name too."""

    _opening: Opening = PrivateAttr()
    _params: dict[str, Any] = PrivateAttr()
    _wire: Wire = PrivateAttr()
    _langchain: BaseChatModel | None = PrivateAttr(None)
    _unsure_below: float | None = PrivateAttr(None)

    def set_up(
        self, opening: Opening, params: Mapping[str, Any], unsure_below: float | None = None
    ) -> None:
        """Say what is asked, where, and with which parameters.

        With `unsure_below`, a question of one line that is put to a persona is answered with "I do
        not know" where a token of the answer is less probable (see `_judged`).
        """
        self._opening = opening
        self._unsure_below = unsure_below
        self._params = {"model": opening.spec.model, **params}
        url = str(opening.address).rstrip("/") + "/chat/completions"
        if opening.query:
            url += f"?{urlencode(opening.query)}"
        headers = {
            **opening.key_headers,
            "content-type": "application/json",
            "accept": "application/json",
            "user-agent": f"AsyncOpenAI/Python {version('openai')}",
        }
        self._wire = Wire(opening.resources.sessions, url, headers, "events")

    def deltas(
        self, messages: Sequence[BaseMessage], *, frame: float = FRAME, **arguments: Any
    ) -> AsyncIterator[list[Delta]]:
        """The reply without LangChain's chunks, by the handful; see `wire.read_deltas`."""
        if self._is_judged(messages, arguments):
            return self._judged(messages, arguments)
        stream = self._ask(messages, arguments)
        return (
            self._langchain_deltas(messages, frame, arguments)
            if stream is None
            else read_deltas(stream, read_delta, frame)
        )

    def _is_judged(self, messages: Sequence[BaseMessage], arguments: Mapping[str, Any]) -> bool:
        """Whether the answer counts only where the model is sure of it."""
        question = messages[-1].content
        return (
            self._unsure_below is not None
            and not arguments.keys() - {"stop"}
            and len(messages) > 1
            and isinstance(messages[0], SystemMessage)
            and isinstance(question, str)
            and "\n" not in question.strip()
            and _plain_messages(messages, arguments) is not None
        )

    async def _judged(
        self, messages: Sequence[BaseMessage], arguments: Mapping[str, Any]
    ) -> AsyncGenerator[list[Delta], None]:
        """The whole reply at once, or that the model does not know.

        A model that does not know gives its words low probabilities; on questions of the tiny
        models' exam, of what they were less than 70 % sure of, more than half was wrong. Of shipped
        weights also what they were never trained on is not believed.
        """
        from mom_council.models.providers.embedded import is_shipped

        question, kind, is_theirs = str(messages[-1].content), "", True
        if is_shipped(self._opening.spec.model):
            question, kind = ask_for_kind(question)
            is_theirs = is_made_for(question)
        prompt = [*messages[:-1], messages[-1].model_copy(update={"content": question})]
        body = {**self.extra_body, "logprobs": True}
        stream = self._ask(prompt, {**arguments, "extra_body": body})
        if stream is None:
            raise TypeError("a question of one line holds more than text")
        text, sure, delta = "", 1.0, _NOTHING
        async with aclosing(stream.read()) as handfuls:
            async for values in handfuls:
                for value in values:
                    read = read_delta(value)
                    if isinstance(read, str):
                        read = Delta(read)
                    text += str(read.content)
                    usage, finish = read.usage or delta.usage, read.finish or delta.finish
                    delta = delta._replace(usage=usage, finish=finish)
                    sure = min(sure, _least_probability(value))
                    stream.is_speaking = stream.is_speaking or bool(text)
        if not is_theirs or sure < (self._unsure_below or 0):
            text = UNKNOWN_TO_TINY
        elif kind and text.strip(" .").lower() in kinds_of_things():
            text = "yes" if text.strip(" .").lower() == kind else "no"
        yield [delta._replace(content=text)]

    async def _langchain_deltas(
        self, messages: Sequence[BaseMessage], frame: float, arguments: Mapping[str, Any]
    ) -> AsyncGenerator[list[Delta], None]:
        chat: Any = await self.open_langchain()
        async with aclosing(chat.deltas(messages, frame=frame, **arguments)) as handfuls:
            async for deltas in handfuls:
                yield deltas

    def _ask(
        self, messages: Sequence[BaseMessage], arguments: Mapping[str, Any]
    ) -> JsonStream | None:
        """The reply to a plain request; None where it is not plain."""
        written = _plain_messages(messages, arguments)
        if written is None:
            return None
        stop = {"stop": arguments["stop"]} if arguments.get("stop") is not None else {}
        extra = arguments.get("extra_body", self.extra_body)
        usage = {"stream": True, "stream_options": {"include_usage": True}}
        return self._wire.ask({**self._params, **usage, **stop, "messages": written, **extra})

    async def open_for_request(
        self, messages: Sequence[BaseMessage], arguments: Mapping[str, Any]
    ) -> None:
        """Import what a request needs, before its time begins."""
        if _plain_messages(messages, arguments) is None:
            with suppress(TypeError, ValueError):  # the request itself says what is wrong
                await self.open_langchain()

    async def open_langchain(self) -> BaseChatModel:
        """LangChain's model of the same; importing its library takes a while, in a thread."""
        if self._langchain is None:
            self._langchain = await open_in_thread(_open_langchain, self._opening)
        return self._langchain

    @property
    def _opened(self) -> BaseChatModel:
        if self._langchain is None:
            self._langchain = _open_langchain(self._opening)
        return self._langchain

    # What LangChain's model does.

    @property
    def _llm_type(self) -> str:
        return "openai-chat"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"model_name": self._params["model"], **self._params}

    def _get_ls_params(self, stop: list[str] | None = None, **more: Any) -> LangSmithParams:
        params = LangSmithParams(
            ls_provider="openai", ls_model_name=self._params["model"], ls_model_type="chat"
        )
        if (temperature := self._params.get("temperature")) is not None:
            params["ls_temperature"] = temperature
        if length := self._params.get("max_tokens"):
            params["ls_max_tokens"] = length
        if stop:
            params["ls_stop"] = stop
        return params

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **more: Any,
    ) -> ChatResult:
        return self._opened._generate(messages, stop, run_manager, **more)

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **more: Any,
    ) -> ChatResult:
        return await (await self.open_langchain())._agenerate(messages, stop, run_manager, **more)

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **more: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        arguments = {**more, "stop": stop} if stop is not None else more
        if self._is_judged(messages, arguments):
            async for deltas in self._judged(messages, arguments):
                for one in deltas:
                    ending = {"finish_reason": one.finish}
                    reply = AIMessageChunk(content=one.content, usage_metadata=cast(Any, one.usage))
                    yield ChatGenerationChunk(message=reply, generation_info=ending)
            return
        stream = self._ask(messages, arguments)
        if stream is None:
            chat = await self.open_langchain()
            async with aclosing(chat._astream(messages, stop, run_manager, **more)) as chunks:  # type: ignore[type-var]
                async for chunk in chunks:
                    yield chunk
            return
        async with aclosing(stream.read()) as handfuls:
            async for values in handfuls:
                for value in merge_chunks(values):
                    piece = read_chunk(value)
                    stream.is_speaking = stream.is_speaking or bool(piece.message.content)
                    if run_manager:
                        await run_manager.on_llm_new_token(piece.text, chunk=piece)
                    yield piece

    def bind_tools(
        self, tools: Sequence[Any], **more: Any
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Offer tools, as LangChain's model writes them."""
        bound: Any = self._opened.bind_tools(tools, **more)
        return self.bind(**bound.kwargs)

    def with_structured_output(self, schema: Any, **more: Any) -> Any:
        """LangChain's model, held to a form."""
        return self._opened.with_structured_output(schema, **more)


def _plain_messages(
    messages: Sequence[BaseMessage], arguments: Mapping[str, Any]
) -> list[dict[str, Any]] | None:
    """The messages of a plain request as they are sent; None where it is not plain."""
    if arguments.keys() - _PLAIN_ARGUMENTS:
        return None
    written = [plain_message(message) for message in messages]
    return None if None in written else cast("list[dict[str, Any]]", written)


def plain_message(message: BaseMessage) -> dict[str, Any] | None:
    """A message of text and pictures as it is sent; None where it is none."""
    role = _ROLES.get(type(message))
    if role is None or message.additional_kwargs.keys() - _UNSENT:
        return None
    if message.response_metadata.get("output_version"):  # LangChain's newer form of content
        return None
    if isinstance(message, AIMessage) and (message.tool_calls or message.invalid_tool_calls):
        return None
    content = message.content
    if not isinstance(content, str) and not all(map(_is_plain_block, content)):
        return None
    name = {} if message.name is None else {"name": message.name}
    return {"role": role, "content": content, **name}


_ROLES: dict[type[BaseMessage], str] = {
    HumanMessage: "user",
    AIMessage: "assistant",
    SystemMessage: "system",
}
_UNSENT = frozenset({"reasoning_content", "refusal", "parsed"})
"""What LangChain leaves out of a message that it sends."""


def _is_plain_block(block: Any) -> bool:
    """Whether a part of a message is sent as it is."""
    if not isinstance(block, dict):
        return False
    return (block.get("type") == "text" and block.keys() == {"type", "text"}) or (
        block.get("type") == "image_url" and block.keys() == {"type", "image_url"}
    )


def token_counts(usage: Any, tier: str | None = None) -> UsageMetadata | None:
    """Token counts of OpenAI's protocol as LangChain names them; None where they make no sense.

    An answer is not worth less for counts that cannot be read: they are as good as not told.
    """
    if not isinstance(usage, dict):
        return None
    read, written = usage.get("prompt_tokens") or 0, usage.get("completion_tokens") or 0
    total = usage.get("total_tokens")
    reading = usage.get("prompt_tokens_details") or {}
    writing = usage.get("completion_tokens_details") or {}
    counts = [read, written, total or 0]
    counts += [*reading.values(), *writing.values()] if _are_maps(reading, writing) else [-1]
    if not all(one is None or (isinstance(one, int | float) and one >= 0) for one in counts):
        return None
    mark = f"{tier}_" if tier in ("priority", "flex") else ""
    inputs = {
        "audio": reading.get("audio_tokens"),
        f"{mark}cache_read": reading.get("cached_tokens"),
        f"{mark}cache_creation": reading.get("cache_write_tokens"),
    }
    outputs = {
        "audio": writing.get("audio_tokens"),
        f"{mark}reasoning": writing.get("reasoning_tokens"),
    }
    if mark:
        inputs[str(tier)] = read - (inputs[f"{mark}cache_read"] or 0)
        outputs[str(tier)] = written - (outputs[f"{mark}reasoning"] or 0)
    return UsageMetadata(
        input_tokens=read,
        output_tokens=written,
        total_tokens=read + written if total is None else total,
        input_token_details=cast(InputTokenDetails, _without_none(inputs)),
        output_token_details=cast(OutputTokenDetails, _without_none(outputs)),
    )


def _are_maps(*values: Any) -> bool:
    return all(isinstance(value, Mapping) for value in values)


def _without_none(counts: Mapping[str, int | None]) -> dict[str, int]:
    return {name: count for name, count in counts.items() if count is not None}


def read_chunk(chunk: Mapping[str, Any]) -> ChatGenerationChunk:
    """A streamed chunk as LangChain makes it, with the thoughts and refusals that it drops."""
    usage = chunk.get("usage")
    counts = token_counts(usage, chunk.get("service_tier")) if usage else None
    choices = chunk.get("choices")
    if not choices:
        return ChatGenerationChunk(message=AIMessageChunk(content="", usage_metadata=counts))
    choice = choices[0]
    part = choice.get("delta") or {}
    more: dict[str, Any] = (
        {"function_call": dict(part["function_call"])} if part.get("function_call") else {}
    )
    for field, name in KEPT_FIELDS.items():
        if isinstance(value := part.get(field), str) and value:
            more.setdefault(name, value)
    message = AIMessageChunk(
        content=part.get("content") or "",
        additional_kwargs=more,
        id=part.get("id"),
        tool_call_chunks=[_tool_call_chunk(call) for call in part.get("tool_calls") or ()],
        usage_metadata=counts,
        response_metadata={"model_provider": "openai"},
    )
    ending: dict[str, Any] = {}
    if reason := choice.get("finish_reason"):
        names = {"model": "model_name", "system_fingerprint": "system_fingerprint"}
        names["service_tier"] = "service_tier"
        ending = {"finish_reason": reason}
        ending |= {name: chunk[field] for field, name in names.items() if chunk.get(field)}
    if logprobs := choice.get("logprobs"):
        ending["logprobs"] = logprobs
    return ChatGenerationChunk(message=message, generation_info=ending or None)


def _tool_call_chunk(call: Mapping[str, Any]) -> ToolCallChunk:
    function = call.get("function") or {}
    return tool_call_chunk(
        name=function.get("name"),
        args=function.get("arguments"),
        id=call.get("id"),
        index=call.get("index"),
    )


def read_delta(chunk: dict[str, Any]) -> Delta | str:
    """What a chunk says, thinks and counts, as LangChain reads it; the text of one that speaks."""
    usage = chunk.get("usage")
    try:  # nearly all are so
        choice = chunk["choices"][0]
        part, text = choice["delta"], choice["delta"]["content"]
        speaks = type(text) is str and not usage and not choice["finish_reason"]
        if speaks and part.keys() <= _SPEAKING:
            return str(text)
    except (LookupError, TypeError):
        pass
    choices = chunk.get("choices")
    if not choices:
        return Delta(usage=token_counts(usage)) if usage else _NOTHING
    choice = choices[0]
    part = choice.get("delta") or choice.get("message") or {}
    thought = part.get("reasoning_content") or part.get("reasoning")
    refusal = part.get("refusal")
    return Delta(
        part.get("content") or "",
        thought if isinstance(thought, str) else "",
        refusal if isinstance(refusal, str) else "",
        bool(part.get("tool_calls") or part.get("function_call")),
        token_counts(usage) if usage else None,
        choice.get("finish_reason") or "",
    )


_NOTHING = Delta()
_SPEAKING = frozenset({"role", "content"})
"""The fields of a chunk that says something and nothing else."""


def _least_probability(chunk: Mapping[str, Any]) -> float:
    """The probability of the least probable token of a chunk."""
    choices = chunk.get("choices") or [{}]
    tokens = (choices[0].get("logprobs") or {}).get("content") or ()
    return min((math.exp(token["logprob"]) for token in tokens), default=1.0)


def merge_chunks(chunks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same chunks with neighbours that only speak joined to one."""
    merged: list[dict[str, Any]] = []
    has_spoken = False
    for chunk in chunks:
        for choice in chunk.get("choices") or ():
            choice.setdefault("delta", choice.get("message"))  # of a server that does not stream
        speaks = _only_speaks(chunk)
        if has_spoken and speaks:
            merged[-1]["choices"][0]["delta"]["content"] += chunk["choices"][0]["delta"]["content"]
        else:
            merged.append(chunk)
        has_spoken = speaks
    return merged


def _only_speaks(chunk: dict[str, Any]) -> bool:
    choices = chunk.get("choices") or [{}]
    choice = choices[0]
    delta = choice.get("delta") or {}
    if choice.get("finish_reason") or choice.get("logprobs") or chunk.get("usage"):
        return False
    return isinstance(delta.get("content"), str) and not any(
        value for name, value in delta.items() if name not in ("content", "role")
    )
