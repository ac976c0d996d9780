"""Cohere, with what LangChain's ChatCohere leaves out.

Of the parameters it sends the temperature alone, pictures in LangChain's own form it drops, and an
answer whose last event has no usage (as one that ended in an error) makes it fail.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from cohere import AsyncClient
from langchain_cohere import ChatCohere
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun
from langchain_core.messages import BaseMessage, is_data_content_block
from langchain_core.messages.block_translators.openai import convert_to_openai_data_block
from langchain_core.outputs import ChatGenerationChunk
from pydantic import Field, SecretStr

from mom_council.models.providers.langchain import httpx_client

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

    from mom_council.models.providers import Opening

_PARAMETERS = frozenset(
    {
        *("max_tokens", "seed", "frequency_penalty", "presence_penalty", "k", "p", "logprobs"),
        *("stop_sequences", "safety_mode", "thinking", "citation_options", "priority"),
    }
)
"""What the SDK's chat takes by name; the rest goes into the body as it is."""


class CohereChat(ChatCohere):
    """ChatCohere that sends every parameter and every picture."""

    more: dict[str, Any] = Field(default_factory=dict)
    """Parameters beside the temperature."""

    @property
    def _default_params(self) -> dict[str, Any]:
        named = {name: value for name, value in self.more.items() if name in _PARAMETERS}
        rest = {name: value for name, value in self.more.items() if name not in _PARAMETERS}
        options = {"request_options": {"additional_body_parameters": rest}} if rest else {}
        return {**super()._default_params, **named, **options}

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        converted = [_with_openai_pictures(message) for message in messages]
        whole = super()._astream(converted, stop, run_manager, **kwargs)
        async with aclosing(whole) as stream:  # type: ignore[type-var]
            async for chunk in stream:
                yield chunk

    def _get_stream_info_v2(
        self,
        final_delta: Any,
        documents: list[dict[str, Any]] | None = None,
        tool_calls: list[dict[str, Any]] | None = None,
    ) -> dict[str, Any]:
        if getattr(final_delta.usage, "billed_units", None) is not None:
            info: dict[str, Any] = super()._get_stream_info_v2(final_delta, documents, tool_calls)
            return info
        calls = {"tool_calls": tool_calls} if tool_calls else {}
        return {"finish_reason": final_delta.finish_reason, **calls}


def open_chat(opening: Opening) -> BaseChatModel:
    """A chat model of Cohere's."""
    params = dict(opening.params)
    temperature = params.pop("temperature", None)
    key, address = opening.key or "none", str(opening.address)
    chat = CohereChat(
        model=opening.spec.model,
        temperature=temperature,
        more=params,
        cohere_api_key=SecretStr(key),
        base_url=address,
    )
    chat.async_client = AsyncClient(
        api_key=key, base_url=address, httpx_client=httpx_client(opening.resources)
    )
    return chat


def _with_openai_pictures(message: BaseMessage) -> BaseMessage:
    """The message with its pictures in the form that this wire knows."""
    if not isinstance(message.content, list):
        return message
    blocks = [
        convert_to_openai_data_block(block)
        if isinstance(block, dict) and is_data_content_block(block)
        else block
        for block in message.content
    ]
    return message.model_copy(update={"content": blocks})
