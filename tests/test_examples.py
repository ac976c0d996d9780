"""The examples: each one runs as it stands, on the models that come with the package."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

import mixture_of_models

FOLDER = Path(mixture_of_models.__file__).parent / "examples"
SAYS = {
    "five_lines": "(",
    "settings": "1 round, ",
    "streaming": "Answer: ",
    "subgraph": "The council says: ",
    "threads": "4 messages are kept",
    "tool": "",
}


@pytest.mark.parametrize("name", sorted(file.stem for file in FOLDER.glob("*.py")))
def test_an_example_runs(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(FOLDER / f"{name}.py"), run_name="__main__")
    said = capsys.readouterr().out
    assert said.strip()
    assert SAYS[name] in said
