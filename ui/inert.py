"""Names and messages as one line of text: short, and nothing in them is Markdown or an icon."""

from __future__ import annotations

import unicodedata

from mom_council.ui import safe

_LONGEST = 300


def inert(text: object, longest: int = _LONGEST) -> str:
    """One line that Markdown of ours shows as it stands."""
    return safe.inline(one_line(text, longest))


def one_line(text: object, longest: int = _LONGEST) -> str:
    """One line of plain text, shortened, without signs that turn it round or do not show."""
    line = " ".join(str(text).split())
    line = "".join(sign for sign in line if unicodedata.category(sign) not in ("Cc", "Cf", "Cs"))
    return line if len(line) <= longest else line[: longest - 1].rstrip() + "…"
