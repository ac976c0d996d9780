"""What a run waits for a person to say: leave for a tool, or a seat that is a person's.

A running job waits here, so a closed tab loses nothing: the next one to look sees the same form.
Who says nothing in time is absent; leave that nobody gives ends the run, which can be resumed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from langgraph.types import Command

from mom_council.deliberation.people import KIND
from mom_council.errors import DeliberationError

PATIENCE = 3600.0
"""Seconds that leave for a tool is waited for."""


@dataclass(frozen=True)
class Ask:
    """One thing that a person is to say."""

    id: str
    """Of the interrupt."""
    kind: str
    """`approve`: calls that need leave; `person`: what this seat says."""
    who: str
    """Who would call the tools, or the person who is asked."""
    votes: bool = False
    """Whether a person is asked for a ballot."""
    prompt: str = ""
    """What a model in the person's seat would be asked."""
    calls: tuple[dict[str, Any], ...] = ()
    until: float = 0.0
    """Epoch seconds after which nothing is waited for any more."""


def asks_in(interrupts: Sequence[Any]) -> tuple[Ask, ...]:
    """What a stopped graph waits for."""
    return tuple(_ask(one) for one in interrupts if isinstance(one.value, dict))


def _ask(one: Any) -> Ask:
    told: dict[str, Any] = one.value
    speaker = told.get("speaker") or {}
    if told.get("kind") == KIND:
        return Ask(
            id=one.id,
            kind="person",
            who=str(told.get("name", "")),
            votes=speaker.get("node") == "vote",
            prompt=str(told.get("prompt", "")),
            until=float(told.get("until", 0)),
        )
    calls = tuple(call for call in told.get("calls", ()) if isinstance(call, dict))
    who = str(speaker.get("name", ""))
    return Ask(id=one.id, kind="approve", who=who, calls=calls, until=time.time() + PATIENCE)


@dataclass
class Asking:
    """The asks of a run while it waits for them. Waits on the loop, told from any thread."""

    asks: tuple[Ask, ...]
    said: dict[str, Any] = field(default_factory=dict)
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)
    _told: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def open(self) -> tuple[Ask, ...]:
        """Those that nobody has answered."""
        return tuple(one for one in self.asks if one.id not in self.said)

    def tell(self, ask: str, said: Any) -> None:
        """Say something; the first word counts."""
        self.said.setdefault(ask, said)
        self._loop.call_soon_threadsafe(self._told.set)

    async def answers(self) -> Command[Any]:
        """Wait for every one of them; what the graph is gone on with.

        Raises:
            DeliberationError: nobody gave leave for a tool, or refused it.
        """
        while waiting := self.open:
            self._told.clear()
            left = min(one.until for one in waiting) - time.time()
            try:
                async with asyncio.timeout(max(0.0, left)):
                    await self._told.wait()
            except TimeoutError:
                self._give_up()
        return Command(resume=dict(self.said))

    def _give_up(self) -> None:
        """Go on without those who said nothing in time."""
        for one in self.open:
            if one.until > time.time():
                continue
            if one.kind == "approve":
                raise DeliberationError(
                    f"nobody said whether {one.who!r} may call its tools", cure="Resume asks again"
                )
            self.said[one.id] = ""
