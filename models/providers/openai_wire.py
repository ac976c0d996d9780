"""OpenAI's protocol, and the many servers that speak it.

LangChain's ChatOpenAI drops the fields that OpenAI's own models do not send (`reasoning_content`,
`reasoning`) and a streamed `refusal`; here they are kept. The SDK picks up keys and headers from
the environment; towards anyone but their owner they are left out.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from langchain_openai import ChatOpenAI
from langchain_openai.chat_models.base import BaseChatOpenAI
from openai import AsyncOpenAI
from openai.types.chat import ChatCompletionChunk

if TYPE_CHECKING:
    import httpx2
    from langchain_core.language_models import BaseChatModel, LanguageModelInput
    from langchain_core.outputs import ChatGenerationChunk

_KEPT = {
    "reasoning_content": "reasoning_content",
    "reasoning": "reasoning_content",
    "refusal": "refusal",
}
"""Fields of a streamed delta, and the name LangChain gives them where it knows them."""


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
        return f"AsyncOpenAI/Python {self._version}"


_CODED = re.compile(r"[a-z_]+: ")


class StrictOpenAI(PlainOpenAI):
    """An SDK client that sends what it was given, and nothing from OPENAI_* in the environment."""

    def __init__(self, **given: Any) -> None:
        headers = given.get("default_headers")
        super().__init__(**given)
        self.organization = None
        self.project = None
        self.admin_api_key = None
        self._custom_headers = dict(headers or {})


class _Whole(BaseChatOpenAI):
    """Keeps the fields of a delta that LangChain drops, and spends less on the request."""

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
        made = super()._convert_chunk_to_generation_chunk(
            chunk, default_chunk_class, base_generation_info
        )
        choices = chunk.get("choices")
        if made is not None and choices and (delta := choices[0].get("delta")):
            for field, name in _KEPT.items():
                if isinstance(value := delta.get(field), str) and value:
                    made.message.additional_kwargs.setdefault(name, value)
        return made

    async def _astream(self, *given: Any, **more: Any) -> AsyncIterator[Any]:
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


class ResponseError(RuntimeError):
    """The server said in its stream that it failed."""


class OpenAIChat(_Whole, ChatOpenAI):
    """OpenAI itself, and others where they are asked through its newer interface."""


class CompatibleChat(_Whole):
    """Any other server: the plain protocol (`max_tokens`, the `system` role), no Responses API."""


def open_openai(
    model: str,
    params: Mapping[str, Any],
    *,
    base_url: str,
    key: str | None,
    at_home: bool,
    client: httpx2.AsyncClient,
) -> BaseChatModel:
    """A chat model on OpenAI's protocol; `key` None is a server that wants none."""
    params = dict(params)
    newer = at_home or params.get("use_responses_api")
    kind: type[BaseChatOpenAI] = OpenAIChat if newer else CompatibleChat
    extra = dict(params.pop("extra_body", None) or {})
    extra |= {name: params.pop(name) for name in list(params) if name not in _fields(kind)}
    sdk = (PlainOpenAI if at_home else StrictOpenAI)(
        api_key=key or "none",
        base_url=base_url,
        max_retries=0,
        timeout=client.timeout,
        default_headers=params.pop("default_headers", None),
        default_query=params.pop("default_query", None),
        http_client=client,
    )
    if not at_home:
        params.setdefault("use_responses_api", False)
    return kind(
        model=model,
        api_key=key or "none",
        base_url=base_url,
        max_retries=0,
        stream_usage=True,
        # A timer of its own for every chunk; the whole call has one already.
        stream_chunk_timeout=None,
        extra_body=extra or None,
        **connected(sdk),
        **params,
    )


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
