"""What is packed and installed: all of the code, none of the tests, one top-level name."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import venv
import zipfile
from pathlib import Path
from typing import Any

import pytest

import mom_council

ROOT = Path(mom_council.__file__).parent
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
UNPACKED = {"tests", "benchmarks", "docs", "examples", "build", "dist"}
HEAVY = ("langgraph", "langchain_core", "langchain", "openai", "streamlit", "torch", "jinja2")


def sources() -> list[Path]:
    """Every file of the project that is or may become part of it, as paths from the root."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    )
    paths = (Path(line) for line in listed.stdout.split("\0") if line)
    return [path for path in paths if (ROOT / path).is_file()]


def packed(path: Path) -> bool:
    return path.parts[0] not in UNPACKED and not path.parts[0].startswith(".")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy without anything that git ignores."""
    copy, out = tmp_path_factory.mktemp("copy"), tmp_path_factory.mktemp("dist")
    for path in sources():
        (copy / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / path, copy / path)
    backend = "from setuptools.build_meta import build_wheel; import sys; build_wheel(sys.argv[1])"
    built = subprocess.run(
        [sys.executable, "-c", backend, str(out)], cwd=copy, capture_output=True, text=True
    )
    assert built.returncode == 0, built.stderr[-2000:]
    [file] = out.glob("*.whl")
    return file


def loaded_by(code: str, *arguments: str) -> set[str]:
    """The top-level modules in memory after some code has run in a process of its own."""
    script = f"import sys\n{code}\nimport json\nprint(json.dumps(sorted(sys.modules)))"
    ran = subprocess.run(
        [sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=True
    )
    return {name.partition(".")[0] for name in json.loads(ran.stdout.splitlines()[-1])}


def test_every_folder_with_code_is_in_the_list_of_packages() -> None:
    folders = {path.parent for path in sources() if path.suffix == ".py" and packed(path)}
    names = {".".join(["mom_council", *folder.parts]) for folder in folders}
    listed = set(PROJECT["tool"]["setuptools"]["packages"])
    assert names - listed == set(), "pyproject.toml lacks these packages"


def test_every_listed_package_is_a_folder_of_the_project() -> None:
    for package in PROJECT["tool"]["setuptools"]["packages"]:
        folder = ROOT.joinpath(*package.split(".")[1:])
        assert folder.is_dir(), f"pyproject.toml lists {package!r}, and there is no such folder"


def test_benchmarks_and_tests_are_in_the_repository_alone() -> None:
    folders = {path.parts[0] for path in sources() if path.suffix == ".py"}
    assert {"benchmarks", "tests"} <= folders
    listed = PROJECT["tool"]["setuptools"]["packages"]
    assert not {name.split(".")[1] for name in listed if "." in name} & UNPACKED


@pytest.mark.slow
def test_the_wheel_holds_all_code_and_what_it_reads(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    wanted = {path for path in sources() if path.suffix == ".py" and packed(path)}
    read = (".yaml", ".md", ".gguf", ".jsonl")
    parts = ("councils", "prompts", "tiny")
    wanted |= {path for path in sources() if path.suffix in read and path.parts[0] in parts}
    wanted.add(Path("py.typed"))
    assert {f"mom_council/{path.as_posix()}" for path in wanted} - names == set()
    weights = {f"mom_council/tiny/tiny-{number}.gguf" for number in (1, 2, 3)}
    assert weights <= names
    assert "mom_council/evals/recorded/tiny.jsonl" in names


@pytest.mark.slow
def test_the_wheel_holds_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.partition("/")[0] for name in names}
    version = PROJECT["project"]["version"]
    assert tops == {"mom_council", f"mom_council-{version}.dist-info"}
    second = {name.split("/")[1] for name in names if name.startswith("mom_council/")}
    assert not second & UNPACKED
    assert wheel.stat().st_size < 10_000_000


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_the_wheel_installs_under_one_name_and_starts(wheel: Path, tmp_path: Path) -> None:
    home = tmp_path / "venv"
    venv.create(home, with_pip=False, symlinks=True)
    python = home / ("Scripts" if os.name == "nt" else "bin") / "python"
    [site] = home.glob("[Ll]ib/**/site-packages")
    command = [sys.executable, "-m", "pip", "--python", str(python), "install", "--no-index"]
    done = subprocess.run(
        [*command, "--no-deps", "--disable-pip-version-check", str(wheel)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    tops = {path.name for path in site.iterdir() if not path.name.endswith(".dist-info")}
    assert tops == {"mom_council"}
    code = "import mom_council as m; print(m.__file__); m.MixtureError"
    ran = subprocess.run(
        [python, "-I", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert ran.stdout.startswith(str(site))
    assert (python.parent / "mom").exists()


@pytest.mark.heavy
@pytest.mark.timeout(600)
def test_the_wheel_alone_gets_the_engine_where_it_is_used(wheel: Path, tmp_path: Path) -> None:
    """Installed like any tool, in an empty home; it takes the network or a folder of wheels."""
    home, env = tmp_path / "venv", {**os.environ, "HOME": str(tmp_path)}
    env |= {"OLLAMA_HOST": "127.0.0.1:9", "PYTHONPATH": ""}
    venv.create(home, with_pip=True, symlinks=True)
    programs = home / ("Scripts" if os.name == "nt" else "bin")

    def run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(programs / program), *arguments]
        return subprocess.run(
            command, env=env, cwd=tmp_path, capture_output=True, text=True, stdin=subprocess.DEVNULL
        )

    constraints = ["--constraint", str(ROOT / "constraints.txt")]
    installed = run("python", "-m", "pip", "install", "--quiet", *constraints, str(wheel))
    assert installed.returncode == 0, installed.stderr[-2000:]
    refused = run("mom", "ask", "-q", "What is 17 + 25?")
    assert (refused.returncode, refused.stdout) == (4, "")
    assert "`mom download engine`" in refused.stderr
    got = run("mom", "download", "engine")
    assert got.returncode == 0, got.stderr[-2000:]
    assert "34 MB" in got.stderr
    answered = run("mom", "ask", "-q", "What is 17 + 25?")
    assert answered.stdout == "42\n", answered.stderr[-2000:]


def test_importing_the_package_loads_nothing_heavy() -> None:
    loaded = loaded_by("import mom_council; dir(mom_council)")
    assert not loaded & {*HEAVY, "pydantic", "yaml", "typer", "rich"}


@pytest.mark.parametrize("arguments", [["--help"], ["ask", "--help"], ["--version"]])
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "from mom_council.cli import main\n"
        f"sys.argv = ['mom', *{arguments}]\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code, end.code"
    )
    # Typer itself loads pydantic as soon as it reads a command's options.
    light = {"pydantic"} if arguments == ["--help"] else set()
    assert not loaded_by(code) & (light | set(HEAVY))


def test_the_constraints_are_exact_versions_without_addresses() -> None:
    for line in _constraints():
        assert re.fullmatch(r"[a-z0-9][a-z0-9.-]*==[0-9][0-9a-z.+!]*( ; .+)?", line), line


def test_the_constraints_pin_every_dependency() -> None:
    pinned = {line.partition("==")[0] for line in _constraints()}
    project = PROJECT["project"]
    groups = [
        project["dependencies"],
        *project["optional-dependencies"].values(),
        *PROJECT["dependency-groups"].values(),
    ]
    wanted = {_name(written) for group in groups for written in group}
    assert wanted - pinned == set(), "run `make constraints`"


def _constraints() -> list[str]:
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    return [line for line in lines if line.strip()]


def _name(requirement: str) -> str:
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert found is not None
    return re.sub(r"[._-]+", "-", found[0]).lower()
