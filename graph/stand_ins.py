"""Who answered in whose place: the chain of models behind a seat, in words for the status."""

from __future__ import annotations

from collections.abc import Iterable

from mixture_of_models.councils.records import Segment


def stand_ins(segments: Iterable[Segment]) -> tuple[str, ...]:
    """One line for each seat that a fallback filled: which model did not answer, why, which did.

    The synthesizer's is left out: the node says that itself, since it is about the answer.
    """
    told: dict[tuple[str, str, str], str] = {}
    for segment in segments:
        failed = {one.model: one.error for one in segment.attempts if one.model != segment.model}
        if not failed or segment.attempts[-1].model != segment.model:
            continue
        if segment.node == "synthesizer":
            continue
        chain = "; ".join(f"{model!r} did not answer ({why})" for model, why in failed.items())
        key = (segment.name, segment.model, next(iter(failed)))
        told.setdefault(key, f"{segment.name}: the fallback {segment.model!r} answered; {chain}.")
    return tuple(told.values())
