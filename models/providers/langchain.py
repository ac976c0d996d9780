"""Vendors that LangChain opens by itself (`init_chat_model`), and what their files here share.

LangChain's models bring HTTP clients of their own: Anthropic's one for the process, which a second
event loop cannot use, Mistral's and Cohere's one each. All are given the loop's instead. SDK
retries are off everywhere: `speaking` alone retries.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from mom_council.seams.clients import set_anthropic_client, set_default_headers

if TYPE_CHECKING:
    import httpx
    from langchain_core.embeddings import Embeddings
    from langchain_core.language_models import BaseChatModel

    from mom_council.models.clients import LoopResources
    from mom_council.models.providers import Opening


def open_chat(opening: Opening) -> BaseChatModel:
    """A chat model of any vendor that LangChain has."""
    return init_chat(opening, chat_arguments(opening))


def init_chat(opening: Opening, arguments: dict[str, Any]) -> BaseChatModel:
    """LangChain's chat model with these arguments."""
    from langchain.chat_models import init_chat_model

    chat: BaseChatModel = init_chat_model(
        opening.spec.model, model_provider=opening.spec.provider, **arguments
    )
    return chat


def chat_arguments(opening: Opening) -> dict[str, Any]:
    """What LangChain's chat models are made with: the parameters, the address, the key."""
    arguments: dict[str, Any] = dict(opening.params)
    if opening.address:
        arguments["base_url"] = opening.address
    # An address of one's own without a key of its own must not get the vendor's from the
    # environment, and only an argument keeps a library from looking there.
    if opening.key or opening.base_url:
        arguments["api_key"] = opening.key or "none"
    arguments["max_retries"] = 0
    return arguments


def open_deepseek(opening: Opening) -> BaseChatModel:
    """A chat model of DeepSeek's."""
    from mom_council.models.providers.openai import StrictOpenAI, connected

    arguments = chat_arguments(opening)
    unknown = take_unknown(arguments, "langchain_deepseek", "ChatDeepSeek")
    arguments["extra_body"] = {**(arguments.get("extra_body") or {}), **unknown} or None
    sdk = StrictOpenAI(
        api_key=opening.key or "none",
        base_url=str(opening.address),
        max_retries=0,
        timeout=opening.resources.sdk_client(opening.address).timeout,
        http_client=opening.resources.sdk_client(opening.address),
    )
    arguments |= {**connected(sdk), "stream_usage": True, "stream_chunk_timeout": None}
    return init_chat(opening, arguments)


def open_mistral(opening: Opening) -> BaseChatModel:
    """A chat model of Mistral's."""
    import httpx

    arguments = chat_arguments(opening)
    unknown = take_unknown(arguments, "langchain_mistralai", "ChatMistralAI")
    arguments["model_kwargs"] = {**(arguments.get("model_kwargs") or {}), **unknown}
    headers = {"Accept": "application/json", "Authorization": f"Bearer {opening.key or 'none'}"}
    address = str(opening.address)
    arguments |= {
        "async_client": httpx_client(opening.resources, base_url=address, headers=headers),
        # Never used; left out, it would be built.
        "client": httpx.Client(transport=httpx.BaseTransport()),
        "max_retries": 1,  # its word for "try once"
    }
    return init_chat(opening, arguments)


_BEFORE_SAMPLING_WENT = "2023-06-01"
"""The version of Anthropic's interface that takes a temperature: the later one, which the SDK asks
for by itself, refuses any, and so does every newer model (its profile leaves it out for those)."""


def open_anthropic(opening: Opening) -> BaseChatModel:
    """A chat model of Anthropic's."""
    from anthropic import AsyncAnthropic

    arguments = chat_arguments(opening)
    if unknown := take_unknown(arguments, "langchain_anthropic", "ChatAnthropic"):
        arguments["model_kwargs"] = {
            "extra_body": unknown,
            **(arguments.get("model_kwargs") or {}),
        }
    chat: Any = init_chat(opening, arguments)
    samples = any(getattr(chat, name) is not None for name in ("temperature", "top_p", "top_k"))
    headers = {"anthropic-version": _BEFORE_SAMPLING_WENT} if samples else {}
    sdk = AsyncAnthropic(
        api_key=opening.key or "none",
        base_url=str(opening.address),
        max_retries=0,
        timeout=opening.resources.sdk_client(opening.address).timeout,
        default_headers=headers,
        http_client=opening.resources.sdk_client(opening.address),
    )
    # ANTHROPIC_AUTH_TOKEN would go along, wherever this goes, and so would other headers.
    sdk.auth_token = None
    if opening.base_url is not None:
        set_default_headers(sdk, headers)
    set_anthropic_client(chat, sdk)
    opened: BaseChatModel = chat
    return opened


def open_embeddings(opening: Opening) -> Embeddings:
    """An embedding model of any vendor that LangChain has."""
    from langchain.embeddings import init_embeddings

    arguments: dict[str, Any] = {**opening.params, **opening.vendor.embeds_once}
    if opening.base_url is not None:
        arguments["base_url"] = opening.base_url
    if opening.key is not None:
        arguments["api_key"] = opening.key
    return init_embeddings(opening.spec.model, provider=opening.spec.provider, **arguments)


def take_unknown(arguments: dict[str, Any], package: str, kind: str) -> dict[str, Any]:
    """Take out what the class has no field for: it goes into the body as it is."""
    fields = getattr(import_module(package), kind).model_fields
    names = {*fields, *(field.alias for field in fields.values())}
    return {name: arguments.pop(name) for name in list(arguments) if name not in names}


def httpx_client(resources: LoopResources, **arguments: Any) -> httpx.AsyncClient:
    """An httpx client on the loop's connections."""
    import httpx

    from mom_council.models.transport import AiohttpTransport

    transport = AiohttpTransport(resources.sessions)
    # No time limit of its own: the whole call has one.
    return httpx.AsyncClient(transport=transport, timeout=None, **arguments)  # noqa: S113
