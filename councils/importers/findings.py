"""What an import found: the council, what became something else, and what found no place."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from mom_council.councils.schema import Council


class Note(NamedTuple):
    """One place of the foreign file, and what became of it."""

    place: str
    says: str

    def __str__(self) -> str:
        return f"{self.place}: {self.says}"


@dataclass(frozen=True)
class Imported:
    """A council out of a foreign file."""

    format: str
    """A key of `FORMATS`."""
    council: Council
    turned: tuple[Note, ...] = ()
    """What is kept in another way than it stood there."""
    left: tuple[Note, ...] = ()
    """What could not be kept, and why."""
    questions: tuple[str, ...] = ()
    """Questions that stood in the file."""


@dataclass
class Report:
    """The two lists, while they are written."""

    turned: list[Note] = field(default_factory=list)
    left: list[Note] = field(default_factory=list)

    def turn(self, place: str, says: str) -> None:
        """Note what is kept in another way."""
        self.turned.append(Note(place, says))

    def leave(self, place: str, says: str) -> None:
        """Note what is not kept."""
        self.left.append(Note(place, says))


@dataclass(frozen=True)
class Draft:
    """What a format's reader hands back: a council as it would be written, and its questions."""

    values: dict[str, Any]
    questions: tuple[str, ...] = ()
