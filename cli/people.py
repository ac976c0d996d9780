"""Asking a person who sits in the council, at the terminal, for as long as their seat waits.

Asking for leave: what needs approval is done when the person at the terminal says so.
"""

from __future__ import annotations

import json
import os
import select
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mom_council.cli import failure
from mom_council.cli.inert import inert, one_line

if TYPE_CHECKING:
    from mom_council.councils.schema import Council


KIND = "person"


def sit_in(council: Council) -> bool:
    """Whether anybody in the council is a person."""
    from mom_council.councils.models import HUMAN

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


def can_be_asked() -> bool:
    """Whether a person sits at both ends."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def asked(interrupts: Sequence[Any]) -> Any:
    """What the run is resumed with, as the person says; None when there is nobody left to ask."""
    from langgraph.types import Command

    if not can_be_asked() or not all(kind(one) in ("approve", KIND) for one in interrupts):
        return None
    answers: dict[str, Any] = {}
    try:
        for one in interrupts:
            if kind(one) == KIND:
                answers[one.id] = ask(one.value)
                continue
            who = one_line(str(one.value["speaker"]["name"]))
            answers[one.id] = {call["id"]: _asked(who, call) for call in one.value["calls"]}
    except (EOFError, KeyboardInterrupt):
        failure.say()
        return None
    return Command(resume=answers)


def told(interrupts: Sequence[Any]) -> str:
    """What is waited for, in one line."""
    wanted = []
    for one in interrupts:
        if kind(one) == "approve":
            who = one.value["speaker"]["name"]
            wanted += [f"{who} wants to call {call['tool']}" for call in one.value["calls"]]
        elif kind(one) == KIND:
            wanted.append(f"{one.value['name']} is to speak")
        else:
            wanted.append(f"an extension asks {one.value!r}, which a program has to answer")
    allow = all(kind(one) == "approve" for one in interrupts)
    line = one_line("; ".join(wanted), 300)
    return f"{line}, and nobody is here to {'allow it' if allow else 'answer'}"


def kind(one: Any) -> str:
    """What an interrupt is for: `approve`, `person`, or empty for somebody else's."""
    return str(one.value.get("kind", "")) if isinstance(one.value, dict) else ""


def _asked(who: str, call: dict[str, Any]) -> Any:
    written = inert(json.dumps(call["arguments"], ensure_ascii=False, indent=2))
    failure.say(f"{who} wants to call {one_line(call['tool'])} with {written}")
    while True:
        said = _read("Allow it? [y]es, [N]o, [e]dit: ").strip().lower()
        if said in ("y", "yes"):
            return True
        if said in ("", "n", "no"):
            return False
        if said in ("e", "edit"):
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
