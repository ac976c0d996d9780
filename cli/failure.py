"""How a command ends: its exit codes, an error in one line or as JSON, Ctrl-C and SIGTERM."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from types import FrameType
from typing import Any

import typer

from mom_council.errors import (
    BudgetError,
    ConsentError,
    CouncilError,
    InputError,
    MixtureError,
    StorageError,
    ThermalError,
)
from mom_council.redaction import redact
from mom_council.runs.words import counted, in_a_row, inert, inert_json, one_line

ANSWERED = 0
"""An answer came, degraded or not; or the command did what it was to do."""

FAILED = 1
"""Something outside the council failed: storage, a download, a full disk."""

USAGE = 2
"""The command was called wrongly: no question, an unknown option, a thread that is not there."""

COUNCIL = 3
"""The council file is wrong, or there is none of that name."""

NOBODY = 4
"""Nobody answered, or too few; or all of them declined, or did not know."""

STOPPED = 5
"""Stopped by the budget or by the heat, or waiting for leave to call a tool."""

INTERRUPTED = 130
"""Stopped by Ctrl-C."""

LEFT = 141
"""Whoever read the output has left (`mom ... | head`)."""

TERMINATED = 143
"""Stopped by SIGTERM."""


def exit_code(error: MixtureError) -> int:
    """The exit code of an error."""
    if isinstance(error, BudgetError | ThermalError):
        return STOPPED
    if isinstance(error, ConsentError):
        return USAGE
    if isinstance(error, CouncilError):
        return COUNCIL
    if isinstance(error, StorageError):
        return FAILED
    if isinstance(error, InputError):
        return USAGE
    return NOBODY


JSON = "--json"


def show(text: str, end: str = "\n") -> None:
    """Write to stdout what may hold the words of others: nothing in it acts on a screen."""
    print(inert(text), end=end)


def say(text: str = "") -> None:
    """Write to stderr; that nobody listens there, or that it is full, is no reason to fail."""
    try:
        print(inert(text), file=sys.stderr, flush=True)
    except OSError:
        # Or Python tries again at its exit, and says so with a trace.
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115, PTH123


def tell(line: str) -> None:
    """Write one line to stderr, and who says it."""
    say(f"mom: {in_a_row(redact(line))}")


def may_cost(question: str) -> bool:
    """Ask on the terminal whether money may be spent; no, where nobody is there to say it."""
    if not (sys.stdin and sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    try:
        print(f"mom: {in_a_row(redact(question))} Ask them? [y/N] ", end="", file=sys.stderr)
        sys.stderr.flush()
        return input().strip().lower() in ("y", "yes")
    except (EOFError, KeyboardInterrupt):
        return False


def tell_faults(message: str) -> None:
    """Write what is wrong with a council's file: each fault on its own line, with the file's line.

    One fault stays on one line.
    """
    origin, _, rest = redact(message).partition(": ")
    faults = [one_line(line) for line in inert(rest).splitlines() if line.strip()]
    text = _text_of(origin)
    if text is not None:
        faults = [_with_line(fault, text) for fault in faults]
    if len(faults) == 1:
        say(f"mom: {one_line(origin)}: {faults[0]}")
        return
    say(f"mom: {one_line(origin)}: {counted(len(faults), 'fault')}")
    for fault in faults:
        say(f"  {fault}")


def _text_of(origin: str) -> str | None:
    """The text of a council's file; None where the message is about something else."""
    if not origin.lower().endswith((".yaml", ".yml")):
        return None
    try:
        with open(os.path.expanduser(origin), encoding="utf-8-sig") as file:  # noqa: PTH111, PTH123
            return file.read(1_000_000)
    except (OSError, ValueError):
        return None


def _with_line(fault: str, text: str) -> str:
    from mom_council.councils.yaml import line_of

    place, colon, _ = fault.partition(": ")
    line = line_of(text, place) if colon and " " not in place else None
    return f"line {line}: {fault}" if line else fault


def tell_warnings() -> None:
    """Have the package's own warnings told as everything else is."""
    import logging

    class WarningHandler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            tell(record.getMessage())

    log = logging.getLogger("mom_council")
    if not log.handlers:
        log.addHandler(WarningHandler(logging.WARNING))


def refuse(
    kind: str, message: str, code: int, *, as_json: bool, thread: str | None = None, **about: Any
) -> int:
    """Say what went wrong and return the exit code.

    Args:
        kind: the error's name.
        message: what happened, and what to do.
        code: the exit code.
        as_json: print the object too.
        thread: where the question is kept, if it is.
        about: further keys of the object's `error`.
    """
    if kind in ("CouncilError", "UnknownNameError") and (
        "\n" in message or _text_of(message.partition(": ")[0]) is not None
    ):
        tell_faults(message)
    else:
        tell(message)
    if as_json:
        error = {"type": kind, "message": redact(message), "exit_code": code, **about}
        write_json({"error": error, "thread": thread})
    return code


def details(error: MixtureError) -> dict[str, Any]:
    """What an error knows beyond its message."""
    facts: dict[str, Any] = {"cure": error.cure} if error.cure else {}
    for name in ("answered", "needed"):
        if hasattr(error, name):
            facts[name] = getattr(error, name)
    for name in ("absences", "attempts"):
        if hasattr(error, name):
            facts[name] = [record.model_dump(mode="json") for record in getattr(error, name)]
    return facts


def write_json(value: Any) -> None:
    """Print JSON: always UTF-8, and nothing as it is that acts on a screen.

    Control characters above 127 and those that turn writing around are escaped: the same value.
    """
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(encoding="utf-8", errors="replace")
    text = json.dumps(value, ensure_ascii=False, indent=2)
    print(inert_json(text), flush=True)


def wants_json(arguments: list[str]) -> bool:
    """Whether a command line asks for JSON, also one that cannot be read otherwise."""
    before = arguments[: arguments.index("--")] if "--" in arguments else arguments
    return JSON in before


_CODES = {signal.SIGINT: INTERRUPTED, signal.SIGTERM: TERMINATED}


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
            tell("left at once; what was finished is kept")
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


def run_until_stopped(work: Coroutine[Any, Any, None], left: str, *, as_json: bool) -> None:
    """Run work in an event loop of its own; Ctrl-C and SIGTERM stop it.

    Args:
        work: what is done.
        left: the line that says what a stopped work leaves behind.
        as_json: whether that line is a JSON object.

    Raises:
        typer.Exit: a signal stopped it; with that signal's exit code.
    """
    stopping = Stopping()
    stopping.listen()
    try:
        with asyncio.Runner() as runner:
            code = runner.run(stopping.run(work))
    finally:
        stopping.rest()
    if code:
        raise typer.Exit(refuse("Interrupted", left, code, as_json=as_json))
