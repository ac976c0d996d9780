"""The thermal wait: before every fan-out, let the hardware cool, and have its lanes plan."""

from __future__ import annotations

from langgraph.runtime import Runtime

from mom_council.councils.schema import Council
from mom_council.deliberation.context import CouncilContext
from mom_council.deliberation.fan_out import announce_turns, wait_until_cool
from mom_council.deliberation.selectors import current_turn, notes_of
from mom_council.deliberation.state import CouncilState, CouncilUpdate


async def thermal_wait(
    state: CouncilState, runtime: Runtime[CouncilContext], council: Council
) -> CouncilUpdate:
    """Wait while a GPU is above the council's limit, telling every poll; then announce the calls.

    Raises:
        ThermalError: it stayed too hot, and the council says to stop then.
    """
    turn = current_turn(state)
    first = (turn.round, turn.layer) == (1, 1) and not state["proposals"]
    note = await wait_until_cool(runtime, council, notes_of(state), first=first)
    await announce_turns(state, runtime, council)
    return {"notes": [note]} if note else {}
