"""Hearing the answer out of a streamed JSON reply, `{"answer": "..."}`, as it comes.

A reply that does not begin as JSON is passed on as it is; of a call nothing is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable

_OPENING = re.compile(r'\s*(?:```(?:json)?\s*)?\{\s*"answer"\s*:\s*"')


class AnswerReader:
    """Takes what a model writes and tells the answer in it. Call it as any listener."""

    def __init__(self, tell: Callable[[str, bool], None]) -> None:
        self._tell = tell
        self._held = ""
        self._way: str = "unknown"

    def __call__(self, piece: str, reasoning: bool) -> None:
        """Take some more of it."""
        if reasoning or self._way == "prose":
            self._tell(piece, reasoning)
            return
        self._held += piece
        if self._way == "unknown":
            self._choose()
        if self._way == "answer":
            self._say()

    def _choose(self) -> None:
        start = self._held.lstrip()
        if found := _OPENING.match(self._held):
            self._way, self._held = "answer", self._held[found.end() :]
        elif start and not start.startswith(("{", "`")):
            self._way = "prose"
            self._tell(self._held, False)

    def _say(self) -> None:
        end, over = _complete(self._held)
        said, self._held = self._held[:end], self._held[end:]
        if said:
            try:
                told = json.loads(f'"{said}"', strict=False)
            except ValueError:
                told = said
            self._tell(told, False)
        if over:
            self._way = "over"


def answer_in(written: str) -> str:
    """The answer in a reply, as far as it came."""
    told: list[str] = []
    AnswerReader(lambda piece, _: told.append(piece))(written, False)
    return "".join(told)


def _complete(written: str) -> tuple[int, bool]:
    """How far a JSON string is whole: up to its closing quote, or to an escape that is cut."""
    at = 0
    while at < len(written):
        if written[at] == '"':
            return at, True
        if written[at] != "\\":
            at += 1
            continue
        length = 2 if written[at + 1 : at + 2] != "u" else 6
        if length == 6 and written[at + 2 : at + 4].lower() in ("d8", "d9", "da", "db"):
            length = 12  # the first half of a pair
        if at + length > len(written):
            return at, False
        at += length
    return at, False
