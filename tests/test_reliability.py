"""docs/reliability.md: each part has its heading, its command and its numbers."""

from __future__ import annotations

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
