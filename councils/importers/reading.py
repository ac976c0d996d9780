"""Foreign files as plain values: JSON read strictly, YAML as ours is, `.env` literally."""

from __future__ import annotations

import json
from io import StringIO
from typing import Any

from mom_council.councils.importers.findings import Report
from mom_council.councils.reading import read_yaml
from mom_council.councils.secrecy import shown
from mom_council.errors import CouncilError


def read_json(text: str, origin: str) -> Any:
    """Read one JSON document, in which no key stands twice.

    Raises:
        CouncilError: it is no JSON, with its line.
    """
    try:
        return json.loads(text, object_pairs_hook=_once, parse_constant=_no_number)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        says = f"{origin}: {place}: {error.msg[:80]}; look at the quotes and commas there"
        raise CouncilError(says) from None
    except RecursionError:
        raise CouncilError(
            f"{origin}: is nested too deeply; no such file of that system is"
        ) from None
    except ValueError as error:
        raise CouncilError(f"{origin}: {error}") from None


def read_mapping(text: str, origin: str) -> Any:
    """Read YAML, or JSON where it begins like it."""
    if text.lstrip()[:1] in ("{", "["):
        return read_json(text, origin)
    return read_yaml(text, origin)


def read_env(text: str, name: str, report: Report) -> dict[str, str]:
    """Read the lines of a `.env` file; nothing in them is expanded, empty ones are left out."""
    from dotenv.parser import parse_stream

    found: dict[str, str] = {}
    for line in parse_stream(StringIO(text)):
        if line.error:
            report.leave(f"{name} line {line.original.line}", "is no line of the form NAME=value")
        elif line.key and line.value and line.value.strip():
            found[line.key] = line.value.strip()
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"{shown(twice)} stands twice in one mapping; keep one")
    return found


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is no number that JSON knows; write a finite one")
