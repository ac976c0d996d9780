"""Finding the models that are meant, and asking the one that is probed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from difflib import get_close_matches
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage

from mom_council.councils.loader import load_model
from mom_council.councils.schema import Council
from mom_council.errors import ModelUnavailableError, OverBudgetError, UnknownNameError
from mom_council.models.clients import loop_resources
from mom_council.models.context_window import most_prompt_tokens
from mom_council.models.lanes import open_lane
from mom_council.models.prices import Meter, charged_account, find_price
from mom_council.models.providers import open_model
from mom_council.models.request_budget import metered_request
from mom_council.models.resolved import ResolvedModel, resolve_alone, resolve_model
from mom_council.models.retry import read_failure
from mom_council.models.speaking import Reply, speak
from mom_council.models.spending import Need
from mom_council.models.weights import SHIPPED, downloaded_weights
from mom_council.redaction import redact
from mom_council.vendors import vendor_of


def models_named(
    names: Sequence[str], council: Council | None, base_url: str | None = None
) -> tuple[dict[str, ResolvedModel], str]:
    """The models that are meant, by the name that each was given; and which prompts they get.

    Args:
        names: keys of the council, or `provider:model`; none: all of the council.
        council: whose keys are meant.
        base_url: where a `provider:model` is served, if not at the usual place.

    Raises:
        UnknownNameError: a name stands for nothing.
        CouncilError: a model cannot be called that.
    """
    keys = [] if council is None else [*council.models]
    models: dict[str, ResolvedModel] = {}
    for name in dict.fromkeys(names or keys):
        if council is not None and name in council.models:
            models[name] = resolve_model(council, name)
            continue
        provider, _, model = name.partition(":")
        if not model or not provider.isidentifier():
            near = get_close_matches(name, keys, n=1)
            meant = f"did you mean {near[0]!r}?" if near else "write it as provider:model"
            raise UnknownNameError(f"there is no model {name!r}", cure=meant)
        values = {"provider": provider, "model": model, "base_url": base_url, "timeout": 300}
        models[name] = resolve_alone(load_model(values), name)
    if council is not None:
        return models, council.prompts
    return models, "tiny" if _all_tiny(models.values()) else "standard"


def _all_tiny(models: Iterable[ResolvedModel]) -> bool:
    """Whether they are all of those that come with the package, and know one way of being asked."""
    tiny = downloaded_weights(SHIPPED)
    return all(
        vendor_of(one.settings.provider).engine and one.settings.model in tiny for one in models
    )


REFUSALS = (400, 404, 415, 422, 500, 501)
"""How servers answer what a model cannot do."""


_PROBED_ANSWER = 1_024
"""Tokens that a call of a tool may take, where a budget limits it."""


class Asker:
    """One model, asked without its fallbacks."""

    def __init__(self, name: str, model: ResolvedModel, style: str) -> None:
        self.name = name
        """What the report calls it."""
        self.model = model.alone()
        self.style = style
        """Which prompts it gets."""
        self.calls = 0
        self.seconds = 0.0

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
        settings = self.model.settings.model_copy(update=changes)
        try:
            reply = await speak(
                replace(self.model, settings=settings),
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
        spec = self.model.settings
        heard: Any = None
        price = (await find_price(spec, self.model.prices)).price
        meter, prompt = Meter(price), most_prompt_tokens(messages, [*tools])
        need = Need(prompt, _PROBED_ANSWER, _PROBED_ANSWER, price)
        limit = {} if charged_account() is None else {"max_tokens": _PROBED_ANSWER}
        chat = await open_model(await loop_resources(), spec, {"temperature": 0.0, **limit})
        self.calls += 1
        lane = open_lane((await loop_resources()).lanes, self.model.lane)
        try:
            bound = chat.bind_tools(list(tools))
            async with lane.turn(self.model.instance) if lane else nullcontext():
                began = asyncio.get_running_loop().time()
                async with (
                    asyncio.timeout(spec.timeout),
                    metered_request(spec, price, meter, need),
                ):
                    meter.begin_request()
                    async for chunk in bound.astream(list(messages)):
                        heard = chunk if heard is None else heard + chunk
                        meter.read(getattr(chunk, "usage_metadata", None))
                self.seconds += asyncio.get_running_loop().time() - began
        except OverBudgetError:
            raise
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
