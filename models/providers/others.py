"""The providers that are plain LangChain: opened by `init_chat_model`, on this loop's clients.

LangChain's models bring HTTP clients of their own: Anthropic's one for the process, which a second
event loop cannot use, Mistral's and Cohere's one each. All are given the loop's instead. SDK
retries are off everywhere: `speaking` alone retries.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import httpx
    from langchain_core.language_models import BaseChatModel

    from mixture_of_models.councils.schema import Model
    from mixture_of_models.models.clients import Room
    from mixture_of_models.models.providers import Provider


def open_other(
    room: Room, spec: Model, provider: Provider, key: str | None, params: Mapping[str, Any]
) -> BaseChatModel:
    """A chat model of any provider that LangChain has."""
    from langchain.chat_models import init_chat_model

    base_url = spec.base_url or provider.home
    given: dict[str, Any] = dict(params)
    if base_url:
        given["base_url"] = base_url
    # An address of one's own without a key of its own must not get the vendor's from the
    # environment, and only an argument keeps a library from looking there.
    if key or spec.base_url:
        given["api_key"] = key or "none"
    if spec.provider == "cohere":
        given["cohere_api_key"] = given.pop("api_key", None)
    elif spec.provider != "huggingface":
        given["max_retries"] = 0
    if spec.provider == "deepseek":
        given |= _deepseek(room, str(base_url), key)
    elif spec.provider == "mistralai":
        given |= _mistral(room, str(base_url), key)
    chat: BaseChatModel = init_chat_model(spec.model, model_provider=spec.provider, **given)
    if spec.provider == "anthropic":
        _give_anthropic(room, chat, str(base_url), key)
    elif spec.provider == "cohere":
        _give_cohere(room, chat, str(base_url), key)
    return chat


def _deepseek(room: Room, base_url: str, key: str | None) -> dict[str, Any]:
    from mixture_of_models.models.providers.openai_wire import StrictOpenAI, connected

    sdk = StrictOpenAI(
        api_key=key or "none",
        base_url=base_url,
        max_retries=0,
        timeout=room.sdk.timeout,
        http_client=room.sdk,
    )
    return {**connected(sdk), "stream_usage": True, "stream_chunk_timeout": None}


def _mistral(room: Room, base_url: str, key: str | None) -> dict[str, Any]:
    import httpx

    headers = {"Accept": "application/json", "Authorization": f"Bearer {key or 'none'}"}
    return {
        "async_client": _httpx(room, base_url=base_url, headers=headers),
        # Never used; left out, it would be built.
        "client": httpx.Client(transport=httpx.BaseTransport()),
        "max_retries": 1,  # its word for "try once"
    }


def _httpx(room: Room, **given: Any) -> httpx.AsyncClient:
    import httpx

    from mixture_of_models.models.transport import AiohttpTransport

    # No time limit of its own: the whole call has one.
    return httpx.AsyncClient(transport=AiohttpTransport(room.sessions), timeout=None, **given)  # noqa: S113


def _give_cohere(room: Room, chat: Any, base_url: str, key: str | None) -> None:
    chat.async_client = import_module("cohere").AsyncClient(
        api_key=key or "none", base_url=base_url, httpx_client=_httpx(room)
    )


def _give_anthropic(room: Room, chat: Any, base_url: str, key: str | None) -> None:
    sdk = import_module("anthropic").AsyncAnthropic(
        api_key=key or "none",
        base_url=base_url,
        max_retries=0,
        timeout=room.sdk.timeout,
        http_client=room.sdk,
    )
    # ANTHROPIC_AUTH_TOKEN would go along, wherever this goes.
    sdk.auth_token = None
    # A cached property: filled before its first use, it is not made.
    vars(chat)["_async_client"] = sdk
