"""The image that `langgraph build` makes: whether what is installed there is what is imported."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from mom_council.tests.dev_server import ROOT

pytestmark = pytest.mark.slow

OF_THE_SERVER = "langgraph-api"
"""What the base image holds, with what it needs."""

IMPORTED = """
import json, sys
from importlib.abc import MetaPathFinder

REFUSED = set(json.loads(sys.argv[1]))

class NotInstalled(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in REFUSED:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, NotInstalled())
for name in REFUSED & {name.partition(".")[0] for name in sys.modules}:
    sys.modules.pop(name)
import mom_council.server.mounted
from mom_council import ask
print(ask("What is 17 + 25?", council="demo").text)
"""
"""The server and a question, where nothing can be imported but what is installed."""


def read(name: str) -> dict[str, Any]:
    text = (ROOT / name).read_text("utf-8")
    return dict(json.loads(text) if name.endswith(".json") else tomllib.loads(text))


def beside_the_package() -> list[str]:
    return [one for one in read("langgraph.json")["dependencies"] if not one.startswith(".")]


def normal(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")


def installed_by(requirements: Iterable[str]) -> set[str]:
    """The distributions that installing these brings."""
    found: set[str] = set()
    left = [(Requirement(one), "") for one in requirements]
    while left:
        wanted, extra = left.pop()
        if wanted.marker and not wanted.marker.evaluate({"extra": extra}):
            continue
        for inner in ("", *wanted.extras):
            if f"{normal(wanted.name)}[{inner}]" in found:
                continue
            found |= {normal(wanted.name), f"{normal(wanted.name)}[{inner}]"}
            try:
                needs = metadata.requires(wanted.name) or ()
            except metadata.PackageNotFoundError:
                continue
            left += [(Requirement(one), inner) for one in needs]
    return found


def test_the_servers_application_needs_nothing_that_the_image_lacks(tmp_path: Path) -> None:
    ours = read("pyproject.toml")["project"]["dependencies"]
    there = installed_by([OF_THE_SERVER, "mom-council", *ours, *beside_the_package()])
    owners = metadata.packages_distributions()
    absent = [
        name
        for name, distributions in owners.items()
        if not {normal(one) for one in distributions} & there and "__editable__" not in name
    ]
    assert {"streamlit", "langgraph_cli", "pytest"} <= set(absent)
    command = [sys.executable, "-c", IMPORTED, json.dumps(absent)]
    env = {**os.environ, "HOME": str(tmp_path)}
    ran = subprocess.run(command, capture_output=True, text=True, env=env)
    assert ran.returncode == 0, ran.stderr
    assert "42" in ran.stdout


def test_the_dockerfile_installs_it(tmp_path: Path) -> None:
    (tmp_path / "langgraph.json").write_text((ROOT / "langgraph.json").read_text("utf-8"), "utf-8")
    for name in ("pyproject.toml", "README.md", ".env"):
        source = ROOT / name
        (tmp_path / name).write_text(source.read_text("utf-8") if source.is_file() else "", "utf-8")
    command = [sys.executable, "-m", "langgraph_cli", "dockerfile", "Dockerfile"]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    text = (tmp_path / "Dockerfile").read_text("utf-8")
    [line] = [one for one in text.splitlines() if "fastapi" in one]
    assert all(one in line for one in beside_the_package())


def test_it_names_the_versions_that_the_package_names() -> None:
    extras = read("pyproject.toml")["project"]["optional-dependencies"]
    # The image is a Linux one, so the engine's marker holds there.
    known = {one.partition(";")[0].strip() for one in (*extras["server"], *extras["embedded"])}
    assert set(beside_the_package()) <= known
