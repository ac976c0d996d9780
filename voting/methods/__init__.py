"""The vote methods. A new one is a file here and its line in this table.

Nothing else lists them. Installed packages add methods by entry points of the group
`mom_council.vote_methods`: see docs/layout.md.
"""

from __future__ import annotations

from importlib import import_module

from mom_council.plugins import PluginTable
from mom_council.voting.methods.base import VoteMethod

_FILES = (
    "plurality",
    "approval",
    "borda",
    "ranked_pairs",
    "score",
    "answer_counting",
    "similarity",
    "best_confidence",
    "no_vote",
)
"""Each file defines its `METHOD`. The order is that of forms and of help."""


def _read_table() -> dict[str, VoteMethod]:
    methods: list[VoteMethod] = [import_module(f"{__name__}.{file}").METHOD for file in _FILES]
    return {method.name: method for method in methods}


_OWN = _read_table()

METHODS: PluginTable[VoteMethod] = PluginTable(
    _OWN,
    VoteMethod,  # type: ignore[type-abstract]
    "mom_council.vote_methods",
)
"""Every vote method by its name, as councils write it."""

ALIASES: dict[str, str] = {
    alias: method.name for method in _OWN.values() for alias in method.aliases
}
"""Further names that a council may write, of the methods here."""

EQUAL_ANSWERS = next(method.name for method in _OWN.values() if method.counts_answers)
"""The method that counts where nobody was asked for a ballot, or no ballot can be counted."""


def describe_methods() -> str:
    """Every method with what it does, in one line for forms and help."""
    return "; ".join(f"{name}: {method.meaning}" for name, method in METHODS.items())


__all__ = ["ALIASES", "EQUAL_ANSWERS", "METHODS", "VoteMethod", "describe_methods"]
