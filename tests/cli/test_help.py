"""The help is short, quick, and stands in the documentation as it is."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from . import help_texts
from .conftest import Mom

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs" / "cli.md"


def test_the_documentation_holds_the_help_of_every_command() -> None:
    written = DOCS.read_text(encoding="utf-8")
    assert written == help_texts.with_help(written), (
        "docs/cli.md is behind: python -m mom_council.tests.cli.help_texts"
    )


def test_every_exit_code_is_documented() -> None:
    from mom_council.cli import failure as exits

    codes = [value for value in vars(exits).values() if type(value) is int]
    table = DOCS.read_text(encoding="utf-8").partition("## Exit codes")[2]
    for code in codes:
        assert f"| {code} |" in table


def test_no_command_and_a_bare_group_show_their_help(mom: Mom) -> None:
    for arguments in ((), ("--help",), ("threads",), ("councils",), ("trace",)):
        called = mom(*arguments)
        assert (called.code, called.err) == (0, "")
        assert ("Ask:" if arguments in ((), ("--help",)) else "Commands:") in called.out
    assert "three tiny models" in mom("ask", "--help").out


def test_every_command_is_listed_once_under_what_it_is_for(mom: Mom) -> None:
    from mom_council.cli.app import SECTIONS

    told = mom("--help").out
    assert "Commands:" not in told, "a command has no section"
    assert "..." not in told.partition("Ask:")[2], "a sentence is cut"
    listed = re.findall(r"^  ([a-z]+) ", told, re.MULTILINE)
    for name in (name for names in SECTIONS.values() for name in names):
        assert listed.count(name) == 1


@pytest.mark.slow
def test_help_and_bad_questions_load_nothing_heavy(processes: Any) -> None:
    for arguments, code in ((["--help"], 0), (["ask", "--help"], 0), (["ask", ""], 2)):
        told = processes.call(*arguments, env={"PYTHONPROFILEIMPORTTIME": "1"})
        assert told.code == code
        loaded = {line.rpartition("|")[2].strip() for line in told.err.splitlines()}
        heads = {name.partition(".")[0] for name in loaded}
        assert "typer" in heads
        assert not heads & {"langgraph", "langchain", "langchain_core", "openai", "rich"}
        # Typer itself takes pydantic to read a command's options.
        assert "pydantic" not in heads or arguments[0] == "ask"


def test_the_version_is_the_packages(mom: Mom) -> None:
    from importlib.metadata import version

    assert mom("--version").out == f"mom {version('mom-council')}\n"


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash here")
@pytest.mark.parametrize(
    ("words", "completed"),
    [
        (["mom", "th"], ["threads"]),
        (["mom", "threads", "del"], ["delete"]),
        (["mom", "ask", "--pl"], ["--plan"]),
        (["mom", "zebra"], []),
    ],
)
def test_a_shell_completes_commands_and_options(
    tmp_path: Path, words: list[str], completed: list[str]
) -> None:
    command = tmp_path / "mom"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m mom_council "$@"\n')
    command.chmod(0o755)
    script = tmp_path / "complete.sh"
    shown = subprocess.run(
        [command],
        env={**os.environ, "_MOM_COMPLETE": "source_bash"},
        capture_output=True,
        text=True,
        check=True,
    )
    script.write_text(shown.stdout)
    line = (
        f"source {script}; COMP_WORDS=({' '.join(words)}); COMP_CWORD={len(words) - 1}; "
        f'_mom_completion "{command}"; printf "%s\\n" "${{COMPREPLY[@]}}"'
    )
    called = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True)
    assert called.stdout.split() == completed
    assert called.stderr == ""


def test_completion_can_be_installed_and_shown(mom: Mom) -> None:
    told = mom("--help").out
    assert "--install-completion" in told
    assert "--show-completion" in told
