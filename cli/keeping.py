"""What is kept of a thread's open question, and how to go on with it."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from mom_council.cli.inert import one_line

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig
    from langgraph.graph.state import CompiledStateGraph

    Graph = CompiledStateGraph[Any, Any, Any, Any]


def going_on(command: str, thread: str, db: str | None) -> str:
    """The command line that goes on with a thread."""
    words = ["mom", *command.split(), thread]
    if db and "@" not in db:  # a URL may hold a password
        words += ["--db", db]
    return shlex.join(words)


async def kept(graph: Graph, config: RunnableConfig) -> str | None:
    """What there is of the open question; None where nothing is open."""
    from mom_council.graph.resume import is_open

    snapshot = await graph.aget_state(config)
    if not is_open(snapshot):
        return None
    spoken = len(snapshot.values.get("proposals", []))
    if not spoken:
        return "the question is kept"
    return f"the question and {spoken} answer{'s' * (spoken != 1)} are kept"


async def open_question(graph: Graph, config: RunnableConfig) -> str | None:
    """The beginning of the thread's open question; None where nothing is open."""
    from mom_council.graph.resume import is_open

    snapshot = await graph.aget_state(config)
    if not is_open(snapshot):
        return None
    messages = snapshot.values.get("messages", [])
    return one_line(messages[-1].text, 60) if messages else ""
