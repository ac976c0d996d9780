"""docs/layout.md says what is true: the picture, the trip, the words and the reading path."""

from __future__ import annotations

import ast
import re

import pytest

from mom_council.tests.house.layout import PAGE, drawn, house
from mom_council.tests.house.sources import ROOT, product

TEXT = PAGE.read_text("utf-8")
SOURCES = {source.path: source for source in product()}
NAMED = sorted(set(re.findall(r"`([\w/]+\.py):(\w+)`", TEXT)))
WORDS = re.findall(r"^\| [^|]+ \| `(\w+)` \| `([\w/]+\.py)` \|$", TEXT, re.MULTILINE)
MOST_LINES = 2000


def names_in(path: str) -> set[str]:
    """The names that a file defines at its top."""
    names: set[str] = set()
    for node in SOURCES[path].tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return names


def test_the_picture_is_the_house() -> None:
    assert drawn(TEXT) == house(), "run `make layout`"


@pytest.mark.parametrize(("path", "name"), NAMED)
def test_the_trip_names_what_there_is(path: str, name: str) -> None:
    assert name in names_in(path)


@pytest.mark.parametrize(("name", "path"), WORDS)
def test_a_word_stands_for_a_class_in_its_file(name: str, path: str) -> None:
    assert name in names_in(path)


def test_the_trip_and_the_words_are_there() -> None:
    assert len(NAMED) >= 20
    assert len(WORDS) >= 15


def test_the_reading_path_is_short() -> None:
    path = TEXT.partition("<!-- path -->")[2].partition("<!-- /path -->")[0]
    files = re.findall(r"`([\w/]+\.py)`", path)
    assert len(files) >= 10
    assert sum(SOURCES[file].lines for file in files) < MOST_LINES


def test_the_files_and_folders_that_are_named_exist() -> None:
    named = set(re.findall(r"`([\w/.]+(?:\.py|/))`", TEXT))
    templates = {name for name in named if re.search(r"\bx\.py$", name)}
    missing = {name for name in named - templates if not (ROOT / name).exists()}
    assert not {name for name in missing if "two_points" not in name}
