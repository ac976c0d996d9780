"""Extensions and the command."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mom_council.tests.cli.conftest import Mom, trust_file
from mom_council.tests.graph import desk
from mom_council.tests.graph.desk import seat
from mom_council.tests.stage import Stage

CODE = """
import pathlib
from mom_council.extensions import Extension

pathlib.Path({!r}).write_text("ran")

class Shouting(Extension):
    async def on_answer(self, at, answer):
        return answer.upper()
"""


def test_a_failing_extension_is_named_under_the_answer(
    stage: Stage, council_file: Callable[..., str], mom: Mom, tmp_path: Path
) -> None:
    seat(stage)
    folder = tmp_path / "data" / "extensions" / "broken"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"name": "broken", "requires": ["nope-mom"]}))
    (folder / "extension.py").write_text("1 / 0\n")
    called = mom("ask", "-c", council_file(extensions=[{"use": "broken"}]), "--json", "Which pet?")
    assert called.code == 0
    assert called.object["status"]["degraded"]
    [note] = called.object["status"]["notes"]
    assert "it needs the package 'nope-mom': pip install 'nope-mom'" in note


def test_a_council_with_an_extension_that_is_not_here_is_wrong(
    stage: Stage, council_file: Callable[..., str], mom: Mom
) -> None:
    called = mom("ask", "-c", council_file(extensions=[{"use": "./evil"}]), "Which pet?")
    called.refuses(3, "extensions[0].use: './evil' is no extension's name")


@pytest.mark.slow
def test_a_env_file_beside_a_council_chooses_no_code(
    stage: Stage,
    council_file: Callable[..., str],
    processes: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seat(stage)
    ran = tmp_path / "ran"
    folder = tmp_path / "there" / "extensions" / "shouting"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text('{"name": "shouting"}')
    (folder / "extension.py").write_text(CODE.format(str(ran)))
    file = council_file(extensions=[{"use": "shouting"}])
    (tmp_path / ".env").write_text(f"MOM_EXTENSIONS={folder.parent}\n")
    trust_file(tmp_path / ".env")
    called = processes.call("ask", "-c", file, "Which pet?")
    assert called.code == 3
    assert "MOM_EXTENSIONS in '.env' is left alone" in called.err
    assert not ran.exists()
    (tmp_path / ".env").write_text(f"MOM_DATA_DIR={tmp_path / 'there'}\n")
    monkeypatch.delenv("MOM_DATA_DIR")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "xdg"))
    trust_file(tmp_path / ".env")
    trust_file(Path(file))
    called = processes.call("ask", "-c", file, "Which pet?")
    assert called.code == 3, called.err
    assert (tmp_path / "there" / "threads.db").exists()  # it was read
    assert not ran.exists()
    monkeypatch.setenv("MOM_DATA_DIR", str(tmp_path / "there"))
    trust_file(Path(file))
    called = processes.call("ask", "-qc", file, "Which pet?")
    assert called.out == "WHAT THE COUNCIL SAYS.\n"


def test_the_list_names_what_a_council_may_use_and_runs_no_code(mom: Mom, tmp_path: Path) -> None:
    ran, folder = tmp_path / "ran", tmp_path / "data" / "extensions" / "mine"
    folder.mkdir(parents=True)
    about = {
        "name": "mine",
        "description": "Mine\x1b[31m.",
        "version": "2",
        "requires": ["nope-mom"],
    }
    (folder / "config.json").write_text(json.dumps(about))
    (folder / "extension.py").write_text(CODE.format(str(ran)))
    (tmp_path / "data" / "extensions" / "bad").mkdir()
    called = mom("extensions", "list")
    assert (called.code, called.err) == (0, "")
    for name in ("deep_thinking", "facts", "retrieval", "summary", "transcript"):
        assert re.search(rf"^{name} +bundled +\w+", called.out, re.MULTILINE)
    assert (
        "mine             folder     Mine␛[31m. 2\n  it needs the package 'nope-mom'" in called.out
    )
    assert "no file 'extension.py'" in called.out
    assert not ran.exists()


def test_a_council_that_is_checked_tells_of_its_extensions(
    council_file: Callable[..., str], mom: Mom
) -> None:
    uses = [
        {"use": "deep_thinking", "settings": {"rounds": 3, "early_stop": False}},
        {"use": "summary"},
        {"use": "retrieval"},
    ]
    called = mom("councils", "check", council_file(extensions=uses))
    assert called.code == 0
    assert "at most 20 calls a question" in called.out  # (3 + 3) * 3, the answer, the summary
    assert (
        "note: extension 'retrieval': there is no collection 'documents': put texts into"
        in called.out
    )
    mom("councils", "check", council_file(extensions=[{"use": "nope"}])).refuses(
        3, "there is no extension 'nope'"
    )


def test_a_new_name_is_one_and_is_not_taken(mom: Mom) -> None:
    assert mom("extensions", "new", "mine").code == 0
    mom("extensions", "new", "mine").refuses(1, "is there already")
    mom("extensions", "new", "facts").refuses(2, "is a bundled one's name")
    for name in ("../x", "a b", "", ".", "x" * 65, "a/b", "-x"):
        mom("extensions", "new", "--", name).refuses(2, "cannot name an extension")


@pytest.mark.slow
def test_a_new_extension_works_as_it_was_written(
    stage: Stage, council_file: Callable[..., str], mom: Mom, tmp_path: Path
) -> None:
    seat(stage)
    said = mom("extensions", "new", "my-own").out
    folder = tmp_path / "data" / "extensions" / "my-own"
    assert str(folder) in said
    called = mom("ask", "-qc", council_file(extensions=[{"use": "my-own"}]), "Which pet?")
    assert called.out == "What the council says.\n\n(my-own)\n"
    assert "Keep it short." in desk.said(stage.calls_to("ada")[0].body)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(folder)]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout
    assert "1 passed" in ran.stdout


@pytest.mark.slow
def test_a_hook_that_never_ends_keeps_nobody_from_leaving(
    stage: Stage, council_file: Callable[..., str], processes: Any, tmp_path: Path
) -> None:
    seat(stage)
    folder = tmp_path / "data" / "extensions" / "stuck"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text('{"name": "stuck"}')
    (folder / "extension.py").write_text(
        "import threading\nfrom mom_council.extensions import Extension\n\n"
        "class Stuck(Extension):\n    def before(self, at):\n        threading.Event().wait()\n"
    )
    file = council_file(extensions=[{"use": "stuck", "timeout": 0.2}])
    called = processes.call("ask", "-c", file, "Which pet?")
    assert called.code == 0
    assert called.out == "What the council says.\n"
    assert "'stuck' failed before the classifier (it took longer than 0.2 s)" in called.err
