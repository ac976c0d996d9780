"""Sections of docs/reliability.md, each written by its own command."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reliability.md"
_HEAD = "# Reliability\n\nWhat was broken on purpose, how often, and what was lost.\n"


def write_section(name: str, title: str, text: str) -> None:
    """Put a section into the page, in the place of an earlier one of that name."""
    page = PAGE.read_text() if PAGE.exists() else _HEAD
    section = f"<!-- {name}: begin -->\n## {title}\n\n{text.strip()}\n<!-- {name}: end -->\n"
    earlier = re.compile(rf"<!-- {name}: begin -->.*?<!-- {name}: end -->\n", re.DOTALL)
    found = earlier.search(page)
    page = page[: found.start()] + section + page[found.end() :] if found else f"{page}\n{section}"
    PAGE.write_text(page)
