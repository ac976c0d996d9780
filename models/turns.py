"""Announcing a fan-out to the lanes that its calls go through, and what they will do with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from mom_council.councils.schema import Council
from mom_council.models.clients import loop_resources
from mom_council.models.lanes import Lane, lane_of
from mom_council.models.memory import update_loaded
from mom_council.models.planner import loads_as_they_come
from mom_council.models.voices import ModelInstance, instance_of, settled


@dataclass(frozen=True, slots=True)
class LanePlan:
    """In which order one lane takes the calls of a fan-out."""

    lane: str
    models: tuple[str, ...]
    """By their keys in the council, each once."""
    calls: tuple[int, ...]
    """How many each has."""
    loaded: tuple[str, ...]
    """Those of them that are in memory already."""
    loads: int
    unplanned: int
    """The loads if calls were served as they come."""


async def announce_calls(
    council: Council, keys: Sequence[str], ahead: Sequence[Collection[str]] = ()
) -> list[LanePlan]:
    """Announce the calls of a fan-out; the orders of the lanes in which there is one to choose.

    Args:
        council: whose models these are.
        keys: the model of each call, in the order of the seats.
        ahead: the models of the fan-outs that are to follow.
    """
    here = await loop_resources()
    lanes: dict[int, tuple[Lane, list[str]]] = {}
    for key in keys:
        lane = lane_of(here.lanes, council, key)
        if lane is not None and lane.plans:
            lanes.setdefault(id(lane), (lane, []))[1].append(key)
    return [await _announce(council, lane, mine, ahead) for lane, mine in lanes.values()]


async def _announce(
    council: Council, lane: Lane, keys: list[str], ahead: Sequence[Collection[str]]
) -> LanePlan:
    names: dict[ModelInstance, str] = {}

    def voice(key: str) -> ModelInstance:
        found = instance_of(settled(council, key))
        names.setdefault(found, key)
        return found

    calls = [voice(key) for key in keys]
    later = [
        {voice(key) for key in some if council.models[key].lane == lane.name} for some in ahead
    ]
    await update_loaded(lane, [*names])
    loaded = [*lane.loaded]
    plan = lane.expect(calls, later)
    each = Counter(calls)
    return LanePlan(
        lane=lane.name,
        models=tuple(names[one] for one in plan.order),
        calls=tuple(each[one] for one in plan.order),
        loaded=tuple(names[one] for one in plan.order if one in loaded),
        loads=sum(one not in loaded for one in plan.order),
        unplanned=loads_as_they_come(calls, loaded, lane.room),
    )
