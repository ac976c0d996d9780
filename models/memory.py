"""What is in memory on this machine, how many models fit, and taking one out.

Ollama tells what it has loaded (/api/ps); of llama.cpp it is known which engines run. Nothing here
fails because a server does not answer: then it is not known.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from mom_council.models.addresses import is_near, ollama_address
from mom_council.models.lanes import Lane, unload
from mom_council.models.planner import how_many_fit
from mom_council.models.providers import embedded
from mom_council.models.providers.ollama_server import ask_ollama
from mom_council.models.voices import ModelInstance


async def update_loaded(lane: Lane, voices: Sequence[ModelInstance]) -> None:
    """Find out which of a lane's voices are in memory, and once, how many fit."""
    known: list[ModelInstance] = []
    there: list[ModelInstance] = []
    for url in {_address(voice) for voice in voices if voice.provider == "ollama"}:
        mine = [one for one in voices if one.provider == "ollama" and _address(one) == url]
        running = await ask_ollama("GET", f"{url}/api/ps")
        if running is not None:
            known += mine
            there += [voice for voice in mine if _is_among(running.get("models"), voice)]
    if local := [voice for voice in voices if voice.provider == "embedded"]:
        known += local
        there += await asyncio.to_thread(_running, local)
    lane.found(there, known)
    if lane.fits is None:
        lane.measured = max(len(there), lane.measured or await _fitting(lane, voices))


async def unload_instance(voice: ModelInstance) -> None:
    """Take a model out of memory; whoever uses it goes on until it has answered."""
    if voice.provider == "embedded" and voice.spec is not None:
        await asyncio.to_thread(embedded.stop_embedded, voice.spec)
    elif voice.provider == "ollama":
        body = {"model": voice.model, "keep_alive": 0}
        await ask_ollama("POST", f"{_address(voice)}/api/generate", body)


async def _fitting(lane: Lane, voices: Sequence[ModelInstance]) -> int:
    """How many of the voices fit, as far as sizes and memory are told; 1 where they are not."""
    if all(voice.provider == "embedded" for voice in voices):
        sizes = await asyncio.to_thread(_weights, voices)
        memory = _main_memory()
        if None in sizes or memory is None:
            return 1
        fit = how_many_fit([size for size in sizes if size is not None], memory)
        if fit < len(voices):
            # These engines are ours: nobody else makes room among them.
            lane.fits, lane.let_go = fit, unload
        return fit
    urls = {_address(voice) for voice in voices}
    if len(urls) != 1 or not is_near(url := urls.pop()) or not _is_here(url):
        return 1
    listed, memory = (
        await ask_ollama("GET", f"{url}/api/tags"),
        await asyncio.to_thread(gpu_memory),
    )
    if listed is None or memory is None:
        return 1
    cards = {card.get("name"): card.get("size") for card in _cards(listed.get("models"))}
    found = [cards.get(voice.model) for voice in voices]
    if not all(isinstance(size, int) for size in found):
        return 1
    return how_many_fit([size for size in found if isinstance(size, int)], memory)


def _address(voice: ModelInstance) -> str:
    return (voice.base_url or ollama_address(os.environ)).rstrip("/").removesuffix("/v1")


def _is_here(url: str) -> bool:
    return any(f"//{host}" in url for host in ("127.", "localhost", "[::1]"))


def _is_among(cards: Any, voice: ModelInstance) -> bool:
    asked = dict(voice.options).get("num_ctx")
    return any(
        voice.model in (card.get("name"), card.get("model"))
        and asked in (None, card.get("context_length") or asked)
        for card in _cards(cards)
    )


def _cards(told: Any) -> Collection[Mapping[str, Any]]:
    return [card for card in told if isinstance(card, dict)] if isinstance(told, list) else []


def _running(voices: Sequence[ModelInstance]) -> list[ModelInstance]:
    return [one for one in voices if one.spec is not None and embedded.is_running(one.spec)]


def _weights(voices: Sequence[ModelInstance]) -> list[int | None]:
    from mom_council.errors import MixtureError
    from mom_council.models.weights import find_weights

    sizes: list[int | None] = []
    for voice in voices:
        try:
            sizes.append(find_weights(voice.model).stat().st_size)
        except (MixtureError, OSError):
            sizes.append(None)
    return sizes


def _main_memory() -> int | None:
    """Bytes of memory that models may take of this machine's: four fifths."""
    try:
        return int(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * 0.8)
    except (AttributeError, OSError, ValueError):  # Windows
        return None


def gpu_memory() -> int | None:
    """Bytes of memory of all GPUs together; None where nobody tells."""
    with contextlib.suppress(Exception):  # no driver, no GPU, an old one: then it is not known
        import pynvml

        pynvml.nvmlInit()
        handles = map(pynvml.nvmlDeviceGetHandleByIndex, range(pynvml.nvmlDeviceGetCount()))
        return sum(int(pynvml.nvmlDeviceGetMemoryInfo(one).total) for one in handles) or None
    return None
