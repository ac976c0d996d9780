"""Which models are in memory, how many fit, taking one out, and the order that loads the fewest.

Each vendor's `server` says which of its models are loaded. If a server does not answer, nothing
fails: what is in memory is then unknown.

The order is pure arithmetic. A fan-out is a set of models that must each be in memory once; `room`
models fit at a time; fan-outs follow one another, and the order within each is ours to choose.
Loaded models go first, so that each of the others is loaded once and no model twice: no order of
this fan-out takes fewer loads. The models that stay in memory at its end are those with which the
next fan-outs take the fewest loads. The tests compare it with every possible order.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, Generic, Literal, NamedTuple, TypeVar

from mom_council.models.resolved import ModelInstance
from mom_council.vendors import load_code, vendor_of

T = TypeVar("T")

_MOST_ENDINGS = 100
"""Ways in which a fan-out can end that are compared; beyond, who is needed soonest stays."""

_HORIZON = 8
"""Fan-outs ahead that are looked at."""


@dataclass(frozen=True, slots=True)
class LoadPlan(Generic[T]):
    """What a fan-out's calls do."""

    order: tuple[T, ...]
    """Each model once, in the order of their turns."""
    stays: frozenset[T]
    """What is to be in memory at the end."""
    loads: int
    """In this fan-out and in those ahead."""


def plan(
    models: Iterable[T],
    loaded: Collection[T],
    slots: int,
    ahead: Sequence[Collection[T]] = (),
) -> LoadPlan[T]:
    """The order of a fan-out that takes the fewest loads.

    Args:
        models: whose calls are wanted now, in the order they came; each may come more than once.
        loaded: what is in memory.
        slots: how many fit.
        ahead: the fan-outs that follow this one, as far as they are known.
    """
    each = tuple(dict.fromkeys(models))
    fan_outs = [frozenset(each), *map(frozenset, ahead[:_HORIZON])]
    rank = {model: place for place, model in enumerate(dict.fromkeys((*each, *loaded)))}
    stays, loads = _best_end(fan_outs, frozenset(loaded), slots, rank)
    order = sorted(each, key=lambda model: (model not in loaded) * (1 + (model in stays)))
    return LoadPlan(tuple(order), stays, loads)


def to_leave(loaded: Sequence[T], needed: Collection[T], stays: Collection[T]) -> T | None:
    """Who makes room: the longest unused that is neither wanted now nor to stay, if there is one.

    None where all are wanted.
    """
    free = [model for model in loaded if model not in needed]
    return next((model for model in free if model not in stays), free[0] if free else None)


def loads_as_they_come(calls: Iterable[T], loaded: Sequence[T], slots: int) -> int:
    """How many loads the calls take first come, first served; the longest unused makes room."""
    loaded_now, loads = list(loaded)[-slots:], 0
    for model in calls:
        if model in loaded_now:
            loaded_now.remove(model)
        else:
            loads += 1
            del loaded_now[: max(0, len(loaded_now) - slots + 1)]
        loaded_now.append(model)
    return loads


def how_many_fit(sizes: Iterable[int], memory: int) -> int:
    """How many models fit into so many bytes together, whichever they are: at least one.

    A model takes about a fifth more than its file: its context, and the engine's own buffers.
    """
    left, fitting = float(memory), 0
    for size in sorted(sizes, reverse=True):
        left -= 1.2 * size
        if left < 0:
            break
        fitting += 1
    return max(fitting, 1)


def _best_end(
    fan_outs: Sequence[frozenset[T]], loaded_now: frozenset[T], slots: int, rank: dict[T, int]
) -> tuple[frozenset[T], int]:
    """How the first fan-out had best end, and the loads of all."""
    costs: dict[tuple[int, frozenset[T]], int] = {}

    def least(place: int, loaded_now: frozenset[T]) -> int:
        """The fewest loads from a fan-out on."""
        if place == len(fan_outs):
            return 0
        if (place, loaded_now) not in costs:
            models, ahead = fan_outs[place], fan_outs[place + 1 :]
            ends = _ends(models, loaded_now, slots, ahead, rank)
            costs[place, loaded_now] = len(models - loaded_now) + min(
                least(place + 1, end) for end in ends
            )
        return costs[place, loaded_now]

    ends = _ends(fan_outs[0], loaded_now, slots, fan_outs[1:], rank)
    best = min(ends, key=lambda end: least(1, end))
    return best, len(fan_outs[0] - loaded_now) + least(1, best)


def _ends(
    models: frozenset[T],
    loaded_now: frozenset[T],
    slots: int,
    ahead: Sequence[frozenset[T]],
    rank: dict[T, int],
) -> Iterator[frozenset[T]]:
    """What can be in memory when a fan-out is over that has loaded each of its models once.

    Whatever was loaded last is; the other places hold any of what was there before or came since.
    """

    def soonest(model: T) -> tuple[float, int]:
        until = next((n for n, needs in enumerate(ahead) if model in needs), math.inf)
        return until, -rank.get(model, len(rank))

    new = models - loaded_now
    there = sorted(loaded_now | models, key=soonest)
    size = min(slots, len(there))
    if math.comb(len(there), size) <= _MOST_ENDINGS:
        for chosen in combinations(there, size):
            if not new or not new.isdisjoint(chosen):
                yield frozenset(chosen)
        return
    last = [min(new, key=soonest)] if new else []
    yield frozenset([*last, *(model for model in there if model not in last)][:size])


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
    observed: list[ModelInstance] = []
    for server in dict.fromkeys(_server(one) for one in instances):
        if server is not None:
            served = [one for one in instances if _server(one) == server]
            in_memory, seen = await load_code(f"{server}:loaded_among")(served)
            loaded += in_memory
            observed += seen
    return loaded, observed


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
        if (gigabytes := float(env.get(MEMORY_VARIABLE, ""))) > 0:
            return ModelMemory(int(gigabytes * 1e9), "GPU")
    on_gpu = sum(_number(card.get("size_vram")) for card in loaded)
    spilled = any(_number(card.get("size_vram")) < _number(card.get("size")) for card in loaded)
    if here and (bytes_here := gpu_memory() or _amd_memory()):
        return ModelMemory(bytes_here, "GPU")
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
