"""The journal of calls, written while they are made, so that no call is paid twice.

A call is one asking of a model with its fallbacks, one drawing of a picture, or one use of a tool.
A line is written before each request leaves, and one as soon as the last byte of the answer has
arrived. A run that was killed is given these lines when it goes on: what had been answered is
taken from them, and requests that were under way are counted.

Each line is a pending write of the checkpoint at which the node runs, under a name of its own: any
store of LangGraph's keeps it, in the same place and the same transaction as what nodes return, and
gives it back with the checkpoint. Our own stores drop the lines when the next checkpoint is there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from mom_council.records import NO_USAGE, Attempt, Usage
from mom_council.seams.langgraph import CALL_CHANNEL, TASK_CHANNEL, CheckpointPlace, place_of

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage
    from langgraph.runtime import Runtime

JsonObject = dict[str, Any]
"""A value that any store keeps: plain, but for bytes."""

STOPPED = "the run was stopped before this was answered"

_CHARACTERS_A_TOKEN = 4


async def _nowhere(number: int, line: JsonObject) -> None:
    """Where a run keeps nothing, its calls are not kept either."""


def _length(message: BaseMessage) -> int:
    content = message.content
    return len(content if isinstance(content, str) else message.text)


class CallRecord:
    """The lines of one call.

    Args:
        write: keeps a line under its number, and returns when it is kept.
        lines: what an earlier run of the same question wrote of this call, in order.
    """

    def __init__(
        self,
        write: Callable[[int, JsonObject], Awaitable[None]] = _nowhere,
        lines: Sequence[JsonObject] = (),
    ) -> None:
        self._write = write
        self._count = len(lines)
        last = lines[-1] if lines else {}
        self.result: JsonObject | None = last.get("result")
        """What came of the call in an earlier run; None where it had not come to its end."""
        self.was_begun = "model" in last
        """Whether an earlier run began the call, and did not come to its end."""
        self.attempts: tuple[Attempt, ...] = ()
        """Requests of earlier runs that came to nothing, the one that was cut off included."""
        self.spent = NO_USAGE
        """What those cost, as far as it is known."""
        if self.was_begun:
            self._count_cut_off(last)

    async def begin(
        self,
        model: str,
        messages: Sequence[BaseMessage] = (),
        attempts: Sequence[Attempt] = (),
        spent: Usage | None = None,
        most: Usage | None = None,
    ) -> None:
        """Write down that a request is about to leave.

        Args:
            model: the key of who is asked, or the name of the tool.
            messages: what is sent.
            attempts: the call's requests before this one.
            spent: what those cost.
            most: what was reserved for it, where a budget is limited.
        """
        line: JsonObject = {
            "model": model,
            "tokens": sum(map(_length, messages)) // _CHARACTERS_A_TOKEN,
        }
        if attempts:
            line["attempts"] = [one.model_dump(exclude_defaults=True) for one in attempts]
        if spent is not None and spent.calls:
            line["spent"] = spent.model_dump(exclude_defaults=True)
        if most is not None:
            line["most"] = most.model_dump(exclude_defaults=True)
        await self._next(line)

    async def finish(self, result: JsonObject) -> None:
        """Write down what came of the call."""
        self.result = result
        await self._next({"result": result})

    async def put_back(self) -> None:
        """Write down that the call was not made, and is to be made again."""
        await self._next({"put back": True})

    async def _next(self, line: JsonObject) -> None:
        self._count += 1
        await self._write(self._count, line)

    def _count_cut_off(self, last: JsonObject) -> None:
        before = [Attempt.model_validate(one) for one in last.get("attempts", ())]
        self.attempts = (*before, Attempt(model=last["model"], error=STOPPED))
        under_way = Usage(calls=1, input_tokens=last["tokens"] or None)
        if most := last.get("most"):
            under_way = Usage.model_validate(most)
        self.spent = Usage.model_validate(last.get("spent", {})) + under_way


class CallJournal:
    """The calls of one node in one superstep.

    A call is known by its name and by how many of that name the node made before it, never by what
    was sent: two runs of a node may word a prompt differently, and mean the same call.
    """

    def __init__(self, place: CheckpointPlace) -> None:
        self._place = place
        self._times: Counter[str] = Counter()
        self._lines: dict[str, list[JsonObject]] | None = None if place.is_resumed else {}
        self._kinds: Counter[str] = Counter()
        self._results_0_1: dict[tuple[str, int], JsonObject] = {}

    async def open(self, name: str) -> CallRecord:
        """The record of the node's next call of this name."""
        self._times[name] += 1
        key = f"{self._place.task}/{name}#{self._times[name]}"

        async def write(number: int, line: JsonObject) -> None:
            await self._place.write(f"{key}/{number}", line)

        if self._lines is None:
            self._lines = await self._read()
        lines = self._lines.get(key, [])
        if self._results_0_1:
            kind = name.rpartition("/")[2]
            self._kinds[kind] += 1
            result = self._results_0_1.get((kind, self._kinds[kind]))
            if result is not None and not lines:
                lines = [{"result": result}]
        return CallRecord(write, lines)

    async def _read(self) -> dict[str, list[JsonObject]]:
        """What an earlier run wrote of this node, by the keys of its calls."""
        writes = await self._place.pending_writes()
        self._results_0_1 = _results_of_version_0_1(self._place, writes)
        by_key: dict[str, list[tuple[int, JsonObject]]] = {}
        for task, channel, line in writes:
            if channel == CALL_CHANNEL and task.startswith(f"{self._place.task}/"):
                key, _, number = task.rpartition("/")
                by_key.setdefault(key, []).append((int(number), line))
        return {key: [line for _, line in sorted(rows)] for key, rows in by_key.items()}


def _results_of_version_0_1(
    place: CheckpointPlace, writes: Sequence[tuple[str, str, Any]]
) -> dict[tuple[str, int], JsonObject]:
    """What version 0.1 kept of the node's turns with tools: by `turn` or `tool`, and its number.

    It kept each as a task of the node, and had no task for a call that a person did not allow.
    """
    results = {
        task: value
        for task, channel, value in writes
        if channel == TASK_CHANNEL and isinstance(value, dict)
    }
    if not results:
        return {}
    names = {
        task: f"tool {value['tool']}" if "tool" in value else "model"
        for task, value in results.items()
    }
    numbers = place.numbers_of_tasks(names)
    by_number: dict[tuple[str, int], JsonObject] = {}
    turns = calls = 0
    open_calls: dict[int, str] = {}
    for task in sorted(numbers, key=numbers.__getitem__):
        result = results[task]
        if "tool" not in result:
            turns += 1
            by_number["turn", turns] = result
            ids = [call["id"] for call in result["calls"]]
            open_calls = dict(enumerate(ids, calls + 1))
            calls += len(ids)
            continue
        number = next((key for key, call in open_calls.items() if call == result["id"]), None)
        if number is not None:
            del open_calls[number]
            by_number["tool", number] = result
    return by_number


_open: ContextVar[CallJournal | None] = ContextVar("journal", default=None)


def begin_journal(runtime: Runtime[Any]) -> None:
    """Have the node's calls written down, where its run keeps its thread: a node is a task."""
    place = place_of(runtime)
    _open.set(None if place is None else CallJournal(place))


async def open_record(name: str) -> CallRecord:
    """The record of the next call of this name in the node that is running."""
    journal = _open.get()
    return CallRecord() if journal is None else await journal.open(name)
