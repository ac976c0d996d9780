"""What is in memory on this machine, how many models fit, and taking one out.

Each vendor's `server` tells it of its own models. Nothing here fails because a server does not
answer: then it is not known.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from mom_council.models.planner import how_many_fit
from mom_council.models.resolved import ModelInstance
from mom_council.vendors import load_code, vendor_of


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
    loaded: list[ModelInstance] = []
    known: list[ModelInstance] = []
    for server in dict.fromkeys(_server(one) for one in instances):
        if server is not None:
            served = [one for one in instances if _server(one) == server]
            in_memory, told = await load_code(f"{server}:loaded_among")(served)
            loaded += in_memory
            known += told
    return loaded, known


async def measure_capacity(instances: Sequence[ModelInstance]) -> Capacity:
    """How many of some models fit, as far as their sizes and the memory are known."""
    vendors = {one.provider: vendor_of(one.provider) for one in instances}
    if len(vendors) != 1:
        return Capacity()
    [vendor] = vendors.values()
    if vendor.server is None:
        return Capacity()
    sizes: list[int | None] = await load_code(f"{vendor.server}:model_sizes")(instances)
    known_sizes = [size for size in sizes if size is not None]
    memory = await asyncio.to_thread(main_memory if vendor.engine else gpu_memory)
    if len(known_sizes) < len(instances) or memory is None:
        return Capacity()
    fit = how_many_fit(known_sizes, memory)
    # A server makes room by itself; among engines of ours nobody else does.
    return Capacity(fit, unloads=vendor.engine is not None and fit < len(instances))


async def unload_instance(instance: ModelInstance) -> None:
    """Take a model out of memory; whoever uses it goes on until it has answered."""
    if (server := _server(instance)) is not None:
        await load_code(f"{server}:unload")(instance)


def _server(instance: ModelInstance) -> str | None:
    return vendor_of(instance.provider).server


def main_memory() -> int | None:
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


MEMORY_VARIABLE = "MOM_MEMORY_GB"
"""Where a person says how much memory models may take: for a server on another machine."""

_ASSUMED = 12_000_000_000
"""Bytes that are assumed of a GPU of which nothing is known."""


class ModelMemory(NamedTuple):
    """Where models are loaded, and how much room there is."""

    bytes: int
    kind: Literal["GPU", "RAM", "assumed"]

    @property
    def in_words(self) -> str:
        """As people say it: "8 GB of GPU memory"."""
        where = {"GPU": "GPU memory", "RAM": "main memory", "assumed": "memory (assumed)"}
        return f"{self.bytes / 1e9:.3g} GB of {where[self.kind]}"


def memory_for_models(
    loaded: Sequence[Mapping[str, Any]], *, here: bool, env: Mapping[str, str] = os.environ
) -> ModelMemory:
    """How much memory a server has for its models.

    Args:
        loaded: what Ollama's `/api/ps` lists: `size` of each model, `size_vram` of it on the GPU.
        here: whether the server is on this machine, so that its GPU and memory can be looked at.
        env: the environment; `MOM_MEMORY_GB` in it stands above everything.
    """
    with contextlib.suppress(ValueError):
        if (said := float(env.get(MEMORY_VARIABLE, ""))) > 0:
            return ModelMemory(int(said * 1e9), "GPU")
    on_gpu = sum(_number(card.get("size_vram")) for card in loaded)
    spilled = any(_number(card.get("size_vram")) < _number(card.get("size")) for card in loaded)
    if here and (known := gpu_memory() or _amd_memory()):
        return ModelMemory(known, "GPU")
    if spilled and on_gpu:
        return ModelMemory(on_gpu, "GPU")  # it is full
    main = (main_memory() or 0) if here else 0
    if here and sys.platform == "darwin" and main:
        return ModelMemory(main, "GPU")  # one memory for both
    if on_gpu:
        return ModelMemory(max(on_gpu * 10 // 9, _ASSUMED), "assumed")
    return ModelMemory(main * 3 // 4, "RAM") if main else ModelMemory(_ASSUMED, "assumed")


def _number(value: Any) -> int:
    return int(value) if isinstance(value, int | float) and 0 <= value < 1e15 else 0


def _amd_memory() -> int | None:
    """Bytes of memory of the AMD GPUs, as Linux tells them; less than 2 GB is a part of RAM."""
    sizes = []
    for file in Path("/sys/class/drm").glob("card*/device/mem_info_vram_total"):
        with contextlib.suppress(OSError, ValueError):
            sizes.append(int(file.read_text("ascii")))
    return sum(size for size in sizes if size > 2e9) or None
