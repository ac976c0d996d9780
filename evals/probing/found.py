"""What probing found: of one model, and of all."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from mom_council.records import Record

State = Literal["yes", "partly", "no", "unknown"]
"""unknown: it could not be found out, because the model was not reached or the probe was cut."""


class Probe(Record):
    """One ability or role."""

    state: State
    says: str = Field(description="in one line")
    score: float | None = Field(default=None, description="0 to 1, of those that are scored")


class Probed(Record):
    """One model."""

    model: str = Field(description="as it was named: a key of the council, or provider:model")
    provider: str
    name: str = Field(description="the provider's own name for it")
    probes: dict[str, Probe] = Field(default_factory=dict)
    resisted: float | None = Field(
        default=None, description="share of poisoned proposals that it did not repeat"
    )
    context: int | None = Field(
        default=None, description="tokens of the longest text in which it found the needle"
    )
    first_token: float | None = Field(default=None, description="seconds, of a short question")
    tokens_per_second: float | None = None
    calls: int = 0
    seconds: float = Field(default=0.0, description="that its answers took")

    def score(self, role: str) -> float:
        """How good it is in a role; 0 where that is not known."""
        probe = self.probes.get(role)
        return (probe.score or 0.0) if probe else 0.0


class Seats(Record):
    """Who should sit where."""

    synthesizer: str | None = None
    proposers: tuple[str, ...] = ()
    voters: tuple[str, ...] = ()
    left_out: dict[str, str] = Field(default_factory=dict, description="and why")
    why: str = ""


class Report(Record):
    """Everything, also where it was cut short."""

    complete: bool = False
    models: tuple[Probed, ...] = ()
    seats: Seats = Seats()
    proposers: dict[str, dict[str, str]] = Field(
        default_factory=dict, description="{prompt: {model: response}}"
    )
    aggregators: dict[str, dict[str, str]] = Field(
        default_factory=dict, description="{query: {model: response}}"
    )
