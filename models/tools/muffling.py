"""What a tool prints does not belong into an answer: it goes to stderr, without secrets.

Only what is printed in the context of a tool (its task, its thread) is moved; everybody else's
stdout stays as it is.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

from mom_council.models.redaction import redact

_in_a_tool: ContextVar[bool] = ContextVar("in_a_tool", default=False)
_door = threading.Lock()
_inside = 0


class _Switch:
    """Stands in for stdout while tools run."""

    def __init__(self, real: Any) -> None:
        self.real = real

    def write(self, text: str) -> int:
        """Write to stdout, or, from within a tool, to stderr."""
        if not _in_a_tool.get():
            return int(self.real.write(text))
        sys.stderr.write(redact(text))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)


@contextlib.contextmanager
def muffled() -> Iterator[None]:
    """Within it, and in what is started from it, printing goes to stderr."""
    global _inside
    token = _in_a_tool.set(True)
    with _door:
        _inside += 1
        if _inside == 1:
            sys.stdout = _Switch(sys.stdout)
    try:
        yield
    finally:
        _in_a_tool.reset(token)
        with _door:
            _inside -= 1
            if _inside == 0 and isinstance(sys.stdout, _Switch):
                sys.stdout = sys.stdout.real
