"""The examples: each one runs as it stands, on the models that come with the package."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

import mom_council

FOLDER = Path(mom_council.__file__).parent / "examples"
SAYS = {
    "approval": "messages, and the last goes out: ",
    "five_lines": "(",
    "human_seat": "absent: [('",
    "remote": "There is no server at http://127.0.0.1:9",
    "settings": "1 round, ",
    "streaming": "Answer: ",
    "subgraph": "The council says: ",
    "threads": "4 messages are kept",
    "tool": "",
    "two_councils": "quick: ",
}


@pytest.mark.parametrize("name", sorted(file.stem for file in FOLDER.glob("*.py")))
def test_an_example_runs(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COUNCIL_URL", "http://127.0.0.1:9")  # tests/test_studio.py has a server
    runpy.run_path(str(FOLDER / f"{name}.py"), run_name="__main__")
    said = capsys.readouterr().out
    assert said.strip()
    assert SAYS[name] in said
