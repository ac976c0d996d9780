"""The painter: pictures, where a council has one."""

from __future__ import annotations

import time

from langchain_core.messages import AIMessage
from langgraph.runtime import Runtime

from mixture_of_models.councils.records import Status
from mixture_of_models.councils.schema import Council
from mixture_of_models.graph.context import CouncilContext
from mixture_of_models.graph.events import Answered, tell
from mixture_of_models.graph.state import CouncilState, CouncilUpdate
from mixture_of_models.graph.table import spent


async def painter(
    state: CouncilState, runtime: Runtime[CouncilContext], council: Council
) -> CouncilUpdate:
    """Say honestly that no picture can be drawn, and what can be done instead."""
    if council.painter is None:
        text = (
            f"The council {council.name!r} has no painter configured, so it cannot draw a picture."
        )
    else:
        text = "Drawing is not part of this version yet; the council's painter was not asked."
    text += " Begin the message with /text to have it answered in words."
    status = Status(
        council=council.name,
        route="image",
        degraded=True,
        notes=(text,),
        usage=spent(state),
        seconds=time.time() - state["asked_at"],
    )
    tell(runtime, Answered(text=text, status=status))
    return {"messages": [AIMessage(content=text)], "status": status}
