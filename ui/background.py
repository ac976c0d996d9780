"""One small piece of work beside the page: it runs on, whatever is touched meanwhile.

For a single call of a model; whole questions are jobs (`ui.jobs`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from mom_council.errors import MixtureError
from mom_council.models.loop import background_loop

T = TypeVar("T")


@dataclass
class BackgroundCall(Generic[T]):
    """What was sent for, and what came of it."""

    future: Future[T]
    began: float = field(default_factory=time.monotonic)

    @property
    def running(self) -> bool:
        """Whether it is still on its way."""
        return not self.future.done()

    @property
    def seconds(self) -> float:
        """How long it has taken so far."""
        return time.monotonic() - self.began

    def result(self) -> T | None:
        """What it brought; None where it failed, was stopped, or is still on its way."""
        return None if self.running or self.error() else self.future.result()

    def error(self) -> str:
        """What went wrong, in one line; empty where nothing did."""
        if self.running:
            return ""
        try:
            error = self.future.exception()
        except CancelledError:
            return "stopped"
        if error is None or isinstance(error, MixtureError):
            return " ".join(str(error or "").split())
        return f"{type(error).__name__}: {' '.join(str(error).split())}"

    def stop(self) -> None:
        """Cancel it, down to its connection."""
        self.future.cancel()


def start(work: Coroutine[Any, Any, T]) -> BackgroundCall[T]:
    """Send for something."""
    return BackgroundCall(asyncio.run_coroutine_threadsafe(work, background_loop()))
