"""Ollama, with two things that LangChain's ChatOllama leaves out.

A model that thinks by default sends its thoughts in their own field, which ChatOllama drops unless
it is told to ask for them; and options that it has no field for (`min_p`, ...) are ignored.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any

import httpx
from langchain_core.messages import BaseMessage
from langchain_ollama import ChatOllama, OllamaEmbeddings
from pydantic import Field

from mom_council.models.transport import AiohttpTransport

if TYPE_CHECKING:
    from langchain_core.embeddings import Embeddings
    from langchain_core.language_models import BaseChatModel

    from mom_council.models.providers import Opening

_AS_IT_DOES = "as it does"
"""A `reasoning` that keeps what comes, and leaves it to the model whether anything does."""


class OllamaChat(ChatOllama):
    """ChatOllama that keeps thoughts and passes every option on."""

    options: dict[str, Any] = Field(default_factory=dict)

    def _chat_params(
        self, messages: list[BaseMessage], stop: list[str] | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        asked = super()._chat_params(messages, stop, **kwargs)
        asked["options"].update(self.options)
        if asked["think"] == _AS_IT_DOES:
            asked["think"] = None
        return asked

    async def _acreate_chat_stream(
        self, messages: list[BaseMessage], stop: list[str] | None = None, **kwargs: Any
    ) -> AsyncIterator[Mapping[str, Any] | str]:
        async for part in super()._acreate_chat_stream(messages, stop, **kwargs):
            # A null content is no text, not an error.
            if not isinstance(part, str) and (said := part.get("message")) is not None:
                said["content"] = said.get("content") or ""
            yield part


def open_chat(opening: Opening) -> BaseChatModel:
    """A chat model on Ollama; without a `base_url` it is where OLLAMA_HOST says, or here."""
    params = dict(opening.params)
    for name in ("max_tokens", "max_completion_tokens"):
        if name in params:
            params.setdefault("num_predict", params.pop(name))
    if opening.spec.context is not None:
        params.setdefault("num_ctx", opening.spec.context)
    options = dict(params.pop("options", None) or {})
    options |= {name: params.pop(name) for name in list(params) if name not in _FIELDS}
    return OllamaChat(
        model=opening.spec.model,
        base_url=opening.base_url,
        options=options,
        reasoning=params.pop("reasoning", _AS_IT_DOES),
        **_clients(opening),
        **params,
    )


def open_embeddings(opening: Opening) -> Embeddings:
    """An embedding model on Ollama."""
    return OllamaEmbeddings(
        model=opening.spec.model,
        base_url=opening.base_url,
        **_clients(opening),
        **opening.params,
    )


def _clients(opening: Opening) -> dict[str, Any]:
    """The arguments that make Ollama's client use the loop's connections, with this key alone."""
    key = opening.key
    # Ollama's client would send this variable's key to any host that it is pointed at.
    stray = os.environ.get("OLLAMA_API_KEY")
    withheld = f"Bearer {stray}" if stray and not key else None
    transport = AiohttpTransport(opening.resources.sessions, withhold=withheld)
    return {
        "client_kwargs": {"headers": {"authorization": f"Bearer {key}"}} if key else {},
        "async_client_kwargs": {"transport": transport},
        # Never used, and without a transport of its own it would read certificates for 20 ms.
        "sync_client_kwargs": {"transport": httpx.BaseTransport()},
    }


_FIELDS = frozenset(OllamaChat.model_fields)
