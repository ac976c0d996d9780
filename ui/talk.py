"""A conversation as the page shows it: its turns, and how far the last one has got."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessage, AnyMessage, BaseMessage, HumanMessage, RemoveMessage

from mom_council.councils.schema import Council
from mom_council.graph.council import compile_council
from mom_council.runs.follow import RunView
from mom_council.runs.resume import is_open
from mom_council.ui.views import view_of

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig
    from langgraph.checkpoint.base import BaseCheckpointSaver


@dataclass(frozen=True)
class Turn:
    """A question, and its answer where there is one."""

    question: HumanMessage
    answer: AIMessage | None = None


@dataclass(frozen=True)
class Talk:
    """A thread as it is kept."""

    thread: str
    turns: tuple[Turn, ...] = ()
    view: RunView = field(default_factory=RunView)
    """Of the last turn."""
    is_open: bool = False
    """Whether the last question was begun and not finished."""


async def read_talk(saver: BaseCheckpointSaver[Any], thread: str, council: Council) -> Talk:
    """Read a thread; an empty talk where there is none of that name.

    Raises:
        StorageError: it cannot be read.
    """
    graph = compile_council(council, saver)
    snapshot = await graph.aget_state(_config(thread))
    turns = turns_of(snapshot.values.get("messages", []))
    view = view_of(snapshot.values, council)
    return Talk(thread, turns, view, is_open=is_open(snapshot))


async def branch_talk(
    saver: BaseCheckpointSaver[Any], thread: str, council: Council, messages: Sequence[AnyMessage]
) -> None:
    """Begin a thread with what was said in another.

    Raises:
        StorageError: it cannot be written.
    """
    graph = compile_council(council, saver)
    await graph.aupdate_state(_config(thread), {"messages": list(messages)}, as_node="synthesizer")


def turns_of(messages: Sequence[AnyMessage]) -> tuple[Turn, ...]:
    """The turns of a conversation."""
    turns: list[Turn] = []
    for message in messages:
        if isinstance(message, HumanMessage):
            turns.append(Turn(message))
        elif isinstance(message, AIMessage) and turns and message.text:
            turns[-1] = Turn(turns[-1].question, message)
    return tuple(turns)


def said_before(turns: Sequence[Turn], place: int) -> list[AnyMessage]:
    """The messages of the turns before one."""
    said: list[AnyMessage] = []
    for turn in turns[:place]:
        said.append(turn.question)
        if turn.answer is not None:
            said.append(turn.answer)
    return said


def asked_again(turn: Turn) -> list[BaseMessage]:
    """What puts a last question once more, in the place of its answer."""
    old = [m.id for m in (turn.question, turn.answer) if m is not None and m.id]
    return [*(RemoveMessage(id=one) for one in old), HumanMessage(turn.question.content)]


def _config(thread: str) -> RunnableConfig:
    return {"configurable": {"thread_id": thread}}
