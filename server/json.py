"""JSON in and out: strict, quick, and bounded in depth."""

from __future__ import annotations

from typing import Any

import orjson


def dumps(value: Any) -> bytes:
    """A value as JSON."""
    return orjson.dumps(value)


def loads(text: bytes | str) -> Any:
    """The value of a JSON text.

    Raises:
        ValueError: it is none, is nested beyond reason, or holds halves of characters.
    """
    return orjson.loads(text)
