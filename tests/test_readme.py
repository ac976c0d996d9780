"""README and docs: the picture is the graph, the links lead somewhere, the code runs."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mom_council.tests.picture import PAGE, picture, shown

ROOT = PAGE.parents[1]
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").glob("**/*.md"))]
_FENCED = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_OUTPUT = re.compile(r"\n```text\n(.*?)^```$", re.MULTILINE | re.DOTALL)
"""What a block prints, where it stands right below it."""
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ +(.*)$", re.MULTILINE)


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def blocks() -> Iterator[Any]:
    """Every `python` block; one that is not to be run is marked `py`."""
    for page in PAGES:
        text = page.read_text("utf-8")
        for found in _FENCED.finditer(text):
            if found[1] == "python":
                line = text.count("\n", 0, found.start()) + 2
                yield pytest.param(page, line, found[2], id=f"{name(page)}:{line}")


def anchors(page: Path) -> set[str]:
    """The headings of a page as GitHub links to them."""
    text = _FENCED.sub("", page.read_text("utf-8"))
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        for heading in _HEADING.findall(text)
    }


def test_the_picture_is_the_graph() -> None:
    assert shown(PAGE.read_text("utf-8")) == picture(), "run `make picture`"


def test_the_two_commands_are_shown_and_exist() -> None:
    readme = README.read_text("utf-8")
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for command in ("ask", "test"):
        assert f"make {command}" in readme
        assert re.search(rf"^{command}:", makefile, re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    text = _FENCED.sub("", page.read_text("utf-8"))
    for link in _LINK.findall(text):
        if link.startswith(("https://", "http://", "mailto:")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{link} leads nowhere"
        assert ROOT in (target, *target.parents), f"{link} leads out of the project"
        assert not anchor or anchor in anchors(target), f"{link} has no such heading"


@pytest.mark.parametrize(("page", "line", "code"), [*blocks()])
def test_the_code_of_a_page_runs(
    page: Path, line: int, code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile("\n" * (line - 1) + code, str(page), "exec"), {"__name__": "__main__"})
    below = page.read_text("utf-8").partition(f"{code}```\n")[2]
    if output := _OUTPUT.match(below):
        assert printed.getvalue() == output[1]
