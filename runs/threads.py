"""Threads as people see them: list them, show one, delete them.

Works on whatever `open_checkpointer` opens, without a graph: a thread can be read whose council is
gone. Listing costs two small reads a thread, however long the threads are.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal, cast

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, convert_to_messages
from langgraph.channels.delta import DeltaChannel
from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple
from langgraph.checkpoint.serde.types import ERROR, INTERRUPT
from langgraph.graph import START, StateGraph
from pydantic import Field

from mom_council.deliberation.interrupts import is_pause
from mom_council.deliberation.state import CouncilState
from mom_council.errors import UNREADABLE, DamagedValueError, StorageError, ThreadBusyError
from mom_council.models.images import delete_pictures
from mom_council.records import Record, Status
from mom_council.runs.leases import ThreadLease
from mom_council.seams.langgraph import messages_delta_reducer, read_outline
from mom_council.seams.stores import ThreadOutline, time_of

ThreadState = Literal["answered", "interrupted", "failed", "damaged"]
"""answered: its last run came to its end; interrupted: it stopped on the way and can be resumed;
failed: a node raised, and it can be resumed too; damaged: what is stored of it cannot be read."""

LONGEST_NAME = 128
_LONGEST_TITLE = 72
_ALL = 2**31 - 1


class ThreadSummary(Record):
    """One line of the list of threads."""

    id: str
    title: str = Field(description="the first question, shortened to one line")
    turns: int = Field(description="questions that were asked")
    updated: datetime = Field(description="the newest checkpoint's time, UTC")
    state: ThreadState
    council: str = Field(default="", description="empty where nothing says it")


class ThreadView(Record):
    """A thread and what was said in it."""

    summary: ThreadSummary
    messages: tuple[AnyMessage, ...] = ()
    status: Status | None = Field(default=None, description="of the last answer")


def valid_thread(name: str) -> str:
    """The name, where it can name a thread.

    Raises:
        StorageError: it is empty, longer than 128 characters, or holds control characters.
    """
    if not name.strip():
        raise StorageError("a thread needs a name of 1 to 128 characters; this one is empty")
    if len(name) > LONGEST_NAME:
        raise StorageError(
            f"a thread's name has at most {LONGEST_NAME} characters; {name[:20] + '...'!r} has "
            f"{len(name)}"
        )
    # Cc: control characters, Cs: halves of a pair, which no database takes.
    if odd := [sign for sign in name if unicodedata.category(sign) in ("Cc", "Cs")]:
        raise StorageError(
            f"a thread's name is one line of text; {name!r} holds {odd[0]!r}: leave it out"
        )
    return name


async def list_threads(
    saver: BaseCheckpointSaver[Any], limit: int | None = None
) -> list[ThreadSummary]:
    """The threads, newest first; None for a limit is all of them.

    Raises:
        StorageError: they cannot be read.
    """
    most = _ALL if limit is None else limit
    if hasattr(saver, "thread_outlines"):
        outlines = [one async for one in saver.thread_outlines(most)]
        return [await _outlined(saver, one) for one in outlines]
    rows = await _rows(saver, most)
    items = [await _summary(saver, *row) for row in rows]
    return [summary for summary in items if summary is not None]


async def show_thread(saver: BaseCheckpointSaver[Any], thread_id: str) -> ThreadView | None:
    """A thread with its conversation; None where there is none of that name.

    Raises:
        StorageError: the name cannot be one, or the thread cannot be read.
    """
    latest = await saver.aget_tuple(_config(valid_thread(thread_id)))
    if latest is None:
        return None
    turns, first = await _beginning(saver, thread_id)
    status = latest.checkpoint["channel_values"].get("status")
    return ThreadView(
        summary=_summed(thread_id, turns, first or latest, latest),
        messages=tuple(await _messages(saver, latest)),
        status=status if isinstance(status, Status) else None,
    )


async def read_values(
    saver: BaseCheckpointSaver[Any], thread_id: str, answer: str = ""
) -> dict[str, Any]:
    """The whole state of a thread as a question left it, whichever council answered.

    Args:
        saver: where the thread is kept.
        thread_id: its name.
        answer: the id of the answer's message; empty: whatever was asked last.

    Returns:
        The values; empty where there is no such thread, or no question ended with that answer.

    Raises:
        StorageError: it cannot be read.
    """
    graph: StateGraph[CouncilState, None, CouncilState, CouncilState] = StateGraph(CouncilState)
    graph.add_node("read", lambda _: {})  # a graph has a node; this one is never run
    graph.add_edge(START, "read")
    reader = graph.compile(checkpointer=saver)
    values: dict[str, Any] = (await reader.aget_state(_config(thread_id))).values
    if not answer or _ended_with(values, answer):
        return values
    # Every later question began where the one before it had ended.
    inputs = saver.alist(_config(thread_id), filter={"source": "input"})
    for end in [one.parent_config async for one in inputs if one.parent_config]:
        values = (await reader.aget_state(end)).values
        if _ended_with(values, answer):
            return values
    return {}


def _ended_with(values: Mapping[str, Any], answer: str) -> bool:
    messages = values.get("messages") or []
    return bool(messages) and messages[-1].id == answer


async def delete_thread(
    saver: BaseCheckpointSaver[Any], thread_id: str, *, unless_used_since: datetime | None = None
) -> bool:
    """Forget a thread for good, with its pictures and the page's copy; False where there is none.

    Args:
        saver: where it is kept.
        thread_id: its name.
        unless_used_since: it is kept where its newest checkpoint is younger than that.

    Raises:
        ThreadBusyError: somebody is answering in it, or has used it since.
        StorageError: the name cannot be one, or the thread cannot be deleted.
    """
    config = _config(valid_thread(thread_id))
    try:
        if await saver.aget_tuple(config) is None:
            return False
    except DamagedValueError:
        pass  # it can be forgotten all the same
    async with ThreadLease(saver, thread_id, wait=0):
        with contextlib.suppress(DamagedValueError):
            latest = await saver.aget_tuple(config)
            if latest is None:
                return False
            used = time_of(latest.config["configurable"]["checkpoint_id"])
            if unless_used_since is not None and used > unless_used_since:
                raise ThreadBusyError(f"thread {thread_id!r} was used meanwhile")
            for message in await _messages(saver, latest):
                if isinstance(message, AIMessage):
                    await asyncio.to_thread(delete_pictures, message.content)
        await saver.adelete_thread(thread_id)
        await asyncio.to_thread(_forget_on_page, thread_id)
    return True


async def delete_all_threads(saver: BaseCheckpointSaver[Any]) -> tuple[int, list[str]]:
    """Forget every thread for good; how many, and the names of those that are answering now.

    Raises:
        StorageError: they cannot be deleted.
    """
    deleted, busy = 0, []
    for one in await list_threads(saver):
        try:
            deleted += await delete_thread(saver, one.id)
        except ThreadBusyError:
            busy.append(one.id)
    return deleted, busy


def _forget_on_page(thread_id: str) -> None:
    """Delete what the page keeps of a thread: its title, its text for searches, its thumbs."""
    from mom_council.runs.page_store import PageStore

    PageStore().forget(thread_id)


async def _rows(saver: Any, limit: int) -> Sequence[tuple[str, int, str, str]]:
    """Of each thread: name, turns, first question's checkpoint, newest checkpoint; newest first."""
    if hasattr(saver, "thread_rows"):
        rows: Sequence[tuple[str, int, str, str]] = await saver.thread_rows(limit)
        return rows
    seen: dict[str, list[CheckpointTuple]] = {}
    async for item in saver.alist(None):
        keys = item.config["configurable"]
        if not keys.get("checkpoint_ns"):
            seen.setdefault(keys["thread_id"], []).append(item)
    rows = []
    for thread, checkpoints in seen.items():
        inputs = [c for c in checkpoints if (c.metadata or {}).get("source") == "input"]
        ends = (inputs or checkpoints)[-1], checkpoints[0]
        first, latest = (c.config["configurable"]["checkpoint_id"] for c in ends)
        rows.append((thread, len(inputs), first, latest))
    return sorted(rows, key=lambda row: row[3], reverse=True)[:limit]


