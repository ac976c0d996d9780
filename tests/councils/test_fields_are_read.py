"""No field of a council is written down and read nowhere, as `tracing.langsmith` once was.

This looks for who reads each field, not for what it changes.
"""

from __future__ import annotations

import ast
import typing
from collections.abc import Iterator
from functools import cache

from pydantic import BaseModel

from mom_council.councils.schema import Council
from mom_council.tests.house.sources import ROOT

_ABOUT_RULES = ("councils", "tests", "benchmarks", "ui", ".venv", ".typed", "build")
"""Folders that check, show or edit a council; what changes a run stands elsewhere."""


def _models_in(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in typing.get_args(annotation):
        yield from _models_in(part)


def _sections(kind: type[BaseModel], passed: set[type[BaseModel]]) -> set[type[BaseModel]]:
    if kind not in passed:
        passed.add(kind)
        for field in kind.model_fields.values():
            for inner in _models_in(field.annotation):
                _sections(inner, passed)
    return passed


@cache
def _names_read() -> frozenset[str]:
    names: set[str] = set()
    for path in ROOT.rglob("*.py"):
        inside = path.relative_to(ROOT)
        if inside.parts[0] in _ABOUT_RULES or inside.parts[0].startswith("."):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
                names.add(node.attr)
    return frozenset(names)


def test_every_field_of_a_council_is_read_by_what_runs_it() -> None:
    sections = _sections(Council, set())
    assert len(sections) > 15
    unread = [
        f"{kind.__name__}.{name}"
        for kind in sections
        for name in kind.model_fields
        if name not in _names_read()
    ]
    assert unread == []
