"""The providers that are plain LangChain: opened by `init_chat_model`, on this loop's clients.

LangChain's models bring HTTP clients of their own: Anthropic's one for the process, which a second
event loop cannot use, Mistral's and Cohere's one each. All are given the loop's instead. SDK
retries are off everywhere: `speaking` alone retries.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

if TYPE_CHECKING:
    import httpx
    from langchain_core.language_models import BaseChatModel

    from mom_council.councils.schema import Model
    from mom_council.models.clients import LoopResources
    from mom_council.models.providers import Provider


def open_other(
    room: LoopResources, spec: Model, provider: Provider, key: str | None, params: Mapping[str, Any]
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
        return _open_cohere(room, spec.model, params, str(base_url), key)
    given["max_retries"] = 0
    if spec.provider == "deepseek":
        more = _take_unknown(given, "langchain_deepseek", "ChatDeepSeek")
        given["extra_body"] = {**(given.get("extra_body") or {}), **more} or None
        given |= _deepseek(room, str(base_url), key)
    elif spec.provider == "mistralai":
        more = _take_unknown(given, "langchain_mistralai", "ChatMistralAI")
        given["model_kwargs"] = {**(given.get("model_kwargs") or {}), **more}
        given |= _mistral(room, str(base_url), key)
    elif spec.provider == "anthropic":
        more = _take_unknown(given, "langchain_anthropic", "ChatAnthropic")
        if more:
            given["model_kwargs"] = {"extra_body": more, **(given.get("model_kwargs") or {})}
    chat: BaseChatModel = init_chat_model(spec.model, model_provider=spec.provider, **given)
    if spec.provider == "anthropic":
        _give_anthropic(room, chat, str(base_url), key, at_home=spec.base_url is None)
    return chat


def _take_unknown(given: dict[str, Any], package: str, kind: str) -> dict[str, Any]:
    """Take out what the class has no field for: it goes into the body as it is."""
    fields = getattr(import_module(package), kind).model_fields
    known = {*fields, *(field.alias for field in fields.values())}
    return {name: given.pop(name) for name in list(given) if name not in known}


def _deepseek(room: LoopResources, base_url: str, key: str | None) -> dict[str, Any]:
    from mom_council.models.providers.openai_wire import StrictOpenAI, connected

    sdk = StrictOpenAI(
        api_key=key or "none",
        base_url=base_url,
        max_retries=0,
        timeout=room.sdk.timeout,
        http_client=room.sdk,
    )
    return {**connected(sdk), "stream_usage": True, "stream_chunk_timeout": None}


def _mistral(room: LoopResources, base_url: str, key: str | None) -> dict[str, Any]:
    import httpx

    headers = {"Accept": "application/json", "Authorization": f"Bearer {key or 'none'}"}
    return {
        "async_client": _httpx(room, base_url=base_url, headers=headers),
        # Never used; left out, it would be built.
        "client": httpx.Client(transport=httpx.BaseTransport()),
        "max_retries": 1,  # its word for "try once"
    }


def _httpx(room: LoopResources, **given: Any) -> httpx.AsyncClient:
    import httpx

    from mom_council.models.transport import AiohttpTransport

    # No time limit of its own: the whole call has one.
    return httpx.AsyncClient(transport=AiohttpTransport(room.sessions), timeout=None, **given)  # noqa: S113


def _open_cohere(
    room: LoopResources, model: str, params: Mapping[str, Any], base_url: str, key: str | None
) -> BaseChatModel:
    from mom_council.models.providers.cohere_chat import CohereChat

    more = dict(params)
    temperature = more.pop("temperature", None)
    chat = CohereChat(
        model=model,
        temperature=temperature,
        more=more,
        cohere_api_key=SecretStr(key or "none"),
        base_url=base_url,
    )
    chat.async_client = import_module("cohere").AsyncClient(
        api_key=key or "none", base_url=base_url, httpx_client=_httpx(room)
    )
    return chat


_BEFORE_SAMPLING_WENT = "2023-06-01"
"""The version of Anthropic's interface that takes a temperature: the later one, which the SDK asks
for by itself, refuses any, and so does every newer model (`terms` leaves it out for those)."""


def _give_anthropic(
    room: LoopResources, chat: Any, base_url: str, key: str | None, *, at_home: bool
) -> None:
    sampled = any(getattr(chat, name) is not None for name in ("temperature", "top_p", "top_k"))
    headers = {"anthropic-version": _BEFORE_SAMPLING_WENT} if sampled else {}
    sdk = import_module("anthropic").AsyncAnthropic(
        api_key=key or "none",
        base_url=base_url,
        max_retries=0,
        timeout=room.sdk.timeout,
        default_headers=headers,
        http_client=room.sdk,
    )
    # ANTHROPIC_AUTH_TOKEN would go along, wherever this goes, and so would other headers.
    sdk.auth_token = None
    if not at_home:
        sdk._custom_headers = headers
    # A cached property: filled before its first use, it is not made.
    vars(chat)["_async_client"] = sdk
