"""In which order calls of several models take their turns, where not all of them fit into memory.

Pure. A fan-out is a set of models that must each be in memory once; `room` models fit at a time;
fan-outs follow one another, and within one the order is ours to choose. What is loaded takes its
turn first, so that each of the others is loaded once and no model twice: no order of this fan-out
takes fewer loads. Who is in memory at its end is then chosen so that the fan-outs to come take the
fewest, too. The tests compare it with every possible order.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Generic, TypeVar

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
    known: dict[tuple[int, frozenset[T]], int] = {}

    def least(place: int, loaded_now: frozenset[T]) -> int:
        """The fewest loads from a fan-out on."""
        if place == len(fan_outs):
            return 0
        if (place, loaded_now) not in known:
            models, ahead = fan_outs[place], fan_outs[place + 1 :]
            ends = _ends(models, loaded_now, slots, ahead, rank)
            known[place, loaded_now] = len(models - loaded_now) + min(
                least(place + 1, end) for end in ends
            )
        return known[place, loaded_now]

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
        until = next((n for n, wanted in enumerate(ahead) if model in wanted), math.inf)
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
