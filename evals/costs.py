"""What an answer cost: calls, tokens, dollars, and the critical path.

A replayed call costs nothing, but the call that was recorded did: where a council is replayed,
its characters are charged what the recording says. Votes and syntheses were not recorded, and
stay free; a report says so.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable

from mom_council.councils.recording import Answer, load_recording
from mom_council.councils.schema import Council, Model
from mom_council.evals.cases import Case
from mom_council.records import Segment, Usage


def charged(segment: Segment, council: Council, case: Case) -> Usage:
    """What a speaking cost; of a replayed character, what it cost when it was recorded."""
    spec = council.models.get(segment.model)
    if spec is None or spec.provider != "replay" or segment.node != "character":
        return segment.usage
    return recorded(segment.usage, spec, case)


def recorded(usage: Usage, spec: Model, case: Case) -> Usage:
    """The usage of a replayed call with the price and the time of the recorded one."""
    answer = _answers(str(spec.params.get("recording", ""))).get(
        (case.question.strip(), case.options)
    )
    told = answer.get(spec.model) if answer else None
    if told is None:
        return usage
    seconds = usage.seconds if told.seconds is None else told.seconds
    usd = usage.usd if told.usd is None else told.usd
    return usage.model_copy(update={"usd": usd, "seconds": seconds})


def critical_path(spoken: Iterable[tuple[Segment, Usage]], *, in_turn: bool = False) -> float:
    """Seconds: those who speak together take as long as the slowest of them.

    Args:
        spoken: every speaking with its usage.
        in_turn: characters speak one after the other, and each takes its time.
    """
    slowest: dict[tuple[str, str, int, int], float] = {}
    for segment, usage in spoken:
        alone = segment.name if in_turn and segment.node == "character" else ""
        step = (segment.node, alone, segment.round, segment.layer)
        slowest[step] = max(slowest.get(step, 0.0), usage.seconds)
    return sum(slowest.values())


@functools.lru_cache(maxsize=4)
def _answers(path: str) -> dict[tuple[str, tuple[str, ...] | None], dict[str, Answer]]:
    return {(one.question.strip(), one.options): one.models for one in load_recording(path)}
