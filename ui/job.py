"""One question on its way: what was asked, how far it has got, how it ended."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Literal

from langchain_core.messages import BaseMessage, HumanMessage, RemoveMessage

from mom_council.councils.schema import Council
from mom_council.graph.context import CouncilContext
from mom_council.graph.events import Event, Heat
from mom_council.graph.follow import RunView
from mom_council.ui.asks import Ask, Asking
from mom_council.ui.views import copied

JobState = Literal["running", "answered", "stopped", "failed"]


@dataclass
class Job:
    """One question on its way. Written on the loop, read from any thread."""

    thread: str
    council: Council
    context: CouncilContext
    messages: tuple[BaseMessage, ...] = ()
    """What was added to the conversation, the question last; nothing in a resumed run."""
    state: JobState = "running"
    error: str = ""
    trace: str | None = None
    began: float = field(default_factory=time.monotonic)
    ended: float | None = None
    heat_at: float = 0.0
    """When the last temperature came."""
    run: Future[None] | None = None
    """What to cancel."""
    asking: Asking | None = None
    """What it waits for a person to say."""
    _view: RunView = field(default_factory=RunView)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def running(self) -> bool:
        """Whether it is still on its way."""
        return self.state == "running"

    @property
    def asks(self) -> tuple[Ask, ...]:
        """What a person is to say for it to go on."""
        asking = self.asking
        return asking.open if asking is not None and self.running else ()

    @property
    def seconds(self) -> float:
        """How long it has taken so far."""
        return (self.ended or time.monotonic()) - self.began

    @property
    def question(self) -> HumanMessage | None:
        """The question, where this job brought it."""
        last = self.messages[-1] if self.messages else None
        return last if isinstance(last, HumanMessage) else None

    @property
    def removed(self) -> frozenset[str]:
        """The messages that this question takes the place of, by their ids."""
        return frozenset(str(m.id) for m in self.messages if isinstance(m, RemoveMessage))

    def take(self, event: Event) -> None:
        """Lay an event over the view."""
        with self._lock:
            self._view.take(event)
            if isinstance(event, Heat):
                self.heat_at = time.monotonic()

    def begin_with(self, view: RunView) -> None:
        """Begin a resumed run with what it had got to."""
        with self._lock:
            self._view = view

    def fall_silent(self) -> None:
        """Nobody speaks any more, however it ended."""
        with self._lock:
            for one in self._view.rounds:
                for seat in one.seats.values():
                    if seat.state == "speaking":
                        seat.state = "waiting"

    def view(self) -> RunView:
        """The run as far as it has got: a copy, which nobody writes to."""
        with self._lock:
            return copied(self._view)
