"""What a scorer says of an answer."""

from __future__ import annotations

from typing import NamedTuple


class Mark(NamedTuple):
    """Whether an answer is right."""

    ok: bool
    answer: str | None = None
    """The final answer that was read from it, in one form; None where there is none."""
    note: str = ""
    """Why it is wrong, where that is more than being another answer."""
