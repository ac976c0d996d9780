"""Extensions and the command."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mixture_of_models.tests.cli.conftest import Mom
from mixture_of_models.tests.graph.desk import seat
from mixture_of_models.tests.stage import Stage

CODE = """
import pathlib
from mixture_of_models.extensions import Extension

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
    called = processes.call("ask", "-c", file, "Which pet?")
    assert called.code == 3
    assert "MOM_EXTENSIONS in '.env' is left alone" in called.err
    (tmp_path / ".env").write_text(f"MOM_DATA_DIR={tmp_path / 'there'}\n")
    monkeypatch.delenv("MOM_DATA_DIR")
    called = processes.call("ask", "-c", file, "Which pet?")
    assert called.code == 3, called.err
    assert (tmp_path / "there" / "threads.db").exists()  # it was read
    assert not ran.exists()
    monkeypatch.setenv("MOM_DATA_DIR", str(tmp_path / "there"))
    called = processes.call("ask", "-qc", file, "Which pet?")
    assert called.out == "WHAT THE COUNCIL SAYS.\n"
