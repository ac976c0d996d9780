"""What the segments of a question say that its status should: fallbacks, and unknown prices."""

from __future__ import annotations

from collections.abc import Iterable

from mom_council.councils.records import Segment
from mom_council.councils.schema import Council


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


def unpriced(segments: Iterable[Segment], council: Council) -> tuple[str, ...]:
    """One line where a sum of dollars stands for only some of the models, or is to bound them."""
    answered = [one for one in segments if one.usage.calls and one.attempts and not one.cached]
    unknown = dict.fromkeys(
        one.model for one in answered if one.usage.usd is None and one.attempts[-1].error is None
    )
    known = any(one.usage.usd is not None for one in answered)
    if not unknown or not (known or council.budget.usd is not None):
        return ()
    names = ", ".join(map(repr, unknown))
    return (f"No price is known for {names}: the dollars are counted without.",)
