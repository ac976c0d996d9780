"""The hooks around the nodes of one council. `graph.council` wraps every node with `around`."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from langgraph.runtime import Runtime

from mom_council.councils.schema import Council
from mom_council.extensions.guard import Failed
from mom_council.extensions.seats import Seat, seated
from mom_council.extensions.sitting import Sitting, failure, fallen
from mom_council.graph.context import CouncilContext, context_of

KINDS = {"speaks": "character", "votes": "vote"}
"""What a node is to a hook, where its function is called otherwise."""
_ALWAYS = ("classifier", "synthesizer", "painter")
"""Nodes with something to write although no hook is called: who is missing, what went wrong."""


class Hooks:
    """The extensions of a council.

    Args:
        council: the council as it is written.
        given: extensions that the caller hands over, by the names that the council uses.

    Raises:
        CouncilError: an extension stands for nothing, or may not be loaded.
    """

    def __init__(self, council: Council, given: Mapping[str, Any] | None = None) -> None:
        self._seats, missing = seated(council, given)
        self._missing = {name: failure(name, "to load", why) for name, why in missing.items()}
        self._written = council
        self._ruled: dict[frozenset[str], Council] = {}
        self.rules()

    def rules(self, off: tuple[str, ...] = ()) -> Council:
        """The council under its extensions' rules, without those that are off."""
        key = frozenset(off)
        if key not in self._ruled:
            council = self._written
            for seat in self._on(off):
                try:
                    council = seat.rules(council)
                except Failed as error:
                    self._missing[seat.name] = failure(seat.name, "in its rules", str(error))
            self._ruled[key] = council
        return self._ruled[key]

    @property
    def calls(self) -> int:
        """Calls of models that the extensions themselves may make for one question."""
        return sum(int(getattr(seat.kind, "calls", 0)) for seat in self._seats)

    def around(self, act: Any, name: str) -> Any:
        """An act with the hooks before and after it; the act itself where nothing listens."""
        node = KINDS.get(act.__name__, act.__name__)
        if node not in _ALWAYS and not any(seat.hears(node) for seat in self._seats):
            return act

        @functools.wraps(act)
        async def hooked(
            state: Any, runtime: Runtime[CouncilContext], council: Council
        ) -> dict[str, Any]:
            off = context_of(runtime).extensions_off
            gone = {} if node == "classifier" else fallen(state)
            here = [seat for seat in self._on(off) if seat.name not in gone]
            sitting = Sitting(node, name, here, state, runtime, council)
            if node == "classifier":
                for missing, note in self._missing.items():
                    if missing not in off:
                        sitting.notes.append(note)
            await sitting.before()
            update = await act(sitting.state, sitting.runtime, council)
            return await sitting.after(update)

        return hooked

    def _on(self, off: tuple[str, ...]) -> list[Seat]:
        return [
            seat
            for seat in self._seats
            if not {seat.name, seat.use} & {*off} and seat.name not in self._missing
        ]


def under_extensions(council: Council) -> tuple[Council, int]:
    """A council as its extensions have it, and how many calls they may make beyond its own.

    Raises:
        CouncilError: an extension stands for nothing, or may not be loaded.
    """
    if not council.extensions:
        return council, 0
    hooks = Hooks(council)
    return hooks.rules(), hooks.calls
