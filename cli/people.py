"""The person at the terminal: asked to speak and to vote, and whether tools may be called."""

from __future__ import annotations

import json
import os
import select
import sys
from typing import TYPE_CHECKING, Any

from mom_council.cli import failure
from mom_council.runs.words import inert, one_line

if TYPE_CHECKING:
    from mom_council.cli.screen import Screen
    from mom_council.cli.stopping import Stopping
    from mom_council.deliberation.people import PersonRequest


class TerminalPeople:
    """The `People` of a run that a terminal shows.

    Args:
        screen: is put aside while a question stands on the terminal.
        stopping: lets Ctrl-C end the question instead of the run.
    """

    def __init__(self, screen: Screen, stopping: Stopping) -> None:
        self._screen = screen
        self._stopping = stopping

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
                return {call["id"]: _ask_for_approval(request, call) for call in request.calls}
            except (EOFError, KeyboardInterrupt):
                failure.say()
                raise NobodyThereError from None


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
        reply = _read("Allow it? [y]es, [N]o, [e]dit: ").strip().lower()
        if reply in ("y", "yes"):
            return True
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
