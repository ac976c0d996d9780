"""A person in a seat, asked at the terminal, or left out where there is none."""

from __future__ import annotations

import os
import pty
import select
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from mom_council.tests.cli.conftest import Mom, Processes
from mom_council.tests.graph.desk import proposals, seat, voice
from mom_council.tests.stage import Stage


@pytest.fixture
def council(stage: Stage, council_file: Callable[..., str]) -> Callable[..., str]:
    """A council in which Clara is a person."""

    def write(**changes: Any) -> str:
        seat(stage)
        models = {name: voice(stage, name) for name in ("ada", "boris", "pen")}
        models["clara"] = {"provider": "human", "model": "Ms K.", "timeout": 60}
        models["clara"].update(changes)
        return council_file(models=models)

    return write


def test_without_a_terminal_the_person_is_absent_and_the_answer_comes(
    stage: Stage, mom: Mom, council: Callable[..., str]
) -> None:
    asked = mom("ask", "Which pet?", "-c", council(), "--json")
    assert asked.code == 0
    assert asked.object["status"]["spoke"] == ["Ada", "Boris"]
    [absence] = asked.object["status"]["absent"]
    assert "'Ms K.' is a person, and nobody is there to be asked" in absence["detail"]


@pytest.mark.slow
def test_a_person_answers_and_votes_at_the_terminal(
    stage: Stage, processes: Processes, council: Callable[..., str]
) -> None:
    said = _typed(processes, ["ask", "Which pet?", "-c", council()], ["My cat.", "B"])
    assert "Ms K., answer in one line (60 s" in said
    assert "Ms K., vote: a letter is enough" in said
    assert "JSON" not in said, "a letter is enough"
    assert "What the council says." in said
    assert "My cat." in proposals(stage.calls_to("pen")[0].body)
    assert len(stage.calls) == 2 + 2 + 1


@pytest.mark.slow
def test_who_types_nothing_is_not_waited_for(
    stage: Stage, processes: Processes, council: Callable[..., str]
) -> None:
    said = _typed(processes, ["ask", "Which pet?", "-c", council(timeout=0.5)], [])
    assert "Nothing was said in 0.5 s; the council goes on." in said
    assert "Clara took too long: 'Ms K.' said nothing in 0.5 s" in said
    assert "What the council says." in said


def _typed(processes: Processes, arguments: list[str], answers: Sequence[str]) -> str:
    """What a terminal shows when these lines are typed, one at each prompt."""
    ours, theirs = pty.openpty()
    env = {"TERM": "dumb", "COLUMNS": "200", "LINES": "40"}
    begun = processes.start(*arguments, stdin=theirs, stdout=theirs, stderr=theirs, env=env)
    os.close(theirs)
    said, end, left = b"", time.monotonic() + 60, list(answers)
    while time.monotonic() < end:
        if select.select([ours], [], [], 0.1)[0]:
            try:
                more = os.read(ours, 65536)
            except OSError:  # Linux's way to say that nobody is left
                break
            if not more:
                break
            said += more
        if left and said.count(b"for nothing)\r\n> ") > len(answers) - len(left):
            os.write(ours, f"{left.pop(0)}\n".encode())
    os.close(ours)
    assert begun.wait(10) == 0, said
    return said.decode("utf-8", "replace")
