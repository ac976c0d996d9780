"""The council thinks aloud: what its members say and how they vote, as one text for a client.

A client shows it as it shows a model's reasoning. Members answer at the same time, so one of them
is heard as it speaks, and the others' words follow when it has finished.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from mom_council.deliberation.events import (
    Counted,
    Event,
    Finished,
    Heat,
    Missed,
    Noted,
    Painted,
    Polled,
    Seated,
    TextSpoken,
    Voted,
    Waited,
)
from mom_council.runs import words

_LINES = frozenset(
    {"seated", "polled", "voted", "counted", "missed", "finished", "heat", "waited", "painted"}
)


class Thought(NamedTuple):
    """Some of what the council thinks."""

    text: str
    is_early: bool
    """Whether no model has answered yet: the whole run may still come to nothing."""


def is_thought(event: Mapping[str, Any], *, candid: bool) -> bool:
    """Whether an event, in its plain form, is a part of the council's thoughts."""
    kind = event.get("kind")
    if kind == "said":
        node = event["speaker"]["node"]
        return bool(node == "character" or (node == "synthesizer" and event.get("reasoning")))
    return kind in _LINES or (candid and kind == "noted")


class ThinkingAloud:
    """Turns a run's events into thoughts.

    Args:
        candid: whether the reader may know the words of errors.
    """

    def __init__(self, *, candid: bool) -> None:
        self._candid = candid
        self._has_heard = False
        self._speaking: str | None = None
        """Who is heard as it speaks."""
        self._waiting: dict[str, str] = {}
        """What the others have said so far."""
        self._finished: set[str] = set()
        self.text = ""
        """Everything so far."""

    def take(self, event: Event) -> Thought | None:
        """What an event adds; None where it adds nothing."""
        added = self._words(event)
        if not added:
            return None
        if not self.text:
            added = added.lstrip("\n")
        self.text += added
        return Thought(added, not self._has_heard)

    def _words(self, event: Event) -> str:
        match event:
            case TextSpoken() if event.speaker.node == "synthesizer":
                return event.text if event.reasoning else ""
            case TextSpoken() if event.speaker.node == "character":
                return "" if event.reasoning else self._hear(event.speaker.name, event.text)
            case Finished() if event.speaker.node == "character":
                return self._finish(event.speaker.name)
            case _:
                line = self._line(event)
                return f"\n\n{line}" if line else ""

    def _line(self, event: Event) -> str:  # noqa: C901 - one line an event
        match event:
            case Seated():
                return f"Round {event.round}: {', '.join(event.seated)}"
            case Missed():
                absence = event.absence
                if not self._candid:
                    absence = absence.model_copy(update={"detail": ""})
                return words.absent(absence)
            case Polled():
                return f"Vote: {', '.join(event.voters)}"
            case Voted():
                reason = f": {event.ballot.reason}" if event.ballot.reason else ""
                return f"{event.ballot.voter} votes {words.ballot(event.ballot)}{reason}"
            case Counted():
                return event.why
            case Heat() if event.state == "waiting":
                return words.heat(event)
            case Waited():
                return words.held_back(event)
            case Painted():
                return words.painted(event)
            case Noted() if self._candid:
                return event.text
            case _:
                return ""

    def _hear(self, name: str, text: str) -> str:
        self._has_heard = True
        if self._speaking is None:
            self._speaking = name
            return f"\n\n{name}: {text}"
        if self._speaking == name:
            return text
        self._waiting[name] = self._waiting.get(name, "") + text
        return ""

    def _finish(self, name: str) -> str:
        if self._speaking != name:
            self._finished.add(name)
            return ""
        self._speaking = None
        told = ""
        for other in [*self._waiting]:
            is_over = other in self._finished
            if not is_over and self._speaking is not None:
                continue
            told += f"\n\n{other}: {self._waiting.pop(other)}"
            self._finished.discard(other)
            if not is_over:
                self._speaking = other
        return told
