"""What all views of a run share: plain text, JSON, the answer alone; the person at the terminal."""

from __future__ import annotations

import contextlib
import json
import os
import select
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from mom_council.cli import failure
from mom_council.cli.failure import say, write_json
from mom_council.deliberation.events import (
    Called,
    Counted,
    Event,
    Finished,
    Heat,
    Missed,
    ModelAsked,
    Noted,
    Painted,
    Planned,
    Polled,
    Returned,
    Seated,
    Voted,
    Waited,
)
from mom_council.records import Segment, Status
from mom_council.runs import words
from mom_council.runs.follow import RunView
from mom_council.runs.words import cost, inert, one_line, tokens_per_second

if TYPE_CHECKING:
    from mom_council.cli.failure import Stopping
    from mom_council.deliberation.events import Event
    from mom_council.deliberation.people import PersonRequest
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

        pictures = pictures_in(self.values["messages"][-1].content)
        return [{"file": str(file), **about} for file, about in pictures]

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


class Plain(Screen):
    """The answer goes to stdout, what led to it to stderr; so a pipe gets the answer."""

    def __init__(self, *, debug: bool = False) -> None:
        self._debug = debug
        self._view = RunView()
        self._saved_loads = 0
        self._wanted: set[str] = set()

    def take(self, event: Event) -> None:
        """Write a line for an event that is worth one."""
        self._view.take(event)
        if isinstance(event, Planned):
            self._saved_loads += max(0, event.unplanned - event.loads)
        for line in self._lines(event):
            say(line)

    def note(self, line: str) -> None:
        """Write it."""
        say(f"Note: {line}")

    def finish(self, ending: Ending) -> None:
        """Print the answer to stdout, and under it the label to stderr."""
        say("Answer:")
        print(inert(ending.answer), flush=True)
        status = ending.status
        if status is None:
            return
        untold = tuple(note for note in status.notes if note not in self._view.notes)
        for line in words.label(status.model_copy(update={"notes": untold})):
            say(line)
        saved = words.saved_loads(self._saved_loads)
        say(f"[{' · '.join(filter(None, (ending.footer, saved)))}]")

    def _lines(self, event: Event) -> list[str]:  # noqa: C901 - one line an event
        match event:
            case Seated():
                layer = f", layer {event.layer} of {event.layers}" if event.layers > 1 else ""
                left_out = f" (left out: {', '.join(event.dropped)})" if event.dropped else ""
                return [f"Round {event.round}{layer}: {', '.join(event.seated)}{left_out}"]
            case ModelAsked() if self._debug:
                who = f"{event.speaker.node} {event.speaker.name} -> {event.model}"
                return [f"--- {who}", *(f"[{role}] {text}" for role, text in event.prompt)]
            case Called():
                does = "wants to call" if event.needs_approval else "calls"
                line = f"  {event.speaker.name} {does} {one_line(event.tool)}: {event.arguments}"
                # Said once more when the run goes on with what a person decided.
                is_new = not event.needs_approval or line not in self._wanted
                self._wanted.add(line)
                return [line] if is_new else []
            case Returned() if self._debug or event.failed:
                how = "failed" if event.failed else "returned"
                return [f"  {one_line(event.tool)} {how}: {one_line(event.text, 200)}"]
            case Finished():
                return self._finished(event)
            case Missed():
                return [f"  {words.absent(event.absence)}"]
            case Polled():
                return [f"Vote: {', '.join(event.voters)}"]
            case Voted():
                return [f"  {event.ballot.voter} votes: {words.ballot(event.ballot)}"]
            case Counted():
                texts = {name: seat.text for (_, name), seat in self._view.round.seats.items()}
                return [f"Count: {words.tally(event.verdict, texts)}", f"  {event.why}"]
            case Heat() if event.state == "waiting":
                return [f"  {words.heat(event)}"]
            case Planned() if self._debug and (event.loads or event.unplanned):
                return [f"  {words.plan(event)}"]
            case Waited() if event.seconds or (self._debug and not event.over):
                return [f"  {words.held_back(event)}"]
            case Painted() if event.step * 8 // event.steps > (event.step - 1) * 8 // event.steps:
                return [f"  {words.painted(event)}"]
            case Noted():
                return [f"Note: {event.text}"]
            case _:
                return []

    def _finished(self, event: Finished) -> list[str]:
        if self._debug:
            return [f"--- {event.speaker.name}: {words.segment(event.segment)}", event.reply]
        if event.speaker.node != "character":
            return []
        seat = self._view.round.seats.get((event.speaker.layer, event.speaker.name))
        short = one_line(seat.text if seat else "", 100)
        return [f"  {event.speaker.name}: {short} ({words.segment(event.segment)})"]


