"""What became of a row, and the columns that this adds to it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import Field

from mom_council.records import Record, Status, Usage


class Outcome(Record):
    """What became of one row."""

    index: int
    answer: str | None = None
    error: str = Field(default="", description="why there is no answer")
    stop_reason: str | None = None
    share: float | None = Field(default=None, description="of the leading option")
    absent: tuple[str, ...] = Field(default=(), description="NAME: REASON of each who was absent")
    degraded: bool = False
    usage: Usage = Usage()
    seconds: float = 0.0
    unasked: bool = Field(default=False, description="there was no question, so nothing was asked")


COLUMNS: dict[str, type] = {
    "answer": str,
    "error": str,
    "stop_reason": str,
    "share": float,
    "absent": str,
    "degraded": bool,
    "calls": int,
    "tokens": int,
    "usd": float,
    "seconds": float,
}
"""The columns that a batch adds, and what is in them."""


def of_status(index: int, answer: str, status: Status) -> Outcome:
    """The outcome of a row that was answered."""
    return Outcome(
        index=index,
        answer=answer,
        stop_reason=status.stop_reason,
        share=status.verdict.share if status.verdict else None,
        absent=tuple(f"{one.character}: {one.reason}" for one in status.absent),
        degraded=status.degraded,
        usage=status.usage,
        seconds=status.seconds,
    )


def columns_of(outcome: Outcome, names: dict[str, str]) -> dict[str, Any]:
    """The added columns of one row, under the names they have in this file."""
    values = {
        "answer": outcome.answer,
        "error": outcome.error or None,
        "stop_reason": outcome.stop_reason,
        "share": outcome.share,
        "absent": ", ".join(outcome.absent) or None,
        "degraded": outcome.degraded,
        "calls": outcome.usage.calls,
        "tokens": outcome.usage.tokens,
        "usd": outcome.usage.usd,
        "seconds": outcome.seconds,
    }
    return {names[name]: values[name] for name in COLUMNS}


def names_beside(taken: Iterable[str]) -> dict[str, str]:
    """What each added column is called: by its own name, unless the input has one of that name."""
    used = set(taken)
    names = {}
    for name in COLUMNS:
        chosen = name
        while chosen in used:
            chosen = f"council_{chosen}"
        used.add(chosen)
        names[name] = chosen
    return names
