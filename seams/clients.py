"""What we take from the inside of vendors' clients and of LangChain's models for them.

Private names, each of which may change with any release; `tests/seams/test_clients.py` compares
each with the library's own behaviour. The chat models in `models/providers/` override hooks of
LangChain's classes beside this; the same tests hold those hooks to their signatures.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic
    from langchain_core.language_models import BaseChatModel
    from openai import AsyncOpenAI


def langchain_packages() -> dict[str, str]:
    """The package of every provider that LangChain's `init_chat_model` can open."""
    from langchain.chat_models.base import _BUILTIN_PROVIDERS

    return {name: built[0].partition(".")[0] for name, built in _BUILTIN_PROVIDERS.items()}


def uses_responses_api(chat: BaseChatModel) -> bool:
    """Whether a model of OpenAI's is asked through its newer interface, `/v1/responses`."""
    asks: Callable[[dict[str, Any]], bool] | None = getattr(chat, "_use_responses_api", None)
    return asks is not None and asks({**(getattr(chat, "model_kwargs", None) or {})})


def sdk_user_agent(sdk: AsyncOpenAI) -> str:
    """The SDK's own name for itself, which a subclass would change."""
    return f"AsyncOpenAI/Python {sdk._version}"


def set_default_headers(sdk: AsyncOpenAI | AsyncAnthropic, headers: Mapping[str, str]) -> None:
    """Send these headers with each request, and none that the SDK took from the environment."""
    sdk._custom_headers = dict(headers)


def set_anthropic_client(chat: BaseChatModel, sdk: AsyncAnthropic) -> None:
    """Let a ChatAnthropic use this client.

    It keeps its own in a cached property: filled before its first use, the property makes none.
    """
    vars(chat)["_async_client"] = sdk
