"""Going on with a run that was killed, interrupted, or had no quorum."""

from __future__ import annotations

import time
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Overwrite, StateSnapshot

from mom_council.deliberation.context import CouncilContext
from mom_council.errors import StorageError


async def resume(
    graph: CompiledStateGraph[Any, Any, Any, Any],
    config: RunnableConfig,
    *,
    context: CouncilContext | None = None,
) -> dict[str, Any]:
    """Finish the thread's open question; calls that had finished are not made again.

    Args:
        graph: the council, compiled with the thread's checkpointer.
        config: holds `configurable.thread_id`.
        context: the settings of this run.

    Returns:
        The output of the run: `messages` and `status`.

    Raises:
        StorageError: there is no such thread, or nothing in it is open.
    """
    config = await ready(graph, config)
    result: dict[str, Any] = await graph.ainvoke(
        None,
        config,
        context=awake(context),
        # Otherwise what a step's nodes say may be kept before the step itself is.
        durability="sync" if graph.checkpointer else None,
    )
    return result


def awake(context: CouncilContext | None) -> CouncilContext:
    """The settings of a resumed run: the time that the thread slept is not charged to it."""
    return (context or CouncilContext()).model_copy(update={"resumed_at": time.time()})


def is_open(snapshot: StateSnapshot) -> bool:
    """Whether a thread's question is still to be finished.

    `snapshot.next` leaves out the steps whose results are written already, so it is empty for a
    thread that was killed after the last of them had finished and before that was put together.
    """
    return bool(snapshot.tasks)


async def ready(
    graph: CompiledStateGraph[Any, Any, Any, Any], config: RunnableConfig
) -> RunnableConfig:
    """Make a thread ready to go on from None; returns the configuration to go on with.

    After a missed quorum, those who were absent are asked again: otherwise the quorum would be
    missed again without a single call. Proposals that were made are kept. The round begins anew at
    its first layer, which may be the one that failed.

    Raises:
        StorageError: there is no such thread, or nothing in it is open.
    """
    thread = config.get("configurable", {}).get("thread_id")
    snapshot = await graph.aget_state(config)
    if not snapshot.values:
        raise StorageError(f"there is no thread {thread!r}", cure="`mom threads list` shows them")
    if not is_open(snapshot):
        raise StorageError(f"thread {thread!r} is answered: nothing in it is open")
    if any(task.name == "quorum" and task.error for task in snapshot.tasks):
        turn = snapshot.values["seating"].model_copy(update={"layer": 0})
        return await graph.aupdate_state(
            snapshot.config,
            {"absences": Overwrite([]), "seating": turn},
            as_node="annotator",
        )
    return config
