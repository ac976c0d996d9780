"""Before a fan-out: tell the lanes which calls are about to come, and the reader what they plan."""

from __future__ import annotations

from collections.abc import Iterable

from langchain_core.callbacks import adispatch_custom_event
from langgraph.runtime import Runtime

from mom_council.councils.schema import UNASKED, Council
from mom_council.graph.context import CouncilContext
from mom_council.graph.events import Planned, tell
from mom_council.graph.state import CouncilState
from mom_council.graph.table import pending, seating, unvoted
from mom_council.models.turns import announce


async def announce_turns(
    state: CouncilState, runtime: Runtime[CouncilContext], council: Council
) -> None:
    """Announce the calls of the fan-out that comes next, and tell the order they will take."""
    if all(model.lane is None for model in council.models.values()):
        return
    speakers = pending(state)
    names = speakers or unvoted(state, council)
    models = [council.character(name).model for name in names]
    for order in await announce(council, models, _ahead(state, council, voting=not speakers)):
        planned = Planned(
            lane=order.lane,
            round=seating(state).round,
            models=order.models,
            calls=order.calls,
            loaded=order.loaded,
            loads=order.loads,
            unplanned=order.unplanned,
        )
        tell(runtime, planned)
        await _trace(planned)


def _ahead(state: CouncilState, council: Council, *, voting: bool) -> list[set[str]]:
    """The models of the fan-outs that are sure to follow, the synthesizer's last."""

    def of(names: Iterable[str]) -> set[str]:
        return {council.character(name).model for name in names}

    turn, rules = seating(state), council.deliberation
    layers = [of(layer) for layer in council.seats]
    votes = [] if rules.method in UNASKED else [of(c.name for c in council.characters if c.votes)]
    this_round = [] if voting else [*layers[turn.layer :], *votes]
    further = max(0, rules.rounds.min - turn.round)
    return [*this_round, *[*layers, *votes] * further, {council.synthesizer.model}]


async def _trace(planned: Planned) -> None:
    """Write the plan into the trace, where there is one."""
    turns = ", ".join(f"{m} x {n}" for m, n in zip(planned.models, planned.calls, strict=True))
    line = f"lane {planned.lane}: {turns}; {planned.loads} loads instead of {planned.unplanned}"
    try:
        await adispatch_custom_event("plan", line)
    except RuntimeError:
        return  # nobody listens
