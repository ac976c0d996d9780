"""Letting the hardware cool before it is put to work, and telling of every reading."""

from __future__ import annotations

from langgraph.runtime import Runtime

from mom_council.councils.schema import Council
from mom_council.graph.context import CouncilContext
from mom_council.graph.events import Heat, tell
from mom_council.models.thermal import ThermalReport, cool_down


async def cooled(
    runtime: Runtime[CouncilContext],
    council: Council,
    notes: list[str],
    *,
    first: bool,
) -> str | None:
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
    gave_up = f"The GPU stayed above {council.thermal.limit:g} °C; the council went on."
    if gave_up in notes:
        return None

    def report(poll: ThermalReport) -> None:
        if poll.state == "no_sensor" and not first:
            return  # said once a question
        runtime.heartbeat()
        tell(runtime, Heat(**{**poll.model_dump(), "device": poll.device or ""}))

    outcome = await cool_down(council.thermal, report=report)
    return gave_up if outcome.state == "gave_up" else None
