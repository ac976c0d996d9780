"""Whatever mapping a caller hands in, as the plain values that JSON knows."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from mom_council.councils.refusals import Path, Problem
from mom_council.councils.schema import Section
from mom_council.councils.secrecy import shown

# Far beyond any council, and far below what would hold up the reader.
MOST_CHARACTERS = 1_000_000
MOST_NODES = 20_000
MOST_DEPTH = 32


def as_plain(values: Mapping[Any, Any]) -> tuple[list[Problem], dict[str, Any]]:
    """Copy `values`, aliases unfolded; with what in them is no plain value, and where.

    A `Section` inside (a `Model(...)`, say) counts as what is written for it.
    """
    copy = _Copy()
    return copy.problems, copy.mapping(values, ())


class _Copy:
    """One copying: what it found wrong, and how much it may still copy."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.left = MOST_NODES

    def of(self, value: Any, path: Path) -> Any:
        self.left -= 1
        if self.left < 0 or len(path) > MOST_DEPTH:
            # Said once: an alias to itself would say it without end.
            if self.left >= 0 or self.left == -1:
                most = f"more than {MOST_NODES} values, or {MOST_DEPTH} levels"
                self.problems.append(Problem(path[:3], f"holds {most}; write a simpler council"))
                self.left = -1
            return None
        if isinstance(value, Section):
            value = value.model_dump(mode="json", exclude_unset=True)
        if isinstance(value, Mapping):
            return self.mapping(value, path)
        if isinstance(value, list | tuple):
            return [self.of(inner, (*path, index)) for index, inner in enumerate(value)]
        return self.scalar(value, path)

    def mapping(self, values: Mapping[Any, Any], path: Path) -> dict[str, Any]:
        return {key: self.of(value, (*path, key)) for key, value in self.items(values, path)}

    def items(self, values: Mapping[Any, Any], path: Path) -> Iterator[tuple[str, Any]]:
        for key, value in values.items():
            if not isinstance(key, str):
                says = f"the key {shown(key)} must be text; put it in quotes"
                self.problems.append(Problem(path, says))
            elif (text := self.text(key, path)) is not None:
                yield text, value

    def scalar(self, value: Any, path: Path) -> Any:
        if isinstance(value, str):
            return self.text(value, path)
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, int) and abs(value) < 2**63:
            return int(value)
        if isinstance(value, float) and math.isfinite(value):
            return float(value)
        number = isinstance(value, int | float)
        kind = (
            "a finite number of fewer digits" if number else "text, a number, a list or a mapping"
        )
        self.problems.append(Problem(path, f"must be {kind}, is {shown(value)}"))
        return None

    def text(self, value: str, path: Path) -> str | None:
        try:
            # JSON writes what lies beyond 16 bits as two halves; YAML leaves them apart.
            return value.encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError:
            self.problems.append(Problem(path, "holds half a character; retype it"))
            return None
