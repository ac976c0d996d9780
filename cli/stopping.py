"""Ctrl-C and SIGTERM, as long as a session lasts."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
from collections.abc import Callable, Coroutine, Iterator
from types import FrameType
from typing import Any

from mom_council.cli import failure
from mom_council.cli import failure as exits

_CODES = {signal.SIGINT: exits.INTERRUPTED, signal.SIGTERM: exits.TERMINATED}


def _nothing() -> None:
    return None


class Stopping:
    """A first signal ends the work under way cleanly, a second one ends the program."""

    def __init__(self) -> None:
        self.code = 0
        """The exit code of the signal that stopped the last work; 0 where none did."""
        self._cancel: Callable[[], object] | None = None
        self._at_once: Callable[[], None] = _nothing
        self._leaving = False
        self._prompting = False
        self._before: dict[signal.Signals, Any] = {}

    def listen(self) -> None:
        """Begin to listen; only a program's main thread can."""
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._on_signal) for number in _CODES}

    def leave(self) -> None:
        """From here on everything is being closed: a signal need not wait for that."""
        self._leaving = True

    def rest(self) -> None:
        """Give the signals back."""
        for number, before in self._before.items():
            signal.signal(number, before)
        self._before = {}

    async def run(
        self, work: Coroutine[Any, Any, None], *, at_once: Callable[[], None] = _nothing
    ) -> int:
        """Do the work; a signal cancels it, and with it every call of a model under way.

        Args:
            work: what is done.
            at_once: called before the program ends in a hurry, to put the terminal right.

        Returns:
            0 when the work came to its end, else the exit code of the signal.

        Raises:
            Exception: as the work raises it.
        """
        loop, task = asyncio.get_running_loop(), asyncio.ensure_future(work)
        self.code, self._at_once = 0, at_once
        self._cancel = lambda: loop.call_soon_threadsafe(task.cancel)
        try:
            await task
        except asyncio.CancelledError:
            if not self.code:
                raise
        finally:
            self._cancel = None
        return self.code

    @contextlib.contextmanager
    def at_prompt(self) -> Iterator[None]:
        """While a person types: a signal ends the prompt with a KeyboardInterrupt."""
        self._prompting = True
        try:
            yield
        finally:
            self._prompting = False

    def over(self) -> None:
        """What came after a stopped work is done too: the next signal is a first one again."""
        self.code, self._at_once = 0, _nothing

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        code = _CODES[signal.Signals(number)]
        if self.code or self._leaving:
            self._at_once()
            failure.tell("left at once; what was finished is kept")
            os._exit(code)
        if self._cancel is not None:
            if self._prompting and number == signal.SIGINT:
                raise KeyboardInterrupt
            self.code = code
            self._cancel()
            if self._prompting:
                raise KeyboardInterrupt
        elif number == signal.SIGINT:
            raise KeyboardInterrupt  # at a prompt
        else:
            raise SystemExit(code)
