"""The names of the graph's nodes, in one place, so that a council cannot take one of them."""

from __future__ import annotations

import unicodedata

RESERVED = frozenset(
    {
        "__start__",
        "__end__",
        "classifier",
        "image_reader",
        "annotator",
        "seating",
        "thermal_wait",
        "quorum",
        "consensus",
        "comparison",
        "synthesizer",
        "painter",
    }
)
"""What the graph calls its own nodes. A character's node is called by the character's name."""


def voter_node(name: str) -> str:
    """The node in which the character called `name` votes."""
    return f"{name} votes"


def sameness(name: str) -> str:
    """Two names with one sameness look alike to a reader: case, width and blanks aside."""
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())
