"""Letting the hardware cool before it is put to work, and telling of every reading.

Before a fan-out: tell the lanes which calls are about to come, and the reader what they plan.
"""

from __future__ import annotations

from collections.abc import Iterable

from langchain_core.callbacks import adispatch_custom_event
from langgraph.runtime import Runtime

from mom_council.councils.schema import Council
from mom_council.deliberation.context import CouncilContext
from mom_council.deliberation.events import Heat, Planned, emit
from mom_council.deliberation.selectors import current_turn, pending_speakers, pending_voters
from mom_council.deliberation.state import CouncilState
from mom_council.models.clients import loop_resources
from mom_council.models.lanes import announce_calls
from mom_council.models.resolved import resolve_model
from mom_council.models.thermal import ThermalReport, cool_down
from mom_council.records import Note


async def wait_until_cool(
    runtime: Runtime[CouncilContext],
    council: Council,
    notes: Iterable[Note],
    *,
    first: bool,
) -> Note | None:
    """Wait while a GPU is above the council's limit; what there is to note, when it was in vain.

    Args:
        runtime: the run.
        council: its rules.
        notes: what is noted already; having waited in vain once, a question does not wait again.
        first: whether it is the question's first wait, which says so where there is no sensor.

    Raises:
        ThermalError: it stayed too hot, and the council says to stop then.
    """
    if council.thermal is None:
        return None
    if any(note.kind == "stayed_hot" for note in notes):
        return None

    def report(poll: ThermalReport) -> None:
        if poll.state == "no_sensor" and not first:
            return  # said once a question
        runtime.heartbeat()
        emit(runtime, Heat(**{**poll.model_dump(), "device": poll.device or ""}))

    outcome = await cool_down(council.thermal, report=report)
    if outcome.state != "gave_up":
        return None
    text = f"The GPU stayed above {council.thermal.limit:g} °C; the council went on."
    return Note(kind="stayed_hot", text=text)


async def announce_turns(
    state: CouncilState, runtime: Runtime[CouncilContext], council: Council
) -> None:
    """Announce the calls of the fan-out that comes next, and tell the order they will take."""
    if all(model.lane is None for model in council.models.values()):
        return
    speakers = pending_speakers(state)
    names = speakers or pending_voters(state, council)
    calls = [resolve_model(council, council.character(name).model) for name in names]
    ahead = [
        [resolve_model(council, key) for key in keys]
        for keys in _ahead(state, council, voting=not speakers)
    ]
    for order in await announce_calls((await loop_resources()).lanes, calls, ahead):
        planned = Planned(
            lane=order.lane,
            round=current_turn(state).round,
            models=order.models,
            calls=order.calls,
            loaded=order.loaded,
            loads=order.loads,
            unplanned=order.unplanned,
        )
        emit(runtime, planned)
        await _trace(planned)


def _ahead(state: CouncilState, council: Council, *, voting: bool) -> list[set[str]]:
    """The models of the fan-outs that are sure to follow, the synthesizer's last."""

    def of(names: Iterable[str]) -> set[str]:
        return {council.character(name).model for name in names}

    turn, rules = current_turn(state), council.deliberation
    layers = [of(layer) for layer in council.seats]
    voters = of(who.name for who in council.characters if who.votes)
    votes = [voters] if rules.asks_voters else []
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
