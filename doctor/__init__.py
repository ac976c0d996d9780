"""Checks of this machine, each with its fix, and the findings that they yield.

A check is a function that yields findings. None of them changes anything, sends a question or shows
a key; a check that does not end in time is a finding itself.
"""

from __future__ import annotations

from typing import Literal

from mom_council.errors import MixtureError
from mom_council.records import Record

State = Literal["ok", "warn", "fail"]


class Finding(Record):
    """One line of the report."""

    about: str
    state: State
    says: str
    cure: str = ""


def ok(about: str, says: str) -> Finding:
    """It is as it should be."""
    return Finding(about=about, state="ok", says=says)


def warn(about: str, says: str, cure: str = "") -> Finding:
    """It may cause trouble, or something optional is missing."""
    return Finding(about=about, state="warn", says=says, cure=cure)


def fail(about: str, says: str, cure: str) -> Finding:
    """Nothing works, or not this council, before it is fixed."""
    return Finding(about=about, state="fail", says=says, cure=cure)


def failed(about: str, error: MixtureError, cure: str = "") -> Finding:
    """What an error says; `cure` where it names none itself."""
    return fail(about, error.what, error.cure or cure)
