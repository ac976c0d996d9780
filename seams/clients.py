"""The private parts that we use of vendors' clients and of LangChain's models for them.

Private names, each of which may change with any release; `tests/seams/test_clients.py` compares
each with the library's own behaviour. The chat models in `models/providers/` override hooks of
LangChain's classes beside this; the same tests hold those hooks to their signatures.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from aiohttp import StreamReader, TraceConfig
    from anthropic import AsyncAnthropic
    from httpx2 import URL, AsyncClient
    from langchain_core.language_models import BaseChatModel
    from langchain_openai.chat_models.base import BaseChatOpenAI
    from openai import AsyncOpenAI


def langchain_packages() -> dict[str, str]:
    """The package of every provider that LangChain's `init_chat_model` can open."""
    from langchain.chat_models.base import _BUILTIN_PROVIDERS

    return {name: built[0].partition(".")[0] for name, built in _BUILTIN_PROVIDERS.items()}


LONGEST_UNFINISHED = 1000
"""Characters of a tool call's arguments that LangChain may complete while they are no JSON yet."""


_IS_BOUNDED = ContextVar("_IS_BOUNDED", default=False)


@contextmanager
def bound_unfinished_arguments() -> Iterator[None]:
    """Bound the time that LangChain takes to read a tool call's arguments that are no JSON yet.

    It takes away one character after the other and tries again: with a piece of 60 kB that is no
    JSON the event loop stands still for minutes. A longer piece counts as not readable, at once.
    This holds for what is called inside; whatever else the program does with LangChain is as ever.
    """
    _replace_parser()
    token = _IS_BOUNDED.set(True)
    try:
        yield
    finally:
        _IS_BOUNDED.reset(token)


@cache
def _replace_parser() -> None:
    from langchain_core.messages import ai

    complete: Callable[..., Any] = vars(ai)["parse_partial_json"]

    def bounded(s: str, *, strict: bool = False) -> Any:
        if _IS_BOUNDED.get() and len(s) > LONGEST_UNFINISHED:
            return json.loads(s, strict=strict)
        return complete(s, strict=strict)

    vars(ai)["parse_partial_json"] = bounded


def uses_responses_api(chat: BaseChatModel, more: Mapping[str, Any] | None = None) -> bool:
    """Whether a model of OpenAI's is asked through its newer interface, `/v1/responses`.

    `more` are the arguments of the one request.
    """
    asks: Callable[[dict[str, Any]], bool] | None = getattr(chat, "_use_responses_api", None)
    return asks is not None and asks(
        {**(getattr(chat, "model_kwargs", None) or {}), **(more or {})}
    )


def stream_arguments(chat: BaseChatOpenAI, more: Mapping[str, Any]) -> dict[str, Any]:
    """What LangChain adds to a request whose reply is streamed."""
    if chat._should_stream_usage(**more):
        return {"stream": True, "stream_options": {"include_usage": True}}
    return {"stream": True}


def read_broken_off(content: StreamReader) -> bytes:
    """What had come of a reply before its connection broke: aiohttp has no public way to it."""
    return content._read_nowait(-1)


def sdk_user_agent(sdk: AsyncOpenAI) -> str:
    """The SDK's own name for itself, which a subclass would change."""
    return f"AsyncOpenAI/Python {sdk._version}"


def set_default_headers(sdk: AsyncOpenAI | AsyncAnthropic, headers: Mapping[str, str]) -> None:
    """Send these headers with each request, and none that the SDK took from the environment."""
    sdk._custom_headers = dict(headers)


SDK = TypeVar("SDK", "AsyncOpenAI", "AsyncAnthropic")


def with_platform(sdk: SDK) -> SDK:
    """The SDK's client, which knows already what system it runs on.

    By itself it looks that up in a thread within its first request. One that is given up meanwhile
    would count as sent.
    """
    packages = (one.__module__.partition(".")[0] for one in type(sdk).__mro__)
    package = next(name for name in packages if name in ("openai", "anthropic"))
    sdk._platform = import_module(f"{package}._base_client").get_platform()
    return sdk


async def trace_sdk_request(client: AsyncClient, url: URL, trace: TraceConfig) -> None:
    """Have aiohttp tell of an SDK's requests to an address; called before each is sent."""
    transport: Any = client._transport_for_url(url)
    if callable(getattr(transport, "get_client", None)):
        session = transport.client = transport.get_client()
        if trace not in session.trace_configs:
            session.trace_configs.append(trace)


def set_anthropic_client(chat: BaseChatModel, sdk: AsyncAnthropic) -> None:
    """Let a ChatAnthropic use this client.

    It keeps its own in a cached property: filled before its first use, the property makes none.
    """
    vars(chat)["_async_client"] = sdk


def sdk_headers(sdk: AsyncOpenAI) -> dict[str, str]:
    """The headers that the SDK sends with each request, its key among them."""
    headers = {**sdk.default_headers, **sdk.auth_headers}
    return {name: value for name, value in headers.items() if isinstance(value, str)}


def ollama_base_url(chat: BaseChatModel) -> str:
    """Where a ChatOllama's client sends its requests: as it reads addresses and OLLAMA_HOST."""
    return str(chat._async_client._client.base_url)  # type: ignore[attr-defined]


def ollama_body(params: Mapping[str, Any]) -> dict[str, Any]:
    """The body that Ollama's client makes of ChatOllama's parameters.

    Pictures go as they are, because the client would take a text that names a file for that file.
    """
    from ollama._types import ChatRequest, Message, Tool

    messages = [
        {name: value for name, value in message.items() if value} for message in params["messages"]
    ]
    pictures = [message.pop("images", None) for message in messages]
    tools = [Tool.model_validate(tool) for tool in params.get("tools") or ()]
    request = ChatRequest(
        **{
            **params,
            "messages": [Message.model_validate(message) for message in messages],
            "tools": tools,
        }
    )
    body: dict[str, Any] = request.model_dump(exclude_none=True)
    for message, images in zip(body["messages"], pictures, strict=True):
        if images:
            message["images"] = list(images)
    return body
