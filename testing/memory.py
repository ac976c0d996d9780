"""Which Ollama models are in memory: loading, keeping alive, evicting."""

from __future__ import annotations

import asyncio
import math
import re
import time
from dataclasses import dataclass

FIVE_MINUTES = 300.0
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "": 1.0}


@dataclass(frozen=True, slots=True)
class Load:
    """One loading of a model, and what had to leave for it."""

    model: str
    started: float
    evicted: tuple[str, ...] = ()


@dataclass(slots=True)
class Resident:
    """A model in memory, or on its way there."""

    loading: asyncio.Task[None]
    context: int | None = None
    users: int = 0
    expires: float = math.inf


class Memory:
    """So many models fit; the one longest unused leaves first, and never one that is speaking."""

    def __init__(self, slots: int | None) -> None:
        self.slots = slots
        self.loads: list[Load] = []
        self._residents: dict[str, Resident] = {}  # the longest unused first
        self._one_load = asyncio.Lock()
        self._room = asyncio.Event()

    def residents(self) -> dict[str, float]:
        """The models in memory and how many seconds each stays."""
        now = time.monotonic()
        for name, resident in list(self._residents.items()):
            if not resident.users and resident.expires <= now:
                del self._residents[name]
        return {name: resident.expires - now for name, resident in self._residents.items()}

    def context(self, model: str) -> int | None:
        """The size of context that a model in memory was loaded with, where a call said one."""
        return self._residents[model].context

    async def enter(self, model: str, load_seconds: float, context: int | None = None) -> float:
        """Have a model in memory and hold it there; the seconds that took.

        As in Ollama, another size of context is another load.
        """
        began = time.monotonic()
        while not self._is_here(model, context) and not self._make_room(
            model, load_seconds, context
        ):
            self._room.clear()
            await self._room.wait()
        resident = self._residents.pop(model)
        self._residents[model] = resident
        resident.users += 1
        try:
            # A client that leaves does not stop the load that it started.
            await asyncio.shield(resident.loading)
        except asyncio.CancelledError:
            self.leave(model, None)
            raise
        return time.monotonic() - began

    def leave(self, model: str, keep_alive: object) -> None:
        """Let go of a model, which stays as long as the call said: five minutes by default."""
        resident = self._residents[model]
        resident.users -= 1
        if not resident.users:
            stays = seconds(keep_alive)
            resident.expires = time.monotonic() + stays
            if stays == 0:
                del self._residents[model]
        self._room.set()

    def _is_here(self, model: str, context: int | None) -> bool:
        return model in self.residents() and self._residents[model].context == context

    def _make_room(self, model: str, load_seconds: float, context: int | None) -> bool:
        evicted: list[str] = []
        if model in self._residents:
            if self._residents[model].users:
                return False
            del self._residents[model]
            evicted.append(model)
        while self.slots is not None and len(self._residents) >= self.slots:
            idle = next((name for name, one in self._residents.items() if not one.users), None)
            if idle is None:
                return False
            del self._residents[idle]
            evicted.append(idle)
        self.loads.append(Load(model, time.monotonic(), tuple(evicted)))
        loading = asyncio.ensure_future(self._load(load_seconds))
        self._residents[model] = Resident(loading, context)
        return True

    def drop(self, model: str) -> None:
        """Unload an idle model at once; one that speaks leaves when it is through."""
        if model in self.residents() and not self._residents[model].users:
            del self._residents[model]
            self._room.set()

    async def _load(self, load_seconds: float) -> None:
        if load_seconds:
            async with self._one_load:
                await asyncio.sleep(load_seconds)


def seconds(keep_alive: object) -> float:
    """Ollama's `keep_alive`: seconds, or a text such as "5m"; below zero is for ever."""
    if keep_alive is None:
        return FIVE_MINUTES
    match = re.fullmatch(r"(-?\d+(?:\.\d+)?)(ms|s|m|h|)", str(keep_alive))
    if not match:
        return FIVE_MINUTES
    value = float(match[1]) * _UNITS[match[2]]
    return math.inf if value < 0 else value
