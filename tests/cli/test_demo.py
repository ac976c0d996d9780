"""`mom demo`, and what a person without models is offered."""

from __future__ import annotations

import os
import pty
import select
import sys
import time
from collections.abc import Sequence
from typing import Any

import pytest

from mom_council.models.weights import WEIGHTS

from .conftest import Mom

pytestmark = pytest.mark.slow


def test_the_demo_shows_a_correction_a_tie_and_an_honest_end(mom: Mom) -> None:
    called = mom("demo", "--quick")
    assert called.code == 0
    first, second, third = called.out.partition("\n1. ")[2].split("\n\n")[:3]
    # Some member errs, and the answer is right all the same.
    assert "Answer: 42" in first
    assert "2 of 3 gave this answer; Boris alone would have said 32." in first
    # All differ, and ballots decide.
    assert "Answer: 35" in second
    assert second.count("votes for Boris") == 2
    assert "Boris's won with 2 of 3 ballots." in second
    assert "No member knows it, and the council does not guess." in third
    assert "mom download smollm2-135m-instruct" in called.out
    assert all(len(line) <= 100 for line in called.out.splitlines())


def test_weights_are_listed_with_sizes_and_have_checksums(mom: Mom) -> None:
    sizes = [one.megabytes for one in WEIGHTS.values()]
    assert any(size <= 110 for size in sizes)
    assert any(450 <= size <= 550 for size in sizes)
    assert all(one.sha256 and len(one.sha256) == 64 for one in WEIGHTS.values())
    listed = mom("download", "list").out
    assert all(one.name in listed and f"{one.megabytes} MB" in listed for one in WEIGHTS.values())


def test_a_person_without_models_is_asked_once_what_shall_answer(processes: Any) -> None:
    said = typed(processes, ["ask", "What is 17 + 25?"], [""])
    for part in ("98 MB", "491 MB", "ollama pull gemma3:4b", "API key", "1 to 6 [6]: "):
        assert part in said
    assert "42" in said
    again = typed(processes, ["ask", "What is 17 + 25?"], [])
    assert "1 to 6" not in again
    assert "42" in again


def test_who_wants_ollama_is_told_the_line(processes: Any) -> None:
    said = typed(processes, ["ask", "What is 17 + 25?"], ["4"])
    assert "The line: ollama pull gemma3:4b" in said
    assert "42" not in said


def test_without_the_engine_the_line_that_gets_it_is_said(
    mom: Mom, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    for command in (("demo", "--quick"), ("ask", "What is 17 + 25?"), ("ask", "-q", "2 + 2")):
        called = mom(*command)
        assert called.code in (1, 4)
        assert called.out == ""
        assert "34 MB" in called.err
        assert "mom download engine" in called.err


def test_in_a_pipe_nobody_is_asked(processes: Any) -> None:
    called = processes.call("ask", "What is 17 + 25?")
    assert called.out == "42\n"
    assert "1 to 6" not in called.err


def typed(processes: Any, arguments: Sequence[str], lines: Sequence[str]) -> str:
    """What a terminal shows when these lines are typed, one at each prompt."""
    ours, theirs = pty.openpty()
    env = {"TERM": "dumb", "COLUMNS": "100", "OLLAMA_HOST": "127.0.0.1:9"}
    begun = processes.start(*arguments, stdin=theirs, stdout=theirs, stderr=theirs, env=env)
    os.close(theirs)
    shown, end, left = b"", time.monotonic() + 60, list(lines)
    while time.monotonic() < end:
        if select.select([ours], [], [], 0.1)[0]:
            try:
                more = os.read(ours, 65536)
            except OSError:  # Linux's way to say that nobody is left
                break
            if not more:
                break
            shown += more
        if left and shown.count(b"]: ") > len(lines) - len(left):
            os.write(ours, f"{left.pop(0)}\n".encode())
    os.close(ours)
    begun.wait(10)
    return shown.decode("utf-8", "replace")
