"""The consensus: code counts the round, and says whether it is the last."""

from __future__ import annotations

import functools

from langgraph.runtime import Runtime

from mixture_of_models.councils.schema import Council
from mixture_of_models.councils.voting.counting import count
from mixture_of_models.councils.voting.stopping import explain, why_stop
from mixture_of_models.graph import table
from mixture_of_models.graph.context import UNASKED, CouncilContext, context_of
from mixture_of_models.graph.events import Counted, tell
from mixture_of_models.graph.state import CouncilState, CouncilUpdate


async def consensus(
    state: CouncilState, runtime: Runtime[CouncilContext], council: Council
) -> CouncilUpdate:
    """Count the round and decide whether another one can gain anything.

    Where nobody was asked for a ballot (the answers were equal, two proposers have no choice, the
    budget was spent), equal answers are counted instead.
    """
    turn = table.seating(state)
    standing = table.candidates(state, council)
    ballots = [b for b in state["ballots"] if b.round == turn.round]
    method = council.deliberation.method
    if method not in UNASKED and not _asked(state, turn.round):
        method = "answers"
    kind = state["annotation"].kind
    out = {
        a.character: council.character(a.character).weight
        for a in state["absences"]
        if (a.stage, a.round, a.reason) == ("vote", turn.round, "late")
    }
    if _silent(state, turn.round):
        verdict = state["verdicts"][-1]  # nobody spoke, so what was voted before still holds
    else:
        threshold = council.deliberation.threshold
        verdict = count(standing, ballots, method=method, kind=kind, out=out, threshold=threshold)
    verdict = verdict.model_copy(update={"round": turn.round, "stop_reason": None})
    why = functools.partial(
        why_stop,
        (*state["verdicts"], verdict),
        council.deliberation,
        proposals=standing,
        previous=table.latest(state, council, before=turn.round),
        kind=kind,
        out=len(out),
    )
    stop = why()
    if stop not in _SETTLED:
        stop = why(budget_spent=_spent(state, runtime, council))
    if stop is None and table.first_layer(state, council, turn.round + 1) is None:
        stop = "stalled"  # nobody is left whose model could be asked again
    verdict = verdict.model_copy(update={"stop_reason": stop})
    tell(runtime, Counted(verdict=verdict, why=explain(verdict, council.deliberation)))
    return {"verdicts": [verdict]}


_SETTLED = ("single", "unvoted", "decided", "agreed")
"""Reasons to stop that hold, whatever is left of the budget."""


def _silent(state: CouncilState, round_: int) -> bool:
    """Whether nobody spoke in a round, and an earlier one was counted."""
    return bool(state["verdicts"]) and all(p.round != round_ for p in state["proposals"])


def _asked(state: CouncilState, round_: int) -> bool:
    """Whether anybody was asked for a ballot this round."""
    votes = [b.round for b in state["ballots"]]
    misses = [a.round for a in state["absences"] if a.stage == "vote" and a.reason != "budget"]
    return round_ in (*votes, *misses)


def _spent(state: CouncilState, runtime: Runtime[CouncilContext], council: Council) -> bool:
    """Whether another round would cost more than the question may."""
    left = table.remaining_seconds(state, council, context_of(runtime))
    return left == 0 or table.overspent(state, council, more_calls=1) is not None
