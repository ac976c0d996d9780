"""Recorded answers, as measurements read them; the format itself is `councils.recording`."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from mom_council.councils.recording import (
    Answer,
    Fold,
    Panels,
    Question,
    RecordingError,
    find_recordings,
    load_recording,
    read_panels,
    read_recording,
    write_recording,
)

SHIPPED: Final = Path(__file__).with_name("recorded") / "tiny.jsonl"
"""What the tiny models answered to questions that they had not learned from."""

__all__ = [
    "SHIPPED",
    "Answer",
    "Fold",
    "Panels",
    "Question",
    "RecordingError",
    "called",
    "find_recordings",
    "load_recording",
    "read_panels",
    "read_recording",
    "write_recording",
]

_COMES_ALONG = "shipped"
"""The word that stands for it in a command; a file of that name is `./shipped`."""


def called(path: Path) -> Path:
    """The recording that a word or a path of a command names."""
    return SHIPPED if str(path) == _COMES_ALONG else path