async def _beginning(
    saver: BaseCheckpointSaver[Any], thread: str
) -> tuple[int, CheckpointTuple | None]:
    """How many questions a thread has, and the checkpoint of the first."""
    if hasattr(saver, "thread_outlines"):
        rows = await saver.thread_rows(1, thread)  # type: ignore[attr-defined]
        if not rows:
            return 0, None
        _, turns, first, _ = rows[0]
        return turns, await saver.aget_tuple(_config(thread, first))
    inputs = [item async for item in saver.alist(_config(thread), filter={"source": "input"})]
    return len(inputs), inputs[-1] if inputs else None


async def _outlined(saver: BaseCheckpointSaver[Any], outline: ThreadOutline) -> ThreadSummary:
    """The line of a thread from its outline."""
    try:
        return await _line_of(saver, outline)
    except (DamagedValueError, *UNREADABLE):
        return _damaged_line(outline.thread, outline.turns, outline.latest_id)


async def _line_of(saver: BaseCheckpointSaver[Any], outline: ThreadOutline) -> ThreadSummary:
    latest = read_outline(*outline.latest)
    metadata = json.loads(outline.metadata)
    state = _state_of(latest)
    if outline.is_stopped and (newest := await saver.aget_tuple(_config(outline.thread))):
        state = _state(newest)
    status = latest["channel_values"].get("status")
    council = status.get("council") if isinstance(status, dict) else None
    start = read_outline(*outline.first)["channel_values"].get("__start__")
    messages = start.get("messages") if isinstance(start, dict) else None
    if not isinstance(messages, list) or not all(isinstance(one, dict) for one in messages):
        start = saver.serde.loads_typed(outline.first)["channel_values"].get("__start__")
    return ThreadSummary(
        id=outline.thread,
        title=_title(_messages_of(start)),
        turns=outline.turns,
        updated=datetime.fromisoformat(latest["ts"]).astimezone(UTC),
        state=state,
        council=council or metadata.get("council") or "",
    )


