"""OpenAI's protocol, and the many servers that speak it: words, vectors, pictures.

LangChain's ChatOpenAI drops the fields that OpenAI's own models do not send (`reasoning_content`,
`reasoning`) and a streamed `refusal`; here they are kept. The SDK picks up keys and headers from
the environment; towards anyone but their owner they are left out.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import httpx2
from langchain_core.messages import AIMessageChunk
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from langchain_openai.chat_models.base import BaseChatOpenAI
from openai import AsyncAzureOpenAI, AsyncOpenAI, BadRequestError
from openai.types.chat import ChatCompletionChunk
from pydantic import PrivateAttr

from mom_council.errors import ModelUnavailableError
from mom_council.models.providers import Drawing, DrawnPicture, Opening
from mom_council.models.providers.chat_completions import (
    KEPT_FIELDS,
    merge_chunks,
    read_delta,
    token_counts,
)
from mom_council.models.wire import FRAME, Delta, JsonStream, ResponseError, Wire, read_deltas
from mom_council.seams.clients import (
    sdk_headers,
    sdk_user_agent,
    set_default_headers,
    stream_arguments,
    uses_responses_api,
    with_platform,
)

if TYPE_CHECKING:
    from langchain_core.callbacks import AsyncCallbackManagerForLLMRun
    from langchain_core.embeddings import Embeddings
    from langchain_core.language_models import BaseChatModel, LanguageModelInput
    from langchain_core.messages import BaseMessage
    from langchain_core.outputs import ChatGenerationChunk


class PlainOpenAI(AsyncOpenAI):
    """An SDK client that leaves streamed chunks as they came: as JSON.

    The SDK would make an object of each, field by field, only for LangChain to take it apart again:
    half of the CPU of a streamed call.
    """

    def _process_response_data(self, *, data: object, cast_to: Any, response: Any) -> Any:
        if cast_to is ChatCompletionChunk and isinstance(data, dict):
            return data
        return super()._process_response_data(data=data, cast_to=cast_to, response=response)

    @property
    def user_agent(self) -> str:
        """The SDK's own, which it would make of this class's name."""
        return sdk_user_agent(self)


_CODED = re.compile(r"[a-z_]+: ")


class StrictOpenAI(PlainOpenAI):
    """An SDK client that sends what it was given, and nothing from OPENAI_* in the environment."""

    def __init__(self, **given: Any) -> None:
        headers = given.get("default_headers")
        super().__init__(**given)
        self.organization = None
        self.project = None
        self.admin_api_key = None
        set_default_headers(self, headers or {})


class StrictAzure(StrictOpenAI, AsyncAzureOpenAI):
    """The same for Azure's addresses with an api-version, which want the key in another header."""


