"""The front door: a question in, a typed answer out."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.memory import InMemorySaver

import mom_council
from mom_council import aask, ask, council
from mom_council.errors import CouncilError, InputError
from mom_council.tests.graph.desk import desk, said, seat
from mom_council.tests.stage import Stage


def test_a_question_is_answered(stage: Stage) -> None:
    seat(stage)
    answer = ask("What is the best pet?", council=desk(stage))
    assert answer.text == "What the council says."
    assert answer.status.spoke == ("Ada", "Boris", "Clara")
    assert (answer.thread, answer.dissent) == (None, answer.status.dissent)
    assert answer.cost == answer.status.usage.usd


async def test_a_thread_is_gone_on_with(stage: Stage) -> None:
    seat(stage)
    for text in ("First?", "Second?"):
        answer = await aask(text, council=desk(stage), thread="pets")
        assert answer.thread == "pets"
    assert "First?" in said(stage.calls_to("ada")[-1].body)


async def test_what_is_wrong_is_one_of_our_errors(stage: Stage, tmp_path: Path) -> None:
    with pytest.raises(CouncilError):
        await aask("Why?", council="no-such-council")
    with pytest.raises(InputError, match="picture"):
        await aask("Why?", council=desk(stage), images=[tmp_path / "none.png"])


async def test_a_compiled_council_takes_texts_and_messages_and_a_checkpointer(stage: Stage) -> None:
    seat(stage)
    graph = council(desk(stage), checkpointer=InMemorySaver())
    thread = {"configurable": {"thread_id": "t"}}
    await graph.ainvoke("First?", thread)
    result = await graph.ainvoke([HumanMessage("Second?")], thread)
    assert [m.text for m in result["messages"]][::2] == ["First?", "Second?"]
    assert result["messages"][-1].name == "desk"


def test_the_module_is_the_command_and_has_a_version() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "mom_council", "--version"], capture_output=True, text=True
    )
    assert ended.returncode == 0
    assert mom_council.__version__ in ended.stdout


@pytest.mark.heavy
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_wrong_key_is_an_error_for_mypy(tmp_path: Path) -> None:
    file = tmp_path / "user.py"
    file.write_text(
        "from mom_council import council\n"
        "result = council('demo').invoke('Why?')\n"
        "result['status'].dissent\n"
        "result['satus']\n"
    )
    silent = ("--follow-imports", "silent")  # what it says of other files is not asked here
    command = [sys.executable, "-m", "mypy", "--config-file", "", *silent, str(file)]
    typed = str(Path(mom_council.__file__).parent / ".typed")
    env = {**os.environ, "MYPYPATH": typed}
    ended = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=env)
    errors = [line for line in ended.stdout.splitlines() if ": error: " in line]
    assert len(errors) == 1, ended.stdout + ended.stderr
    assert errors[0].startswith("user.py:4: ")
    assert 'no key "satus"' in errors[0]
