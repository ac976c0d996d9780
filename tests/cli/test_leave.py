"""A tool that needs approval, asked for at the terminal, or told where there is none."""

from __future__ import annotations

import os
import pty
import select
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mom_council.tests.cli.conftest import Mom, Processes, trust_file
from mom_council.tests.graph.desk import PERSONAS, seat
from mom_council.tests.stage import Reply, Stage

SAFE = '''
from pathlib import Path


def pay(amount: int) -> str:
    """Pay."""
    with Path("paid").open("a") as book:
        book.write(f"{amount} ")
    return f"paid {amount}"
'''


@pytest.fixture
def council(
    stage: Stage,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    council_file: Callable[..., str],
) -> str:
    """A council in which Ada pays, once somebody allows it."""
    (tmp_path / "safe_tools.py").write_text(SAFE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("MOM_TOOLS", "safe_tools:pay")
    seat(stage)
    call = {"name": "pay", "args": {"amount": 7, "to": "\x1b[2Jme"}, "id": "c1"}
    stage.model("ada", reply=[Reply(None, tool_calls=[call]), "Ada has paid."])
    characters: Any = [
        {"name": name, "model": name.lower(), "personality": PERSONAS[name]}
        for name in ("Ada", "Boris", "Clara")
    ]
    characters[0]["tools"] = ["pay"]
    tools = {"pay": {"python": "safe_tools:pay", "approve": True}}
    return council_file(characters=characters, tools=tools, deliberation={"method": "none"})


def test_without_a_terminal_it_is_kept_and_said(stage: Stage, mom: Mom, council: str) -> None:
    asked = mom("ask", "Pay.", "-c", council, "-t", "till", "--json")
    assert asked.code == 5
    assert asked.out.count('"error"') == 1
    assert asked.object["error"]["type"] == "LeaveNeeded"
    assert "Ada wants to call pay" in asked.object["error"]["message"]
    assert "mom resume till" in asked.object["error"]["message"]
    requests = len(stage.calls)
    assert mom("resume", "till").code == 5
    assert len(stage.calls) == requests  # nothing is paid for twice
    assert not Path("paid").exists()


def test_a_call_is_told_on_stderr_and_the_answer_alone_on_stdout(
    stage: Stage, mom: Mom, council: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = Path(council)
    file.write_text(file.read_text().replace("approve: true", "approve: false"))
    assert mom("ask", "Pay.", "-c", council).code == 3, "what was changed is asked about again"
    trust_file(file)
    asked = mom("ask", "Pay.", "-c", council)
    assert asked.code == 0, asked.err
    assert asked.out == "What the council says.\n"
    assert '  Ada calls pay: {"tool": "pay", "arguments": {"amount": 7,' in asked.err
    assert "1 call of tools" in asked.err
    assert Path("paid").read_text() == "7 "


def test_a_file_beside_the_council_cannot_allow_code(
    stage: Stage, mom: Mom, council: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MOM_TOOLS")
    (tmp_path / ".env").write_text("MOM_TOOLS=safe_tools\n")
    assert mom("trust", ".env").code == 0
    asked = mom("ask", "Pay.", "-c", council)
    assert asked.code == 3
    assert "MOM_TOOLS in '.env' is left alone" in asked.err
    assert "set MOM_TOOLS=safe_tools:pay" in asked.err
    assert "note: tool 'pay' would run 'safe_tools:pay'" in mom("councils", "check", council).out
    assert stage.calls == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("typed", "book"), [("y", "7 "), ("a", "7 "), ('e\n{"amount": 1}', "1 "), ("what\nn", "")]
)
def test_the_person_at_the_terminal_is_asked(
    stage: Stage, processes: Processes, tmp_path: Path, council: str, typed: str, book: str
) -> None:
    said = _typing(processes, ["ask", "Pay.", "-c", council], "[e]dit: ", typed)
    assert "Ada wants to call pay with" in said
    assert "\x1b[2Jme" not in said
    assert "What the council says." in said
    paid = tmp_path / "paid"
    assert (paid.read_text() if paid.exists() else "") == book
    assert len(stage.calls) == 2 + 1 + 1 + 1


def _typing(processes: Processes, arguments: list[str], prompt: str, answer: str) -> str:
    ours, theirs = pty.openpty()
    env = {"TERM": "dumb", "COLUMNS": "200", "LINES": "40"}
    begun = processes.start(*arguments, stdin=theirs, stdout=theirs, stderr=theirs, env=env)
    os.close(theirs)
    said, end, typed = b"", time.monotonic() + 60, False
    while time.monotonic() < end:
        if select.select([ours], [], [], 0.1)[0]:
            try:
                more = os.read(ours, 65536)
            except OSError:  # Linux's way to say that nobody is left
                break
            if not more:
                break
            said += more
        if not typed and prompt.encode() in said:
            os.write(ours, f"{answer}\n".encode())
            typed = True
    os.close(ours)
    assert begun.wait(10) == 0, said
    return said.decode("utf-8", "replace")
