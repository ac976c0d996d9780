"""Asking for leave: what needs approval is done when the person at the terminal says so."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

from mom_council.cli import failure, people
from mom_council.cli.inert import inert, one_line


def can_be_asked() -> bool:
    """Whether a person sits at both ends."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def asked(interrupts: Sequence[Any]) -> Any:
    """What the run is resumed with, as the person says; None when there is nobody left to ask."""
    from langgraph.types import Command

    if not can_be_asked() or not all(kind(one) in ("approve", people.KIND) for one in interrupts):
        return None
    answers: dict[str, Any] = {}
    try:
        for one in interrupts:
            if kind(one) == people.KIND:
                answers[one.id] = people.ask(one.value)
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
        elif kind(one) == people.KIND:
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
