"""Asking the model that is probed, and counting what it takes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage

from mom_council.councils.schema import Council
from mom_council.errors import ModelUnavailableError
from mom_council.models.clients import loop_resources
from mom_council.models.lanes import lane_of
from mom_council.models.registry import open_model
from mom_council.models.retry import read_failure
from mom_council.models.speaking import Reply, speak
from mom_council.models.voices import instance_of, settled
from mom_council.redaction import redact

REFUSALS = (400, 404, 415, 422, 500, 501)
"""How servers answer what a model cannot do."""


class Asker:
    """One model of a council, asked without its fallbacks."""

    def __init__(self, council: Council, key: str) -> None:
        spec = council.models[key].model_copy(update={"fallbacks": ()})
        self.council = council.model_copy(update={"models": {**council.models, key: spec}})
        self.key = key
        self.calls = 0
        self.seconds = 0.0

    @property
    def style(self) -> str:
        """The templates of its council."""
        return self.council.prompts

    async def ask(
        self,
        messages: Sequence[BaseMessage],
        *,
        on_text: Callable[[str, bool], None] | None = None,
        schema: dict[str, Any] | None = None,
        params: Mapping[str, Any] = {},  # only read
        **changes: Any,
    ) -> Reply:
        """One call, as cold as the model can be; `changes` are of the voice.

        Raises:
            ModelError: it did not answer.
        """
        council = self.council
        if changes:
            spec = council.models[self.key].model_copy(update=changes)
            council = council.model_copy(update={"models": {**council.models, self.key: spec}})
        try:
            reply = await speak(
                council,
                self.key,
                messages,
                on_text=on_text,
                schema=schema,
                params={"temperature": 0.0, **params},
            )
        except ModelUnavailableError as error:
            self.calls += len(error.attempts)
            raise
        self.calls += reply.usage.calls
        self.seconds += reply.usage.seconds
        return reply

    async def ask_with_tools(
        self, messages: Sequence[BaseMessage], tools: Sequence[dict[str, Any]]
    ) -> AIMessage:
        """One call in which it may call a tool, and what it said.

        Raises:
            ToolsRefusedError: its server takes no tools with it.
            ModelUnavailableError: it did not answer.
        """
        spec = settled(self.council, self.key)
        chat = await open_model(await loop_resources(), spec, {"temperature": 0.0})
        heard: Any = None
        self.calls += 1
        lane = lane_of((await loop_resources()).lanes, self.council, self.key)
        try:
            bound = chat.bind_tools(list(tools))
            async with lane.turn(instance_of(spec)) if lane else nullcontext():
                began = asyncio.get_running_loop().time()
                async with asyncio.timeout(spec.timeout):
                    async for chunk in bound.astream(list(messages)):
                        heard = chunk if heard is None else heard + chunk
                self.seconds += asyncio.get_running_loop().time() - began
        except NotImplementedError:
            raise ToolsRefusedError("its provider takes none") from None
        except Exception as error:
            failure = read_failure(
                error, model=spec.model, provider=spec.provider, where=spec.provider
            )
            if failure.status in REFUSALS:
                raise ToolsRefusedError(failure.reason) from None
            raise ModelUnavailableError(redact(failure.reason)) from None
        calls = list(getattr(heard, "tool_calls", ()))
        return AIMessage(getattr(heard, "text", "") or "", tool_calls=calls)


class ToolsRefusedError(Exception):
    """The server refuses the request for its tools."""
