"""Asking for leave: what needs approval is done when the person at the terminal says so."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

from mixture_of_models.cli import failure
from mixture_of_models.cli.inert import inert, one_line


def waiting(interrupts: Sequence[Any]) -> list[Any]:
    """Those of a thread's interrupts that ask for leave."""
    return [
        one
        for one in interrupts
        if isinstance(one.value, dict) and one.value.get("kind") == "approve"
    ]


def can_be_asked() -> bool:
    """Whether a person sits at both ends."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def asked(interrupts: Sequence[Any]) -> Any:
    """What the run is resumed with, as the person says; None when there is nobody left to ask."""
    from langgraph.types import Command

    answers: dict[str, Any] = {}
    try:
        for one in interrupts:
            who = one_line(str(one.value["speaker"]["name"]))
            answers[one.id] = {call["id"]: _asked(who, call) for call in one.value["calls"]}
    except (EOFError, KeyboardInterrupt):
        failure.say()
        return None
    return Command(resume=answers)


def told(interrupts: Sequence[Any]) -> str:
    """What is waited for, in one line."""
    wanted = [
        f"{one.value['speaker']['name']} wants to call {call['tool']}"
        for one in interrupts
        for call in one.value["calls"]
    ]
    return one_line("; ".join(wanted), 300)


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
