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
from langchain_ollama import ChatOllama
from pydantic import Field

from mom_council.models.transport import AiohttpTransport

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

    from mom_council.models.transport import Sessions

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


def open_ollama(
    model: str,
    params: Mapping[str, Any],
    *,
    base_url: str | None,
    key: str | None,
    context: int | None,
    sessions: Sessions,
) -> BaseChatModel:
    """A chat model on Ollama; without a `base_url` it is where OLLAMA_HOST says, or here."""
    params = dict(params)
    for name in ("max_tokens", "max_completion_tokens"):
        if name in params:
            params.setdefault("num_predict", params.pop(name))
    if context is not None:
        params.setdefault("num_ctx", context)
    options = dict(params.pop("options", None) or {})
    options |= {name: params.pop(name) for name in list(params) if name not in _FIELDS}
    # Ollama's client would send this variable's key to any host that it is pointed at.
    stray = os.environ.get("OLLAMA_API_KEY")
    return OllamaChat(
        model=model,
        base_url=base_url,
        options=options,
        reasoning=params.pop("reasoning", _AS_IT_DOES),
        client_kwargs={"headers": {"authorization": f"Bearer {key}"}} if key else {},
        async_client_kwargs={
            "transport": AiohttpTransport(
                sessions, withhold=f"Bearer {stray}" if stray and not key else None
            )
        },
        # Never used, and without a transport of its own it would read certificates for 20 ms.
        sync_client_kwargs={"transport": httpx.BaseTransport()},
        **params,
    )


_FIELDS = frozenset(OllamaChat.model_fields)
