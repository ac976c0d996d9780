"""The voices and names of a council while it is put together: each voice once, each name free."""

from __future__ import annotations

import re
from typing import Any

from mom_council.councils.importers.findings import Report
from mom_council.councils.names import RESERVED, sameness, voter_node

_LONGEST = 60


class Voices:
    """The `models` section as it grows."""

    def __init__(self) -> None:
        self.written: dict[str, dict[str, Any]] = {}

    def key(self, **spec: Any) -> str:
        """The key of a voice: one that is there already, or a new one.

        What is None, or an empty mapping, is left out of the council.
        """
        spec = {name: value for name, value in spec.items() if value not in (None, {})}
        if spec.get("params"):
            params = {name: value for name, value in spec["params"].items() if value is not None}
            spec = {**spec, "params": params} if params else {**spec, "params": None}
            spec = {name: value for name, value in spec.items() if value is not None}
        for key, known in self.written.items():
            if known == spec:
                return key
        key = free(plain(str(spec["model"]).rstrip("/").rpartition("/")[2]), self.written)
        self.written[key] = spec
        return key


class Names:
    """The characters' names: as they were, where the graph can have a node of that name."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._taken = {sameness(name) for name in RESERVED}

    def take(self, name: str, place: str = "") -> str:
        """A free name that is, or resembles, this one; told of where it had to change."""
        fit = wanted = plain(name, usual="Character")
        number = 2
        while self._taken & {sameness(fit), sameness(voter_node(fit))}:
            fit, number = f"{wanted} {number}", number + 1
        self._taken |= {sameness(fit), sameness(voter_node(fit))}
        if place and fit != name:
            self._report.turn(place, f"is called {fit!r} here: the name is taken, or no node's")
        return fit


def plain(name: str, usual: str = "model") -> str:
    """A name without what no key and no node may hold."""
    kept = re.sub(r"[/\\:|\x00-\x1f\x7f]+", "-", " ".join(name.split()))[:_LONGEST]
    return kept.strip(" -") or usual


def free(wanted: str, taken: Any) -> str:
    """The name, or the first of its numbered kind that is not taken."""
    fit, number = wanted, 2
    while fit in taken:
        fit, number = f"{wanted}-{number}", number + 1
    return fit
