"""A run as plain text, a line at a time: for pipes, logs, and `--debug`."""

from __future__ import annotations

from mom_council.cli.failure import say
from mom_council.cli.screen import Ending, Screen
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
from mom_council.runs import words
from mom_council.runs.follow import RunView
from mom_council.runs.words import inert, one_line


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
