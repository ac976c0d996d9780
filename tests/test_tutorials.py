"""Every `mom` line of the tutorials is run, in the order of the page, as a shell runs it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mom_council.tests.stage import Stage

pytestmark = pytest.mark.slow

DOCS = Path(__file__).parents[1] / "docs"
_BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
GB = 1_000_000_000


def lines_of(page: str) -> list[str]:
    """The lines of a page that a reader types."""
    text = (DOCS / f"tutorial-{page}.md").read_text("utf-8")
    return [line for block in _BLOCK.findall(text) for line in block.splitlines()]


def run(lines: list[str], folder: Path, **variables: str) -> str:
    """Type the lines into a shell; every one has to succeed."""
    bin_folder = folder / "bin"
    bin_folder.mkdir()
    mom = bin_folder / "mom"
    start = "from mom_council.cli import main; main()"
    mom.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{start}" "$@"\n')
    mom.chmod(0o755)
    paths = f"{bin_folder}:{os.environ['PATH']}"
    env = {**os.environ, **variables, "PATH": paths, "TERM": "dumb"}
    script = "\n".join(["set -e", *lines])
    told = subprocess.run(
        ["/bin/sh", "-c", script],
        cwd=folder,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert told.returncode == 0, told.stdout + told.stderr
    return told.stdout + told.stderr


@pytest.mark.timeout(600)
def test_at_home(stage: Stage, tmp_path: Path) -> None:
    for name, size, family, parameters in (
        ("llama3.2:3b", 2.0, "llama", "3.2B"),
        ("qwen2.5:7b", 4.7, "qwen2", "7.6B"),
        ("gemma2:9b", 5.4, "gemma2", "9.2B"),
    ):
        stage.model(name, "A cat.", size=int(size * GB), family=family, parameters=parameters)
    told = run(lines_of("home"), tmp_path, OLLAMA_HOST=stage.url, MOM_MEMORY_GB="8")
    assert "A cat." in told
    assert "desk.yaml is written" in told


@pytest.mark.timeout(600)
def test_in_a_team(stage: Stage, tmp_path: Path) -> None:
    stage.model("gpt-small", "42")
    stage.model("other-model", "42")
    told = run(lines_of("team"), tmp_path, OPENAI_BASE_URL=stage.url, OLLAMA_HOST="127.0.0.1:9")
    assert '"answer": "42"' in told
    assert (tmp_path / "answers.jsonl").read_text("utf-8").count("42")


@pytest.mark.timeout(600)
def test_in_an_agent(tmp_path: Path) -> None:
    told = run(lines_of("agent"), tmp_path, OLLAMA_HOST="127.0.0.1:9")
    assert "42" in told
    assert "graph TD" in told
