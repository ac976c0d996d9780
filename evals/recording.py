"""Recorded answers, as measurements read them; the format itself is `councils.recording`."""

from __future__ import annotations

from mixture_of_models.councils.recording import (
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

__all__ = [
    "Answer",
    "Fold",
    "Panels",
    "Question",
    "RecordingError",
    "find_recordings",
    "load_recording",
    "read_panels",
    "read_recording",
    "write_recording",
]
