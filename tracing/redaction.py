"""Redaction of whole trees: what a trace stores or sends, with every key taken out.

What a key looks like is known in one place, `models.redaction`; this only walks.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from typing import Any

from mom_council.redaction import REDACTED as HIDDEN
from mom_council.redaction import redact

__all__ = ["HIDDEN", "redact", "redact_tree"]

_DEEPEST = 64  # a tree that holds itself must end somewhere
_SHORTEST = 8  # characters; a shorter value is no key, and hiding it would garble the text


def redact_tree(value: Any, names: Collection[str] = ()) -> Any:
    """A copy of `value` without any key; strings in it are redacted, also as keys of mappings.

    Args:
        value: mappings, lists, tuples and sets of strings and numbers. What is none of these is
            handed back as it is, and what lies deeper than 64 levels is left out.
        names: environment variables whose values are secret although their names do not say so,
            such as a council's `api_key_env`.
    """
    secrets = tuple(
        secret for name in names if len(secret := os.environ.get(name, "")) >= _SHORTEST
    )
    return _walk(value, secrets, 0)


def _walk(value: Any, secrets: tuple[str, ...], depth: int) -> Any:
    if isinstance(value, str):
        for secret in secrets:
            value = value.replace(secret, HIDDEN)
        return redact(value)
    if isinstance(value, Mapping | list | tuple | set | frozenset):
        if depth >= _DEEPEST:
            return "..."
        if isinstance(value, Mapping):
            return {
                _walk(key, secrets, depth + 1): _walk(part, secrets, depth + 1)
                for key, part in value.items()
            }
        return [_walk(part, secrets, depth + 1) for part in value]
    return value
