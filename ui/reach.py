"""What this machine could ask, and what is known of each. No key is kept."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from mom_council.councils.loader import load_model
from mom_council.councils.schema import Council
from mom_council.models.addresses import ollama_address
from mom_council.models.clients import loop_resources
from mom_council.models.providers.embedded import is_installed
from mom_council.models.providers.ollama_server import ask_ollama
from mom_council.models.registry import open_model
from mom_council.models.resolved import ResolvedModel, resolve_alone
from mom_council.models.weights import SHIPPED, downloaded_weights
from mom_council.runs.discovery import AvailableModels, find_models
from mom_council.vendors import VENDORS, vendor_of

Place = Literal["ollama", "key", "downloaded", "shipped"]

_SHOW_SECONDS = 2.0
_MOST_SHOWN = 60
"""Ollama's models that are asked what they can."""


@dataclass(frozen=True, slots=True)
class Voice:
    """One model that could be asked. None: nobody told."""

    place: Place
    provider: str
    model: str
    base_url: str | None = None
    size: int | None = None
    vision: bool | None = None
    tools: bool | None = None
    context: int | None = None


@dataclass(frozen=True, slots=True)
class Survey:
    """What is reachable from here."""

    found: AvailableModels
    ollama_url: str
    """Where Ollama was looked for."""
    voices: tuple[Voice, ...]
    engine: bool
    """Whether llama.cpp is installed, which answers for downloaded and shipped weights."""

    @property
    def real(self) -> bool:
        """Whether there is anything beyond the tiny models that come with the package."""
        return any(voice.place != "shipped" for voice in self.voices)


async def survey(env: Mapping[str, str] = os.environ) -> Survey:
    """Look around. Nothing fails because something is missing."""
    found = await find_models(env)
    voices = [
        *(Voice("ollama", "ollama", one.name, found.ollama_url, one.size) for one in found.ollama),
        *(Voice("key", name, VENDORS[name].default_model or "") for name in found.keys),
        *(Voice("downloaded", "embedded", one.name, size=one.size) for one in found.weights),
    ]
    if is_installed():
        tiny = await asyncio.to_thread(downloaded_weights, SHIPPED)
        voices += [
            Voice("shipped", "embedded", name, size=file.stat().st_size, vision=False, tools=False)
            for name, file in tiny.items()
        ]
    known = await asyncio.gather(*(_looked_at(one, at) for at, one in enumerate(voices)))
    return Survey(found, ollama_address(env), tuple(known), is_installed())


def model_to_try(provider: str, model: str, base_url: str | None = None) -> ResolvedModel:
    """A model for one call of it.

    Raises:
        CouncilError: no model can be called that.
    """
    values: dict[str, Any] = {"provider": provider, "model": model, "timeout": 60, "retries": 0}
    if base_url:
        values["base_url"] = base_url
    return resolve_alone(load_model(values))


def unpulled(council: Council, found: Survey) -> list[str]:
    """What a council needs of the usual Ollama and does not find there."""
    names = {
        model.model
        for model in council.models.values()
        if vendor_of(model.provider).fetch and model.base_url in (None, found.ollama_url)
    }
    if names and not found.found.ollama_url:
        return [f"Ollama does not answer at {found.ollama_url}"]
    here = {voice.model for voice in found.voices if voice.place == "ollama"}
    here |= {name.removesuffix(":latest") for name in here}
    lacking = sorted(name for name in names if name not in here)
    return ["ollama pull " + name for name in lacking]


async def _looked_at(voice: Voice, place: int) -> Voice:
    """The voice with what it is known to be able to do."""
    if place >= _MOST_SHOWN:
        return voice
    if voice.place == "ollama" and voice.base_url:
        url = f"{voice.base_url}/api/show"
        card = await ask_ollama("POST", url, {"model": voice.model}, seconds=_SHOW_SECONDS)
        return _as_shown(voice, card or {})
    if voice.place == "key" and voice.model:
        return await _as_profiled(voice)
    return voice


def _as_shown(voice: Voice, card: Mapping[str, Any]) -> Voice:
    can, info = card.get("capabilities"), card.get("model_info")
    known = isinstance(can, list)
    lengths = info.items() if isinstance(info, dict) else ()
    context = next((n for key, n in lengths if str(key).endswith(".context_length")), None)
    return replace(
        voice,
        vision="vision" in can if isinstance(can, list) else None,
        tools="tools" in can if isinstance(can, list) and known else None,
        context=context if isinstance(context, int) else None,
    )


async def _as_profiled(voice: Voice) -> Voice:
    """What LangChain's own tables say of a vendor's model; no request is sent."""
    with contextlib.suppress(Exception):  # a table more or less is no reason to show no page
        spec = model_to_try(voice.provider, voice.model).settings
        profile = getattr(await open_model(await loop_resources(), spec), "profile", None) or {}
        return replace(
            voice,
            vision=profile.get("image_inputs"),
            tools=profile.get("tool_calling"),
            context=profile.get("max_input_tokens"),
        )
    return voice


def needed(provider: str) -> str:
    """How a provider's package is installed, in one line."""
    return VENDORS[provider].install or ""
