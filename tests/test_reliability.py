"""docs/reliability.md: each part has its heading, its command and its numbers."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mom_council.tests import reliability
from mom_council.tests.reliability import PARTS, ROOT, Part, with_figures, with_summary

PAGE = reliability.PAGE.read_text("utf-8")
MAKE = (ROOT / "Makefile").read_text("utf-8")


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
def test_a_part_stands_on_the_page_and_can_be_repeated(part: Part) -> None:
    assert f"\n## {part.title}\n\n" in PAGE
    assert all((ROOT / file).exists() for file in part.tests)
    assert part.tests or f"\n{part.name}:" in MAKE


def test_the_table_at_the_top_holds_the_parts_own_numbers() -> None:
    assert with_summary(PAGE) == PAGE, "write it: make reliability"


def test_a_measured_part_replaces_its_line_and_no_other() -> None:
    page = "# Reliability\n\nWords.\n\n## Soak\n\nText.\n\n## Budgets\n\nMore.\n"
    once = with_figures(with_figures(page, "Soak", "10 calls", "1"), "Soak", "20 calls", "0")
    assert once.count("*Last run") == 1
    assert "20 calls; lost: 0.*\n\nText.\n" in once
    summed = with_summary(with_summary(once))
    assert summed.count("<!-- summary -->") == 1
    assert "| 20 calls | 0 |" in summed
    assert summed.endswith("## Budgets\n\nMore.\n")


@pytest.mark.parametrize("name", ["kills", "soak", "faults", "leaks"])
def test_a_measured_section_leaves_what_was_written_by_hand(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = next(one for one in PARTS if one.name == name)
    page = tmp_path / "reliability.md"
    page.write_text(PAGE, "utf-8")
    monkeypatch.setattr(reliability, "PAGE", page)
    reliability.write_section(name, part.title, "New.", "7 tries")
    _, _, by_hand = PAGE.partition(f"<!-- {name}: end -->\n")
    assert page.read_text("utf-8").endswith(f"\n\nNew.\n<!-- {name}: end -->\n{by_hand}")


def test_words_by_hand_stand_outside_what_make_kills_writes() -> None:
    written = re.search(r"<!-- kills: begin -->.*?<!-- kills: end -->\n", PAGE, re.DOTALL)
    assert written is not None
    assert written[0].rstrip().splitlines()[-2].startswith("Races of two processes")