class TerminalPeople:
    """The `People` of a run that a terminal shows.

    Args:
        screen: is put aside while a question stands on the terminal.
        stopping: lets Ctrl-C end the question instead of the run.
    """

    def __init__(self, screen: Screen, stopping: Stopping) -> None:
        self._screen = screen
        self._stopping = stopping
        self._allowed: set[str] = set()
        """Tools that may be called without asking again, until this question ends."""

    @property
    def present(self) -> bool:
        """Whether somebody sits at both ends."""
        return sys.stdin.isatty() and sys.stderr.isatty()

    async def answer(self, request: PersonRequest) -> Any:
        """What the person types. The loop waits meanwhile: the graph has nothing else to do.

        Raises:
            NobodyThereError: there is no terminal, or the person ended the question with Ctrl-C or
                Ctrl-D.
        """
        from mom_council.runs.ask import NobodyThereError

        if not self.present:
            raise NobodyThereError
        with self._screen.paused(), self._stopping.at_prompt():
            try:
                if request.kind == "person":
                    return _ask_to_speak(request)
                return {call["id"]: self._approve(request, call) for call in request.calls}
            except (EOFError, KeyboardInterrupt):
                failure.say()
                raise NobodyThereError from None

    def _approve(self, request: PersonRequest, call: dict[str, Any]) -> Any:
        if call["tool"] in self._allowed:
            return True
        decision = _ask_for_approval(request, call)
        if decision == _ALWAYS:
            self._allowed.add(call["tool"])
            return True
        return decision


_ALWAYS = "for this question"


def _ask_to_speak(request: PersonRequest) -> str:
    """What the person types in one line; empty when the time is over or the line is empty."""
    seconds = request.seconds or 0.0
    failure.say()
    failure.say(inert(request.prompt))
    failure.say()
    how = "answer in one line"
    if request.votes:
        how = "vote: a letter is enough, or a ranking such as B > A"
    failure.say(f"{one_line(request.name)}, {how} ({seconds:g} s, an empty line for nothing)")
    sys.stderr.write("> ")
    sys.stderr.flush()
    line = _line_within(seconds)
    if line is None:
        failure.say()
        failure.say(f"Nothing was said in {seconds:g} s; the council goes on.")
    return (line or "").strip()


def _line_within(seconds: float) -> str | None:
    """A line from the terminal, None when none came; Windows cannot wait for a time."""
    if os.name == "posix" and not select.select([sys.stdin], [], [], seconds)[0]:
        return None
    return sys.stdin.readline()


def _ask_for_approval(request: PersonRequest, call: dict[str, Any]) -> Any:
    who = one_line(request.name)
    written = inert(json.dumps(call["arguments"], ensure_ascii=False, indent=2))
    failure.say(f"{who} wants to call {one_line(call['tool'])} with {written}")
    while True:
        reply = _read("Allow it? [y]es, [a]lways in this question, [N]o, [e]dit: ")
        reply = reply.strip().lower()
        if reply in ("y", "yes"):
            return True
        if reply in ("a", "always"):
            return _ALWAYS
        if reply in ("", "n", "no"):
            return False
        if reply in ("e", "edit"):
            try:
                arguments = json.loads(_read("Arguments, as one line of JSON: "))
            except ValueError as error:
                failure.say(f"that is no JSON: {error}")
                continue
            if isinstance(arguments, dict):
                return {"arguments": arguments}
            failure.say("the arguments are a JSON object, such as {}")


def _read(prompt: str) -> str:
    # `input` would write its prompt to stdout, which belongs to the answer.
    sys.stderr.write(prompt)
    sys.stderr.flush()
    line = sys.stdin.readline()
    if not line:
        raise EOFError
    return line