class _Whole(BaseChatOpenAI):
    """Keeps the fields of a delta that LangChain drops, and spends less on a request.

    With a `Wire`, its replies are streamed over that; LangChain makes the body of a request and the
    chunks of a reply as ever.
    """

    _wire: Wire | None = PrivateAttr(None)

    def use_wire(self, wire: Wire) -> None:
        """Stream replies over this."""
        self._wire = wire

    def deltas(
        self,
        messages: Sequence[BaseMessage],
        *,
        stop: list[str] | None = None,
        frame: float = FRAME,
        **more: Any,
    ) -> AsyncIterator[list[Delta]] | None:
        """The reply without LangChain's chunks, by the handful; None: only the SDK can ask."""
        stream = self._ask(messages, stop, more)
        return None if stream is None else read_deltas(stream, read_delta, frame)

    def _ask(
        self, messages: Sequence[BaseMessage], stop: list[str] | None, more: dict[str, Any]
    ) -> JsonStream | None:
        if self._wire is None or uses_responses_api(self, more):
            return None
        more = {**more, **stream_arguments(self, more)}
        body = self._get_request_payload(list(messages), stop=stop, **more)
        if not isinstance(body.get("response_format", {}), dict) or _FOR_THE_SDK & body.keys():
            return None
        extra = body.pop("extra_body", None) or {}
        return self._wire.ask({**body, **extra})

    def _get_request_payload(
        self, input_: LanguageModelInput, *, stop: list[str] | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        payload = super()._get_request_payload(input_, stop=stop, **kwargs)
        if messages := payload.get("messages"):
            # The SDK walks through typed arguments field by field, which takes more than half the
            # CPU of a call with a long history; the extra body goes into the same JSON as it is.
            payload["extra_body"] = {**(payload.get("extra_body") or {}), "messages": messages}
            payload["messages"] = []
        return payload

    def _convert_chunk_to_generation_chunk(
        self,
        chunk: dict[str, Any],
        default_chunk_class: type,
        base_generation_info: dict[str, Any] | None,
    ) -> ChatGenerationChunk | None:
        if chunk.get("usage") and token_counts(chunk["usage"]) is None:
            chunk = {**chunk, "usage": None}  # LangChain would fail, and the answer be lost
        piece = super()._convert_chunk_to_generation_chunk(
            chunk, default_chunk_class, base_generation_info
        )
        choices = chunk.get("choices")
        if piece is not None and choices and (delta := choices[0].get("delta")):
            for field, name in KEPT_FIELDS.items():
                if isinstance(value := delta.get(field), str) and value:
                    piece.message.additional_kwargs.setdefault(name, value)
        return piece

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **more: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        # A reply held to a form is parsed by the SDK for those who follow it.
        stream = None if "response_format" in more else self._ask(messages, stop, more)
        if stream is None:
            async with aclosing(self._sdk_stream(messages, stop, run_manager, **more)) as chunks:  # type: ignore[type-var]
                async for chunk in chunks:
                    yield chunk
            return
        async with aclosing(stream.read()) as handfuls:
            async for values in handfuls:
                for value in merge_chunks(values):
                    piece = self._convert_chunk_to_generation_chunk(value, AIMessageChunk, {})
                    if piece is None:
                        continue
                    stream.is_speaking = stream.is_speaking or bool(piece.message.content)
                    if run_manager:
                        await run_manager.on_llm_new_token(piece.text, chunk=piece)
                    yield piece

    async def _sdk_stream(self, *given: Any, **more: Any) -> AsyncIterator[ChatGenerationChunk]:
        begun = False
        try:
            async with aclosing(super()._astream(*given, **more)) as stream:  # type: ignore[type-var]
                async for chunk in stream:
                    begun = True
                    yield chunk
        except ValueError as error:
            # What the server says of itself in the stream ("server_error: ..."): LangChain tells it
            # like a wrong value.
            if type(error) is ValueError and (begun or _CODED.match(str(error))):
                raise ResponseError(str(error)) from error
            raise


_FOR_THE_SDK = frozenset({"extra_headers", "extra_query", "timeout"})
"""Arguments that say how a request is sent, and are none of its body."""


class OpenAIChat(_Whole, ChatOpenAI):
    """OpenAI itself, and others where they are asked through its newer interface."""


class CompatibleChat(_Whole):
    """Any other server: the plain protocol (`max_tokens`, the `system` role), no Responses API."""


def open_chat(opening: Opening) -> BaseChatModel:
    """A chat model on OpenAI's protocol: OpenAI's own, or of a server that speaks it."""
    at_home = _is_openai(opening)
    params = dict(opening.params)
    if opening.vendor.api_version:
        params.pop("api_version", None)  # it is in the address
    newer = at_home or params.get("use_responses_api")
    kind: type[_Whole] = OpenAIChat if newer else CompatibleChat
    extra = dict(params.pop("extra_body", None) or {})
    extra |= {name: params.pop(name) for name in list(params) if name not in _fields(kind)}
    sdk = _sdk(
        opening,
        default_headers=params.pop("default_headers", None),
        default_query=params.pop("default_query", None),
    )
    if not at_home:
        params.setdefault("use_responses_api", False)
    chat = kind(
        model=opening.spec.model,
        api_key=opening.key or "none",
        base_url=str(opening.address),
        max_retries=0,
        stream_usage=True,
        # A timer of its own for every chunk; the whole call has one already.
        stream_chunk_timeout=None,
        extra_body=extra or None,
        **connected(sdk),
        **params,
    )
    if opening.has_wire:
        url = str(sdk.base_url).rstrip("/") + "/chat/completions"
        if sdk.default_query:
            url += f"?{urlencode(sdk.default_query)}"
        headers = sdk_headers(sdk)
        if opening.vendor.key_header:
            headers = {**_without_key(headers), **opening.key_headers}
        chat.use_wire(Wire(opening.resources.sessions, url, headers, "events"))
    return chat


def open_embeddings(opening: Opening) -> Embeddings:
    """An embedding model on OpenAI's protocol."""
    arguments = {
        **opening.params,
        "base_url": opening.address,
        "api_key": opening.key or "none",
        "max_retries": 0,  # `embed` alone retries
        # Other servers want words, not the token numbers of OpenAI's own models.
        "check_embedding_ctx_length": _is_openai(opening),
        # The loop's client, which is closed with the loop; nobody calls the blocking one.
        "http_async_client": opening.resources.sdk_client(opening.address),
        "http_client": httpx2.Client(transport=httpx2.BaseTransport()),
    }
    if opening.vendor.api_version:
        sdk = _sdk(opening)
        del arguments["http_async_client"], arguments["http_client"]
        arguments.pop("api_version", None)
        arguments |= {"async_client": sdk.embeddings, "client": sdk.embeddings}
    return OpenAIEmbeddings(model=opening.spec.model, **arguments)


def _without_key(headers: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() != "authorization"}


def _is_openai(opening: Opening) -> bool:
    """Whether OpenAI itself is asked, and not another that speaks its protocol."""
    return opening.vendor.shared_protocol and opening.at_home


def _sdk(opening: Opening, **more: Any) -> AsyncOpenAI:
    kind: type[PlainOpenAI] = PlainOpenAI if _is_openai(opening) else StrictOpenAI
    if opening.vendor.api_version:
        kind = StrictAzure
        more = {**more, "api_version": opening.query["api-version"]}
    sdk = kind(
        api_key=opening.key or "none",
        base_url=str(opening.address),
        max_retries=0,
        timeout=opening.resources.sdk_client(opening.address).timeout,
        http_client=opening.resources.sdk_client(opening.address),
        **more,
    )
    return with_platform(sdk)


def connected(sdk: AsyncOpenAI) -> dict[str, Any]:
    """The arguments that make a LangChain model use this client instead of building four.

    The synchronous places are filled with it too, because an empty one would be built: nothing
    here calls them.
    """
    return {
        "root_async_client": sdk,
        "async_client": sdk.chat.completions,
        "root_client": sdk,
        "client": sdk.chat.completions,
    }


def _fields(kind: type[BaseChatOpenAI]) -> set[str]:
    named = set(kind.model_fields)
    return named | {field.alias for field in kind.model_fields.values() if field.alias}


_FILTERED = ("content_policy_violation", "moderation_blocked", "content_filter", "safety")
"""What vendors call it when their filter declines a picture."""


async def draw(drawing: Drawing) -> DrawnPicture:
    """Ask a server for one picture, at `/v1/images/generations`.

    Sent are the model, the prompt, what `params` say and what the council's painter says; nothing
    that it does not say, because OpenAI refuses what others need.
    """
    opening, order = drawing.opening, drawing.order
    more: dict[str, Any] = dict(opening.params)
    name = opening.spec.model
    if not name.startswith("gpt-image"):  # which sends nothing else, and refuses to be asked
        more.setdefault("response_format", "b64_json")
    wishes = {
        "size": f"{order.size[0]}x{order.size[1]}" if order.size else None,
        "negative_prompt": order.negative or None,
        "steps": order.steps,
        "guidance_scale": order.guidance,
        "seed": order.seed,
    }
    more |= {wish: value for wish, value in wishes.items() if value is not None}
    try:
        answer = await _sdk(opening).images.generate(
            model=name, prompt=order.prompt, n=1, extra_body=more
        )
    except BadRequestError as error:
        if _is_filter(error):
            return DrawnPicture(b"", None, filtered=True)
        raise
    if usage := getattr(answer, "usage", None):
        drawing.meter.read(
            {"input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens}
        )
    return DrawnPicture(_content(answer, name), order.seed)


def _is_filter(error: BadRequestError) -> bool:
    words = f"{error.code or ''} {error.type or ''} {error.body or ''}".lower()
    return any(word in words for word in _FILTERED)


def _content(answer: Any, model: str) -> bytes:
    pictures = getattr(answer, "data", None) or []
    if pictures and (text := pictures[0].b64_json):
        try:
            return base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            return b""
    if pictures and pictures[0].url:
        raise ModelUnavailableError(
            f"{model!r} sent an address in place of the picture, and none is fetched",
            cure="have its server send `b64_json`",
        )
    return b""