async def _summary(
    saver: BaseCheckpointSaver[Any], thread: str, turns: int, first: str, latest: str
) -> ThreadSummary | None:
    try:
        opening = await saver.aget_tuple(_config(thread, first))
        newest = await saver.aget_tuple(_config(thread, latest))
        if opening is None or newest is None:  # deleted while we read
            return None
        return _summed(thread, turns, opening, newest)
    except (DamagedValueError, *UNREADABLE):
        return _damaged_line(thread, turns, latest)


def _damaged_line(thread: str, turns: int, latest: str) -> ThreadSummary:
    return ThreadSummary(id=thread, title="", turns=turns, updated=time_of(latest), state="damaged")


def _summed(
    thread: str, turns: int, first: CheckpointTuple, latest: CheckpointTuple
) -> ThreadSummary:
    values = latest.checkpoint["channel_values"]
    status = values.get("status")
    name = dict(latest.metadata or {}).get("council")
    return ThreadSummary(
        id=thread,
        title=_title(_start(first)),
        turns=turns,
        updated=datetime.fromisoformat(latest.checkpoint["ts"]).astimezone(UTC),
        state=_state(latest),
        council=status.council if isinstance(status, Status) else name or "",
    )


def _state(latest: CheckpointTuple) -> ThreadState:
    for _, channel, value in latest.pending_writes or ():
        if channel == ERROR or (channel == INTERRUPT and any(is_pause(one.value) for one in value)):
            return "failed"
    return _state_of(latest.checkpoint)


def _state_of(checkpoint: Mapping[str, Any]) -> ThreadState:
    # What is still to run is announced by its channel; a run at its end has announced nothing.
    waiting = ("branch:to:", "__start__", "__pregel_tasks")
    if any(name.startswith(waiting) for name in checkpoint["channel_values"]):
        return "interrupted"
    return "answered"


def _start(checkpoint: CheckpointTuple) -> list[AnyMessage]:
    """The messages that a question came with, from the checkpoint of its input."""
    return _messages_of(checkpoint.checkpoint["channel_values"].get("__start__"))


def _messages_of(start: Any) -> list[AnyMessage]:
    messages: Any = start.get("messages", []) if isinstance(start, dict) else []
    try:
        parts = messages if isinstance(messages, list) else [messages]
        return cast("list[AnyMessage]", convert_to_messages(parts))
    except (ValueError, TypeError, NotImplementedError):
        return []


def _title(messages: Sequence[AnyMessage]) -> str:
    questions = [message for message in messages if isinstance(message, HumanMessage)]
    line = " ".join(str(questions[-1].text).split()) if questions else ""
    return line if len(line) <= _LONGEST_TITLE else line[: _LONGEST_TITLE - 1].rstrip() + "…"


async def _messages(saver: BaseCheckpointSaver[Any], latest: CheckpointTuple) -> list[AnyMessage]:
    """The conversation, rebuilt as the graph's delta channel rebuilds it."""
    values = latest.checkpoint["channel_values"]
    reducer: Any = messages_delta_reducer
    channel: DeltaChannel[Any] = DeltaChannel(reducer, list)
    if "messages" in values:
        channel = channel.from_checkpoint(values["messages"])
    else:
        past = await saver.aget_delta_channel_history(config=latest.config, channels=["messages"])
        history = past["messages"]
        channel = channel.from_checkpoint(history.get("seed", []))
        channel.replay_writes(history["writes"])
    return [*channel.get(), *_start(latest)]


def _config(thread: str, checkpoint: str | None = None) -> Any:
    place = {"thread_id": thread, "checkpoint_ns": ""}
    return {"configurable": place | ({"checkpoint_id": checkpoint} if checkpoint else {})}
