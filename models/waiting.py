"""What a call waits for that is not its model's doing: a turn in a lane, a load, a rate limit.

Such time makes nobody late. Lanes and calls tell of it; whoever measures or shows a speaker's time
listens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Wait:
    """What is waited for."""

    reason: Literal["lane", "load", "rate limit"]
    lane: str
    place: int = 0
    """In the lane's queue: 1 is next."""
    seconds: float = 0.0
    """How long it will take, where that is known."""


Listener = Callable[[Wait | None], None]
"""Is told of each wait, and with None that it is over."""

_listeners: ContextVar[tuple[Listener, ...]] = ContextVar("_listeners", default=())


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Have a listener told of the waits of all calls that are made inside."""
    token = _listeners.set((*_listeners.get(), listener))
    try:
        yield
    finally:
        _listeners.reset(token)


def wait_teller() -> Listener:
    """What tells those who listen here and now; a lane may call it later, from elsewhere."""
    listeners = _listeners.get()

    def tell(wait: Wait | None) -> None:
        for listener in listeners:
            listener(wait)

    return tell


class OwnTime:
    """The time that a speaker has taken itself.

    Args:
        clock: seconds that never go back.
        notify: is called when a wait begins, changes or ends.
        began: when it began, on that clock.
    """

    def __init__(
        self, clock: Callable[[], float], notify: Callable[[], object], began: float
    ) -> None:
        self._clock = clock
        self._notify = notify
        self._began = began
        self._waited = 0.0
        self._since: float | None = None

    @property
    def is_waiting(self) -> bool:
        """Whether it stands still."""
        return self._since is not None

    @property
    def seconds(self) -> float:
        """So far, without the waits."""
        now = self._clock() if self._since is None else self._since
        return now - self._began - self._waited

    def take(self, wait: Wait | None) -> None:
        """Take note of a wait, or of its end."""
        if wait is None and self._since is not None:
            self._waited += self._clock() - self._since
            self._since = None
        elif wait is not None and self._since is None:
            self._since = self._clock()
        self._notify()
