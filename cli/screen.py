"""What every way of showing a run shares; the answer alone; one JSON object with everything."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from mom_council.cli.failure import write_json
from mom_council.records import Segment, Status
from mom_council.runs.words import cost, inert, tokens_per_second

if TYPE_CHECKING:
    from mom_council.deliberation.events import Event
    from mom_council.records import Status


class Ending:
    """How a question ended: the thread's state after it, and where to find it again."""

    def __init__(
        self,
        values: dict[str, Any],
        *,
        thread: str,
        trace: str | None,
        names_thread: bool = False,
        costs_money: bool = False,
    ) -> None:
        self.values = values
        self.thread = thread
        self.trace = trace
        self._names_thread = names_thread
        self._costs_money = costs_money

    @property
    def answer(self) -> str:
        """The council's answer, as the model wrote it; a picture by its file."""
        return "\n\n".join([self.text, *(one["file"] for one in self.pictures)])

    @property
    def footer(self) -> str:
        """What it cost, and in a talk its thread; empty where nothing is known."""
        status = self.status
        if status is None:
            return ""
        line = cost(status.usage, status.seconds, costs_money=self._costs_money)
        return f"{line} · thread {self.thread}" if self._names_thread else line

    @property
    def text(self) -> str:
        """The answer's words alone."""
        return str(self.values["messages"][-1].text)

    @property
    def pictures(self) -> list[dict[str, Any]]:
        """The pictures that the council drew: where each lies, and how it was made."""
        from mom_council.models.images import pictures_in

        found = pictures_in(self.values["messages"][-1].content)
        return [{"file": str(file), **about} for file, about in found]

    @property
    def status(self) -> Status | None:
        """The label on it."""
        status: Status | None = self.values.get("status")
        return status


class Screen:
    """Takes a run's events and shows them; a context manager. This one shows nothing."""

    QUIET_SECONDS = 3600.0
    expected = ""
    """How long the question will probably take, in words; empty: not known."""

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End, however it went."""

    def take(self, event: Event) -> None:
        """Show an event."""

    def note(self, line: str) -> None:
        """Show a line that is no event."""

    def paused(self) -> AbstractContextManager[None]:
        """Leave the terminal to somebody else for a while."""
        return nullcontext()

    def tick(self) -> float:
        """Draw anew; returns the seconds until the next time."""
        return self.QUIET_SECONDS

    def abandon(self) -> None:
        """Put the terminal right: the program ends here."""

    def finish(self, ending: Ending) -> None:
        """Show how it ended."""


class AnswerAlone(Screen):
    """Prints the answer, and nothing else; on a terminal a sign on stderr turns until then."""

    _SIGNS = "|/-\\"

    def __init__(self) -> None:
        self._turns = sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        self._began = time.monotonic()
        self._at = 0

    def tick(self) -> float:
        """Turn the sign."""
        if not self._turns:
            return self.QUIET_SECONDS
        self._at += 1
        took = time.monotonic() - self._began
        with contextlib.suppress(OSError):
            of = f"of about {self.expected} " if self.expected else ""
            sys.stderr.write(f"\r{self._SIGNS[self._at % 4]} {took:.0f} s {of}")
            sys.stderr.flush()
        return 0.2

    def __exit__(self, *raised: object) -> None:
        """Take the sign away."""
        self._clear()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Take the sign away for a while."""
        turned, self._turns = self._turns, False
        self._clear()
        yield
        self._turns = turned

    def _clear(self) -> None:
        if self._at:
            with contextlib.suppress(OSError):
                sys.stderr.write("\r\x1b[K")
                sys.stderr.flush()
        self._at = 0

    def finish(self, ending: Ending) -> None:
        """Print it."""
        self._turns = False
        self._clear()
        print(inert(ending.answer), flush=True)


class OneObject(Screen):
    """Prints one JSON object with everything."""

    def finish(self, ending: Ending) -> None:
        """Print it."""
        write_json(report(ending))


def report(ending: Ending) -> dict[str, Any]:
    """Put together the object; `trace` is None where tracing is off."""
    values, status = ending.values, ending.status or Status(council="")
    segments = [_segment(segment) for segment in values.get("segments", [])]
    return {
        "answer": ending.text,
        "status": status.model_dump(mode="json", exclude={"usage", "seconds"}),
        "rounds": _rounds(values),
        "usage": {"total": _usage(status.usage), "segments": segments},
        "times": {
            "total": status.seconds,
            "segments": {_title(s): s.usage.seconds for s in values.get("segments", [])},
        },
        "thread": ending.thread,
        "trace": ending.trace,
        **({"pictures": ending.pictures} if ending.pictures else {}),
    }


def _rounds(values: dict[str, Any]) -> list[dict[str, Any]]:
    rounds: dict[int, dict[str, Any]] = {}
    for key in ("proposals", "ballots", "absences"):
        for record in values.get(key, []):
            a_round = rounds.setdefault(record.round, _empty(record.round))
            a_round[key].append(record.model_dump(mode="json"))
    for verdict in values.get("verdicts", []):
        a_round = rounds.setdefault(verdict.round, _empty(verdict.round))
        a_round["verdict"] = verdict.model_dump(mode="json")
    return [rounds[number] for number in sorted(rounds)]


def _empty(number: int) -> dict[str, Any]:
    return {"round": number, "proposals": [], "ballots": [], "absences": [], "verdict": None}


def _segment(segment: Segment) -> dict[str, Any]:
    return {
        **segment.model_dump(mode="json", exclude={"usage"}),
        "usage": _usage(segment.usage),
        "tokens_per_second": tokens_per_second(segment),
    }


def _usage(usage: Any) -> dict[str, Any]:
    return {**usage.model_dump(mode="json", exclude={"seconds"}), "tokens": usage.tokens}


def _title(segment: Segment) -> str:
    if segment.node == "character":
        return f"{segment.name} (round {segment.round}, layer {segment.layer})"
    if segment.node == "vote":
        return f"{segment.name} votes (round {segment.round})"
    return segment.name
