"""Ollama, with two things that LangChain's ChatOllama leaves out.

A model that thinks by default sends its thoughts in their own field, which ChatOllama drops unless
it is told to ask for them; and options that it has no field for (`min_p`, ...) are ignored.
"""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

import httpx
from langchain_core.messages import BaseMessage
from langchain_ollama import ChatOllama, OllamaEmbeddings
from ollama import ChatResponse
from pydantic import Field, PrivateAttr, ValidationError

from mom_council.models.transport import AiohttpTransport
from mom_council.models.wire import FRAME, Delta, Wire, read_deltas
from mom_council.seams.clients import ollama_base_url, ollama_body

if TYPE_CHECKING:
    from langchain_core.embeddings import Embeddings
    from langchain_core.language_models import BaseChatModel

    from mom_council.models.providers import Opening

_AS_IT_DOES = "as it does"
"""A `reasoning` that keeps what comes, and leaves it to the model whether anything does."""


class OllamaChat(ChatOllama):
    """ChatOllama that keeps thoughts and passes every option on; with a `Wire`, it asks over it."""

    options: dict[str, Any] = Field(default_factory=dict)
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
        """The reply without LangChain's chunks, by the handful; None: only its client can ask."""
        if self._wire is None:
            return None
        body = ollama_body(self._chat_params(list(messages), stop, **more))
        return read_deltas(self._wire.ask(body), _delta, frame)

    def _chat_params(
        self, messages: list[BaseMessage], stop: list[str] | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        params = super()._chat_params(messages, stop, **kwargs)
        params["options"].update(self.options)
        if params["think"] == _AS_IT_DOES:
            params["think"] = None
        return params

    async def _acreate_chat_stream(
        self, messages: list[BaseMessage], stop: list[str] | None = None, **kwargs: Any
    ) -> AsyncIterator[Mapping[str, Any] | str]:
        if self._wire is not None:
            body = ollama_body(self._chat_params(messages, stop, **kwargs))
            async with aclosing(self._wire.ask(body).read()) as handfuls:
                async for values in handfuls:
                    for value in values:
                        yield cast(Mapping[str, Any], _readable(value))
            return
        async for part in super()._acreate_chat_stream(messages, stop, **kwargs):
            # A null content is no text, not an error.
            if not isinstance(part, str) and (inner := part.get("message")) is not None:
                inner["content"] = inner.get("content") or ""
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
    chat = OllamaChat(
        model=opening.spec.model,
        base_url=opening.base_url,
        options=options,
        reasoning=params.pop("reasoning", _AS_IT_DOES),
        **_clients(opening),
        **params,
    )
    address = ollama_base_url(chat)
    if opening.has_wire and urlsplit(address).username is None:
        headers = {"content-type": "application/json", "accept": "application/json"}
        if opening.key:
            headers["authorization"] = f"Bearer {opening.key}"
        url = address.rstrip("/") + "/api/chat"
        chat.use_wire(Wire(opening.resources.sessions, url, headers, "lines"))
    return chat


def _readable(part: dict[str, Any]) -> ChatResponse:
    """A part as Ollama's library reads it, without fields that are of another type there.

    Raises:
        ValueError: there is no message in it.
    """
    message = part.get("message")
    if isinstance(message, dict) and message.get("content") is None:
        part = {**part, "message": {**message, "content": ""}}  # no text, not an error
    try:
        return ChatResponse(**part)
    except ValidationError as error:
        odd = {fault["loc"][0] for fault in error.errors()} - {"message"}
        return ChatResponse(**{name: value for name, value in part.items() if name not in odd})


class _VectorTransport(AiohttpTransport):
    """Hands on nothing of a reply but its vectors: the library refuses one with odd counts."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request."""
        response = await super().handle_async_request(request)
        if response.status_code >= 300:
            return response
        try:
            value = json.loads(await response.aread())
        finally:
            await response.aclose()
        vectors = {"embeddings": value["embeddings"]} if isinstance(value, dict) else value
        return httpx.Response(200, json=vectors, request=request)


def _delta(part: Mapping[str, Any]) -> Delta | str:
    """What a part says, thinks and counts, as LangChain reads it; the text of one that speaks."""
    body = part.get("message") or {}
    content, thought = body.get("content") or "", body.get("thinking") or ""
    if not part.get("done"):
        if not thought and not body.get("tool_calls") and isinstance(content, str):
            return content
        return Delta(content, thought, calling=bool(body.get("tool_calls")))
    reason = part.get("done_reason") or "stop"
    if reason == "load" and not content.strip():
        return Delta()  # the model was loaded, and nothing was said
    read, written = part.get("prompt_eval_count"), part.get("eval_count")
    usage = None
    # Counts that make no sense are as good as not told.
    if all(isinstance(count, int) and count >= 0 for count in (read, written)):
        usage = {"input_tokens": read, "output_tokens": written}
    return Delta(content, thought, calling=bool(body.get("tool_calls")), usage=usage, finish=reason)


def open_embeddings(opening: Opening) -> Embeddings:
    """An embedding model on Ollama."""
    return OllamaEmbeddings(
        model=opening.spec.model,
        base_url=opening.base_url,
        **_clients(opening, _VectorTransport),
        **opening.params,
    )


def _clients(opening: Opening, kind: type[AiohttpTransport] = AiohttpTransport) -> dict[str, Any]:
    """The arguments that make Ollama's client use the loop's connections, with this key alone."""
    key = opening.key
    # Ollama's client would send this variable's key to any host that it is pointed at.
    stray = os.environ.get("OLLAMA_API_KEY")
    withheld = f"Bearer {stray}" if stray and not key else None
    transport = kind(opening.resources.sessions, withhold=withheld)
    return {
        "client_kwargs": {"headers": {"authorization": f"Bearer {key}"}} if key else {},
        "async_client_kwargs": {"transport": transport},
        # Never used, and without a transport of its own it would read certificates for 20 ms.
        "sync_client_kwargs": {"transport": httpx.BaseTransport()},
    }


_FIELDS = frozenset(OllamaChat.model_fields)
