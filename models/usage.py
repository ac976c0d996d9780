"""Adding up what calls cost: tokens where the provider told, dollars where the price is known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mom_council.councils.schema import Price
from mom_council.records import Usage

_MILLION = 1_000_000


class Meter:
    """Counts one model's calls. A number that nobody told stays None, which is not 0."""

    def __init__(self, price: Price | None = None) -> None:
        self._price = price
        self.calls = 0
        self.input_tokens: int | None = None
        self.output_tokens: int | None = None

    def read(self, told: Mapping[str, Any] | None) -> None:
        """Add a chunk's `usage_metadata`; a call's chunks carry parts that add up."""
        if not told:
            return
        self.input_tokens = (self.input_tokens or 0) + int(told.get("input_tokens") or 0)
        self.output_tokens = (self.output_tokens or 0) + int(told.get("output_tokens") or 0)

    @property
    def tokens(self) -> int:
        """Tokens told so far, read and written."""
        return (self.input_tokens or 0) + (self.output_tokens or 0)

    @property
    def usd(self) -> float | None:
        """Dollars, or None where the price or the tokens are not known."""
        if self._price is None or self.input_tokens is None or self.output_tokens is None:
            return None
        spent = self.input_tokens * self._price.input + self.output_tokens * self._price.output
        return spent / _MILLION

    def usage(self, seconds: float) -> Usage:
        """What has been counted so far, over so many seconds of wall time."""
        return Usage(
            calls=self.calls,
            input_tokens=self.input_tokens,
            output_tokens=self.output_tokens,
            usd=self.usd,
            seconds=max(seconds, 0.0),
        )
