"""What is in memory on this machine, how many models fit, and taking one out.

Ollama tells what it has loaded (/api/ps); of llama.cpp it is known which engines run. Nothing here
fails because a server does not answer: then it is not known.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from mom_council.models.addresses import is_near, ollama_address
from mom_council.models.planner import how_many_fit
from mom_council.models.providers import embedded
from mom_council.models.providers.ollama_server import ask_ollama
from mom_council.models.resolved import ModelInstance


class Capacity(NamedTuple):
    """How many models fit into memory at once."""

    models: int = 1
    """1 where sizes or memory are not known."""
    unloads: bool = False
    """Whether we have to make room among them, because nobody else does."""


async def loaded_among(
    instances: Sequence[ModelInstance],
) -> tuple[list[ModelInstance], list[ModelInstance]]:
    """Which of some models are in memory, and of which that is known."""
    known: list[ModelInstance] = []
    loaded: list[ModelInstance] = []
    on_ollama = [one for one in instances if one.provider == "ollama"]
    for url in dict.fromkeys(map(_address, on_ollama)):
        running = await ask_ollama("GET", f"{url}/api/ps")
        if running is not None:
            there = [one for one in on_ollama if _address(one) == url]
            known += there
            loaded += [one for one in there if _is_among(running.get("models"), one)]
    if engines := [one for one in instances if one.provider == "embedded"]:
        known += engines
        loaded += await asyncio.to_thread(_running, engines)
    return loaded, known


async def measure_capacity(instances: Sequence[ModelInstance]) -> Capacity:
    """How many of some models fit, as far as their sizes and the memory are known."""
    if all(one.provider == "embedded" for one in instances):
        sizes = await asyncio.to_thread(_weights, instances)
        memory = _main_memory()
        if None in sizes or memory is None:
            return Capacity()
        fit = how_many_fit([size for size in sizes if size is not None], memory)
        return Capacity(fit, unloads=fit < len(instances))
    urls = {_address(one) for one in instances}
    if len(urls) != 1 or not is_near(url := urls.pop()) or not _is_here(url):
        return Capacity()
    listed, memory = (
        await ask_ollama("GET", f"{url}/api/tags"),
        await asyncio.to_thread(gpu_memory),
    )
    if listed is None or memory is None:
        return Capacity()
    cards = {card.get("name"): card.get("size") for card in _cards(listed.get("models"))}
    found = [cards.get(one.model) for one in instances]
    if not all(isinstance(size, int) for size in found):
        return Capacity()
    return Capacity(how_many_fit([size for size in found if isinstance(size, int)], memory))


async def unload_instance(instance: ModelInstance) -> None:
    """Take a model out of memory; whoever uses it goes on until it has answered."""
    if instance.provider == "embedded" and instance.spec is not None:
        await asyncio.to_thread(embedded.stop_embedded, instance.spec)
    elif instance.provider == "ollama":
        body = {"model": instance.model, "keep_alive": 0}
        await ask_ollama("POST", f"{_address(instance)}/api/generate", body)


def _address(instance: ModelInstance) -> str:
    return (instance.base_url or ollama_address(os.environ)).rstrip("/").removesuffix("/v1")


def _is_here(url: str) -> bool:
    return any(f"//{host}" in url for host in ("127.", "localhost", "[::1]"))


def _is_among(cards: Any, instance: ModelInstance) -> bool:
    asked = dict(instance.options).get("num_ctx")
    return any(
        instance.model in (card.get("name"), card.get("model"))
        and asked in (None, card.get("context_length") or asked)
        for card in _cards(cards)
    )


def _cards(told: Any) -> Collection[Mapping[str, Any]]:
    return [card for card in told if isinstance(card, dict)] if isinstance(told, list) else []


def _running(instances: Sequence[ModelInstance]) -> list[ModelInstance]:
    return [one for one in instances if one.spec is not None and embedded.is_running(one.spec)]


def _weights(instances: Sequence[ModelInstance]) -> list[int | None]:
    from mom_council.errors import MixtureError
    from mom_council.models.weights import find_weights

    sizes: list[int | None] = []
    for instance in instances:
        try:
            sizes.append(find_weights(instance.model).stat().st_size)
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
