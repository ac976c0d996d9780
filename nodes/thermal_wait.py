"""The thermal wait: before every fan-out, let the hardware cool, and have its lanes plan."""

from __future__ import annotations

from langgraph.runtime import Runtime

from mixture_of_models.councils.schema import Council
from mixture_of_models.graph.context import CouncilContext
from mixture_of_models.graph.events import Heat, tell
from mixture_of_models.graph.state import CouncilState, CouncilUpdate
from mixture_of_models.graph.table import seating
from mixture_of_models.graph.turns import announce_turns
from mixture_of_models.models.thermal import ThermalReport, cool_down


async def thermal_wait(
    state: CouncilState, runtime: Runtime[CouncilContext], council: Council
) -> CouncilUpdate:
    """Wait while a GPU is above the council's limit, telling every poll; then announce the calls.

    Raises:
        ThermalError: it stayed too hot, and the council says to stop then.
    """
    update = await _cool(state, runtime, council)
    await announce_turns(state, runtime, council)
    return update


async def _cool(
    state: CouncilState, runtime: Runtime[CouncilContext], council: Council
) -> CouncilUpdate:
    gave_up = (
        f"The GPU stayed above {council.thermal.limit:g} °C; the council went on."
        if council.thermal
        else ""
    )
    if council.thermal is None or gave_up in state["notes"]:
        return {}  # having waited in vain once, a question does not wait again at every fan-out
    turn = seating(state)
    first = (turn.round, turn.layer) == (1, 1) and not state["proposals"]

    def report(poll: ThermalReport) -> None:
        if poll.state == "no_sensor" and not first:
            return  # said once a question
        runtime.heartbeat()
        tell(runtime, Heat(**{**poll.model_dump(), "device": poll.device or ""}))

    outcome = await cool_down(council.thermal, report=report)
    if outcome.state == "gave_up":
        return {"notes": [gave_up]}
    return {}
