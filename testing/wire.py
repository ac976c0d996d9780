"""What the protocols have in common: one turn of one model, and how a protocol writes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from .script import Reply


@dataclass(frozen=True, slots=True)
class Turn:
    """One call that is about to be answered."""

    number: int
    model: str
    path: str
    body: Mapping[str, Any]
    reply: Reply
    by_token: bool = False
    """Whether the stream goes word by word."""
    loading: float = 0.0
    """Seconds that went into loading the model."""
    speaking: float = 0.0
    """Seconds that the answer takes."""


class Wire(Protocol):
    """A protocol's way of writing; a module that has these names is one."""

    STREAM_TYPE: str

    def streams(self, path: str, body: Mapping[str, Any]) -> bool:
        """Whether the client asked for a stream."""

    def whole(self, turn: Turn) -> bytes:
        """The answer in one piece."""

    def chunks(self, turn: Turn) -> list[bytes]:
        """The answer as a stream gives it."""

    def closing(self, turn: Turn) -> bytes:
        """What closes the stream after the last chunk."""

    def error(self, status: int, message: str, code: str) -> bytes:
        """The body of an HTTP error."""

    def error_frame(self, message: str) -> bytes:
        """An error in the middle of a stream."""

    def unknown(self, model: str) -> bytes:
        """The body of the 404 for a model that is not here."""
