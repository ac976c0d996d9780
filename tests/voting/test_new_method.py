"""A vote method is added by one file and one line, by the words of docs/layout.md."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mom_council.tests.graph.desk import proposals, said, seat, voting, written
from mom_council.tests.stage import Stage

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


def with_new_method(folder: Path) -> None:
    """The package in a folder of its own, with the page's file and the page's line added."""
    package = folder / "mom_council"
    package.mkdir()
    for part in ROOT.iterdir():
        if part.name != "voting" and not part.name.startswith("."):
            (package / part.name).symlink_to(part)
    shutil.copytree(ROOT / "voting", package / "voting")
    page = (ROOT / "docs" / "layout.md").read_text(encoding="utf-8")
    page = page.partition("### A new vote method")[2].partition("\n## ")[0]
    file, line = re.findall(r"```(?:python|text)\n(.*?)```", page, re.DOTALL)
    named = re.search(r"`(voting/methods/\w+\.py)`:\n\n```python", page)
    assert named is not None
    (package / named[1]).write_text(file, encoding="utf-8")
    table = package / "voting" / "methods" / "__init__.py"
    before = table.read_text(encoding="utf-8")
    table.write_text(
        before.replace('    "no_vote",\n', f'    "no_vote",\n{line}'), encoding="utf-8"
    )
    assert len(table.read_text().splitlines()) == len(before.splitlines()) + 1


def test_a_method_is_one_file_and_one_line(stage: Stage, tmp_path: Path) -> None:
    with_new_method(tmp_path)
    seat(stage, likes={"Ada": "think in", "Boris": "think in", "Clara": "count twice"})
    council = tmp_path / "council.json"
    council.write_text(json.dumps(written(stage, deliberation={"method": "two_points"})))
    tried = subprocess.run(
        [sys.executable, "-m", "mom_council.tests.voting.new_method", str(council), "two_points"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert tried.returncode == 0, tried.stderr[-4000:]
    came = json.loads(tried.stdout)
    assert came["method"] == "two_points"
    assert came["leader"] == "Clara"
    assert "Clara's answer has 4 points" in came["why"]
    assert all(len(ballot) == 2 for ballot in came["ballots"])
    assert came["revoted"] == ["borda", "two_points", "Clara"]
    assert came["questions"] == 1
    assert "did you mean 'two_points'?" in came["misspelt"]
    assert came["asked for"] == "two_points"
    assert "two_points" in came["offered"]
    for call in voting(stage.calls):
        assert "Name the best candidate, then the second best." in said(call.body)
        assert call.body["response_format"]["json_schema"]["schema"]["required"] == [
            "reason",
            "ranking",
        ]
    synthesis = next(call for call in stage.calls_to("pen") if proposals(call.body))
    assert 'support="4 points"' in said(synthesis.body)
