"""Vendors and vote methods that an installed package brings, by docs/layout.md, word by word."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mom_council.plugins import PluginTable
from mom_council.tests.graph.desk import said, seat, voting, written
from mom_council.tests.stage import Stage

PAGE = (Path(__file__).parents[1] / "docs" / "layout.md").read_text("utf-8")
KEY = "acme-key-0123456789"
_ASKS = """\
import asyncio, json, sys
from mom_council import council, load_council
from mom_council.models.providers import missing
from mom_council.vendors import VENDORS
values = json.load(open(sys.argv[1]))
result = asyncio.run(council(values).ainvoke("Which pet?"))
print(json.dumps({
    "spoke": result["status"].spoke,
    "answer": result["messages"][-1].text,
    "listed": "acme" in [*VENDORS],
    "missing": [str(one) for one in missing(load_council(values).models.values())],
}))
"""


def blocks(heading: str) -> list[str]:
    """The code of a section."""
    section = PAGE.split(f"### {heading}\n")[1].split("\n#")[0]
    return re.findall(r"```\w+\n(.*?)```", section, re.DOTALL)


def install(folder: Path, address: str) -> Path:
    """Install a package of the page's files, without any network; returns the folder with it."""
    source, target = folder / "source", folder / "installed"
    package = source / "acme_council"
    package.mkdir(parents=True)
    (source / "pyproject.toml").write_text(blocks("From an installed package")[0])
    (package / "__init__.py").write_text("")
    vendor = blocks("A new vendor")[0].replace("https://api.acme.example/v1", address)
    own = vendor.replace("chat_completions:open_chat", "acme_council.opening:open_chat")
    assert own != vendor
    (package / "vendor.py").write_text(own)
    (package / "opening.py").write_text(
        "from mom_council.models.providers.chat_completions import open_chat\n"
    )
    (package / "method.py").write_text(blocks("A new vote method")[0])
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index"]
    ended = subprocess.run(
        [*command, "--no-build-isolation", "--target", str(target), str(source)],
        capture_output=True,
        text=True,
        env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    return target


def run(command: list[str], target: Path) -> dict[str, object]:
    """What a program prints that sees the installed package."""
    environment = {**os.environ, "PYTHONPATH": str(target), "ACME_API_KEY": KEY}
    ended = subprocess.run(
        [sys.executable, *command], env=environment, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr[-4000:]
    loaded: dict[str, object] = json.loads(ended.stdout)
    return loaded


@pytest.mark.slow
def test_a_package_brings_a_vendor_and_a_vote_method(stage: Stage, tmp_path: Path) -> None:
    target = install(tmp_path, stage.openai_url)
    seat(stage, likes={"Ada": "think in", "Boris": "think in", "Clara": "count twice"})
    values = written(stage, deliberation={"method": "two_points", "stop": "all"})
    values["models"] = {
        key: {"provider": "acme", "model": key, "retries": 0} for key in values["models"]
    }
    council = tmp_path / "council.json"
    council.write_text(json.dumps(values))
    came = run(["-c", _ASKS, str(council)], target)
    assert came["spoke"] == ["Ada", "Boris", "Clara"]
    assert came["answer"] == "What the council says."
    assert (came["listed"], came["missing"]) == (True, [])
    assert {call.key_sent for call in stage.calls} == {KEY}
    assert len(voting(stage.calls)) == 3
    for call in voting(stage.calls):
        assert "Name the best candidate, then the second best." in said(call.body)
    tried = ["-m", "mom_council.tests.voting.new_method", str(council), "two_points"]
    through = run(tried, target)
    assert (through["method"], through["leader"]) == ("two_points", "Clara")
    assert through["asked for"] == "two_points"
    assert "two_points" in through["offered"]  # type: ignore[operator]


def about(folder: Path, points: dict[str, str], code: str) -> None:
    """What an installer leaves of a package of one module."""
    (folder / "odd_package.py").write_text(code)
    info = folder / "odd_package-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: odd-package\nVersion: 1\n")
    lines = [f"{name} = {place}" for name, place in points.items()]
    (info / "entry_points.txt").write_text("\n".join(["[test.texts]", *lines]))


def test_what_cannot_be_used_is_left_out_with_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    points = {
        "gone": "odd_package:missing",
        "odd": "odd_package:NUMBER",
        "ours": "odd_package:NUMBER",
    }
    about(tmp_path, points, "NUMBER = 3\n")
    monkeypatch.syspath_prepend(tmp_path)
    table = PluginTable({"ours": "own"}, str, "test.texts")
    assert table["ours"] == "own", "an entry of ours is never replaced"
    with pytest.warns(UserWarning, match="'gone' cannot be used .AttributeError"):
        assert "gone" not in table
    with pytest.warns(UserWarning, match="odd_package:NUMBER is no str of that name"):
        assert [*table] == ["ours"]
    assert table.get("odd") is None
    with pytest.raises(KeyError):
        table["odd"]
    sys.modules.pop("odd_package", None)
