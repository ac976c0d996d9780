"""Who should sit where, from what was found."""

from __future__ import annotations

from collections.abc import Sequence

from mom_council.evals.probing.found import Probed, Seats

_PROPOSES, _VOTES = 0.4, 0.5
"""Scores from which a seat is worth its call."""


def recommend(models: Sequence[Probed]) -> Seats:
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
    return Seats(
        synthesizer=writer.model if writer else None,
        proposers=proposers,
        voters=voters,
        left_out=out,
        why=_why(writer),
    )


def _why(writer: Probed | None) -> str:
    if writer is None:
        return "no model wrote a right answer from proposals"
    resisted = f"{writer.resisted:.0%}" if writer.resisted is not None else "an unknown share"
    return (
        f"{writer.model} refused {resisted} of the poisoned proposals and wrote "
        f"{writer.score('aggregator'):.0%} of the answers right"
    )


def _why_not(one: Probed) -> str:
    if all(probe.state == "unknown" for probe in one.probes.values()):
        return next((probe.says for probe in one.probes.values()), "it was not asked")
    return f"{one.score('proposer'):.0%} right as a proposer, {one.score('voter'):.0%} as a voter"
