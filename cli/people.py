"""Asking a person who sits in the council, at the terminal, for as long as their seat waits."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mom_council.cli import failure
from mom_council.cli.inert import inert, one_line

if TYPE_CHECKING:
    from mom_council.councils.schema import Council

KIND = "person"


def sit_in(council: Council) -> bool:
    """Whether anybody in the council is a person."""
    from mom_council.councils.voices import HUMAN

    return any(council.models[one.model].provider == HUMAN for one in council.characters)


def ask(wanted: Mapping[str, Any]) -> str:
    """What the person types in one line; nothing, when the time is over or the line is empty."""
    votes = wanted["speaker"]["node"] == "vote"
    seconds = float(wanted["seconds"])
    failure.say()
    failure.say(inert(str(wanted["prompt"])))
    failure.say()
    how = "vote: a letter is enough, or a ranking such as B > A" if votes else "answer in one line"
    failure.say(
        f"{one_line(str(wanted['name']))}, {how} ({seconds:g} s, an empty line for nothing)"
    )
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
