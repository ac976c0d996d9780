"""The thermal wait: before every fan-out, the hardware cools and the lanes plan."""

from __future__ import annotations

from langgraph.runtime import Runtime

from mom_council.councils.schema import Council
from mom_council.deliberation.context import CouncilContext
from mom_council.deliberation.fan_out import announce_turns, wait_until_cool
from mom_council.deliberation.state import CouncilState, CouncilUpdate
from mom_council.errors import ThermalError
from mom_council.records import Note


async def thermal_wait(
    state: CouncilState, runtime: Runtime[CouncilContext], council: Council
) -> CouncilUpdate:
    """Wait while a GPU is above the council's limit, telling every poll; then announce the calls.

    Where it stays too hot and the council says to stop then, the question waits for a choice: to
    wait again, to go on, or to give up.

    Raises:
        ThermalError: it stayed too hot; nothing is kept.
    """
    try:
        note = await wait_until_cool(state, runtime, council)
    except ThermalError as error:
        from mom_council.deliberation.interrupts import pause

        choice = await pause(error, ("ask_again", "go_on"), reruns=True)
        if choice == "ask_again":
            return await thermal_wait(state, runtime, council)
        note = Note(text=f"{error.what}; it was chosen to go on.", kind="stayed_hot")
    await announce_turns(state, runtime, council)
    if note:
        return {"notes": [note]}
    return {"step": "cool enough" if council.thermal else "no limit of temperature"}
