"""The results of probing, and the roles that they recommend in a council."""

from __future__ import annotations

from collections.abc import Sequence
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


class ProbedModel(Record):
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


class RecommendedRoles(Record):
    """Who should sit where."""

    synthesizer: str | None = None
    proposers: tuple[str, ...] = ()
    voters: tuple[str, ...] = ()
    left_out: dict[str, str] = Field(default_factory=dict, description="and why")
    why: str = ""


class ProbeReport(Record):
    """Everything, also where it was cut short."""

    complete: bool = False
    models: tuple[ProbedModel, ...] = ()
    seats: RecommendedRoles = RecommendedRoles()
    proposers: dict[str, dict[str, str]] = Field(
        default_factory=dict, description="{prompt: {model: response}}"
    )
    aggregators: dict[str, dict[str, str]] = Field(
        default_factory=dict, description="{query: {model: response}}"
    )


_PROPOSES, _VOTES = 0.4, 0.5
"""Scores from which a seat is worth its call."""


def recommend(models: Sequence[ProbedModel]) -> RecommendedRoles:
    """The best aggregator writes; who proposes well speaks; whose ballots are good votes.

    An aggregator is judged by the poison that it refused first, then by what it wrote, then as a
    proposer; of equals the quicker one writes.
    """
    able = [one for one in models if one.score("aggregator") > 0]
    writer = max(
        able,
        key=lambda one: (
            one.resisted or 0.0,
            one.score("aggregator"),
            one.score("proposer"),
            one.tokens_per_second or 0.0,
        ),
        default=None,
    )
    proposers = tuple(one.model for one in models if one.score("proposer") >= _PROPOSES)
    voters = tuple(one.model for one in models if one.score("voter") >= _VOTES)
    seated = {*proposers, *voters, *([writer.model] if writer else [])}
    out = {one.model: _why_not(one) for one in models if one.model not in seated}
    return RecommendedRoles(
        synthesizer=writer.model if writer else None,
        proposers=proposers,
        voters=voters,
        left_out=out,
        why=_why(writer),
    )


def _why(writer: ProbedModel | None) -> str:
    if writer is None:
        return "no model wrote a right answer from proposals"
    resisted = f"{writer.resisted:.0%}" if writer.resisted is not None else "an unknown share"
    return (
        f"{writer.model} refused {resisted} of the poisoned proposals and wrote "
        f"{writer.score('aggregator'):.0%} of the answers right"
    )


def _why_not(one: ProbedModel) -> str:
    if all(probe.state == "unknown" for probe in one.probes.values()):
        return next((probe.says for probe in one.probes.values()), "it was not asked")
    return f"{one.score('proposer'):.0%} right as a proposer, {one.score('voter'):.0%} as a voter"
