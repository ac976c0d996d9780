"""Lanes: models that share one piece of hardware, or one rate limit, take turns.

A lane is as wide as the smallest `concurrency` that one of its models states; where none does, it
is no limit. A model with a `concurrency` and no lane has a lane of its own. Lanes hold within an
event loop, across the councils in it that name the same lane with the same width.
"""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any

from mixture_of_models.councils.schema import Council

Lanes = dict[Hashable, asyncio.Semaphore]

_NO_LANE: AbstractAsyncContextManager[Any] = nullcontext()


def lane_of(lanes: Lanes, council: Council, key: str) -> AbstractAsyncContextManager[Any]:
    """What a call to the model must hold while it lasts; entering it waits for a turn.

    Waiting is fair (first come, first served) and can be cancelled.
    """
    spec = council.models[key]
    if spec.lane is None:
        if spec.concurrency is None:
            return _NO_LANE
        named: Hashable = (spec.provider, spec.base_url, spec.model)
        width = spec.concurrency
    else:
        sharing = (other for other in council.models.values() if other.lane == spec.lane)
        stated = [other.concurrency for other in sharing if other.concurrency is not None]
        if not stated:
            return _NO_LANE
        named, width = spec.lane, min(stated)
    lane = lanes.get((named, width))
    if lane is None:
        lane = lanes[named, width] = asyncio.Semaphore(width)
    return lane
