"""Patterns that are compiled late: each of them can be compiled, and works as `re`'s own."""

from __future__ import annotations

import re
import sys

import mom_council.voting.ballot_readings  # noqa: F401 - loads all that reads
from mom_council.voting.reading.text import lazy_pattern


def test_a_lazy_pattern_does_what_a_compiled_one_does() -> None:
    late, plain = lazy_pattern(r"(?P<n>\d+)", re.IGNORECASE), re.compile(r"(?P<n>\d+)", re.I)
    assert late.findall("1 and 22") == plain.findall("1 and 22")
    assert late.sub("x", "a1") == plain.sub("x", "a1")
    assert (late.pattern, late.groups, late.flags) == (plain.pattern, 1, plain.flags)


def test_every_pattern_that_waits_can_be_compiled() -> None:
    waiting = [
        value
        for name, module in list(sys.modules.items())
        if name.startswith("mom_council.voting")
        for value in vars(module).values()
        if type(value).__name__ == "_LazyPattern"
    ]
    assert len(waiting) > 150
    for pattern in waiting:
        assert pattern.flags is not None
