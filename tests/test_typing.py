"""A program's type checker sees the package: from a wheel, and from an editable install."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
import venv
from importlib.util import find_spec
from pathlib import Path

import pytest

from mom_council.tests.test_package import ROOT, sources

PROGRAM = """\
from mom_council import ask, council, stream

result = council("demo").invoke("Why?")
reveal_type(result["status"].spoke)
print(result["satus"])
answer = ask("Why?")
print(answer.txt)
for event in stream("Why?"):
    if event.kind == "said":
        print(event.speaker.name, event.verdict)
"""
WRONG = (5, 7, 10)
"""The lines that a checker must refuse."""


@pytest.fixture(scope="module", params=["wheel", "editable"])
def python(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python with the package installed, which borrows everything else from this one."""
    folder = tmp_path_factory.mktemp(request.param)
    copy = folder / "source"
    for path in sources():
        (copy / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / path, copy / path)
    venv.create(folder / "venv", symlinks=True)
    python = folder / "venv" / "bin" / "python"
    where = "import sysconfig; print(sysconfig.get_path('purelib'))"
    packages = subprocess.run([python, "-c", where], capture_output=True, text=True, check=True)
    borrowed = Path(packages.stdout.strip(), "borrowed.pth")
    borrowed.write_text(sysconfig.get_path("purelib"), "utf-8")
    command = [sys.executable, "-m", "pip", "--python", str(python), "install", "-q", "--no-index"]
    command += ["--no-deps", "--ignore-installed", "--no-build-isolation"]
    command += ["--disable-pip-version-check"]
    if request.param == "editable":
        command += ["--config-settings", "editable_mode=strict", "--editable"]
    ended = subprocess.run([*command, str(copy)], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr[-3000:]
    return python


def check(command: list[str], folder: Path) -> str:
    """What a checker says of the program."""
    (folder / "program.py").write_text(PROGRAM, "utf-8")
    ended = subprocess.run([*command, "program.py"], cwd=folder, capture_output=True, text=True)
    assert ended.returncode == 1, ended.stdout + ended.stderr
    return ended.stdout


@pytest.mark.heavy  # it reads all of LangGraph, once without a cache
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_mypy_refuses_what_is_misspelt(python: Path, tmp_path: Path) -> None:
    said = check([sys.executable, "-m", "mypy", "--python-executable", str(python)], tmp_path)
    assert 'Revealed type is "tuple[str, ...]"' in said
    assert '"CouncilResult" has no key "satus"' in said
    wrong = {line.split(":")[1] for line in said.splitlines() if ": error:" in line}
    assert wrong == {str(line) for line in WRONG}


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(find_spec("pyright") is None, reason="pyright is optional: pip install pyright")
def test_pyright_refuses_what_is_misspelt(python: Path, tmp_path: Path) -> None:
    said = check([sys.executable, "-m", "pyright", "--pythonpath", str(python)], tmp_path)
    assert 'is "tuple[str, ...]"' in said
    assert '"satus" is not a defined key in "CouncilResult"' in said
    wrong = {line.split(":")[1] for line in said.splitlines() if " error:" in line}
    assert wrong == {str(line) for line in WRONG}
