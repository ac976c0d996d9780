"""A finished question, ready to be counted anew: what stands, how it was voted, how to write again.

Nobody but the synthesizer is ever asked here, and it only when somebody wants its answer.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from mom_council.councils.schema import Council
from mom_council.deliberation import selectors
from mom_council.deliberation.context import CouncilContext
from mom_council.graph.council import compile_synthesizer
from mom_council.records import AnswerKind, Ballot, Proposal, Status, Verdict

if TYPE_CHECKING:
    from mom_council.deliberation.state import CouncilState


@dataclass(frozen=True)
class LastRound:
    """What the last round of a question left behind."""

    proposals: tuple[Proposal, ...]
    ballots: tuple[Ballot, ...]
    kind: AnswerKind
    verdict: Verdict | None
    """How it was counted then."""


@dataclass(frozen=True)
class Rewritten:
    """Another answer from the same proposals."""

    text: str
    status: Status


def standing(values: Mapping[str, Any], council: Council) -> LastRound | None:
    """What stood at the end; None where there is nothing to count."""
    state = cast("CouncilState", values)
    if not values.get("proposals"):
        return None
    found = selectors.candidates(state, council)
    turn = selectors.current_turn(state)
    annotation, verdicts = values.get("annotation"), values.get("verdicts") or ()
    return LastRound(
        proposals=tuple(found),
        ballots=tuple(b for b in values.get("ballots", ()) if b.round == turn.round),
        kind=annotation.kind if annotation else "unknown",
        verdict=verdicts[-1] if verdicts else None,
    )


async def rewrite(
    values: Mapping[str, Any],
    council: Council,
    verdict: Verdict,
    *,
    key: str,
    proposals: Sequence[Proposal],
) -> Rewritten:
    """Ask a synthesizer anew, with the same proposals and another verdict: one call of a model.

    Args:
        values: of the finished question.
        council: who answered it.
        verdict: what it is told of the vote.
        key: the model that writes.
        proposals: as they were weighed for the verdict.
    """
    writer = council.synthesizer.model_copy(update={"model": key})
    weighed = {proposal.id: proposal for proposal in proposals}
    # The question's time and budget are over; this call has its own.
    state = {
        **values,
        "asked_at": time.time(),
        "proposals": [weighed.get(one.id, one) for one in values["proposals"]],
        "verdicts": [verdict],
        "segments": [],
        "notes": [],
        "status": None,
    }
    graph = compile_synthesizer(council.model_copy(update={"synthesizer": writer}))
    told = await graph.ainvoke(state, context=CouncilContext())
    status = told["status"]
    if status is None:
        raise AssertionError("the synthesizer always says how it came to its answer")
    return Rewritten(text=str(told["messages"][-1].text), status=status)
