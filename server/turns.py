"""Turns of an agent's loop: the council speaks once on a question, then its synthesizer acts alone.

A client that runs tools sends the whole conversation again with each result. What the council said
on the question is remembered in memory, so that a result does not cost another deliberation. The
synthesizer then reads the same messages as before with the call and its result behind them, so that
its vendor's prompt cache knows their beginning.
"""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import orjson
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, SystemMessage, ToolMessage

from mom_council.deliberation.context import AnswerForm, steady_time
from mom_council.deliberation.events import Answered
from mom_council.runs.ask import Run
from mom_council.runs.checkpoints import thread_serializer
from mom_council.runs.tables import Tables

TABLE = (
    *("route", "sight", "annotation", "seating", "trust", "comparison", "proposals", "ballots"),
    *("absences", "verdicts", "judgements", "notes"),
)
"""The parts of the state that a synthesizer writes from."""
_MOST = 512

TURNS = (
    "CREATE TABLE IF NOT EXISTS mom_turns (mark TEXT PRIMARY KEY, created BIGINT NOT NULL, "
    "kind TEXT NOT NULL, tables TEXT NOT NULL)"
)
_KEEP = "INSERT INTO mom_turns VALUES (?, ?, ?, ?) ON CONFLICT (mark) DO NOTHING"
_FORGET = "DELETE FROM mom_turns WHERE created < ?"
_SHARED_SECONDS = 3600


class AgentTurns:
    """The newest questions whose answers were calls of a client's tools.

    Args:
        open_saver: opens the store, where several processes answer together: then what the council
            said stands there for an hour.
    """

    def __init__(self, open_saver: Callable[[], Awaitable[Any]] | None = None) -> None:
        self._memory: dict[str, Mapping[str, Any]] = {}
        self._open_saver = open_saver
        self._tables: Tables | None = None

    async def go_on(self, turn: AgentTurn | None, recipe: Run) -> None:
        """Have a run go on with its turn: with the synthesizer alone, where the council spoke."""
        if turn is None:
            return
        recipe.state_keys = TABLE
        if not isinstance(turn.messages[-1], ToolMessage):
            return
        marks = dict(turn.marks())
        await self._read_shared([*marks.values()])
        for length, mark in marks.items():
            if (table := self._memory.pop(mark, None)) is not None:
                self._memory[mark] = table  # the newest stand last
                recipe.known = {**table, "asked_at": steady_time()}
                form = recipe.context.form or AnswerForm()
                form = form.model_copy(update={"continues_from": length})
                recipe.context = recipe.context.model_copy(update={"form": form})
                recipe.opened = recipe.opened.synthesizer_alone()
                return

    async def keep(self, turn: AgentTurn | None, recipe: Run, answered: Answered) -> None:
        """Remember what the council said, where tools are called whose results will come."""
        values = recipe.values
        if turn is None or recipe.known or not answered.calls or not values.get("verdicts"):
            return
        *_, (_, mark) = turn.marks()
        table = self._memory[mark] = {name: values[name] for name in TABLE if name in values}
        while len(self._memory) > _MOST:
            del self._memory[next(iter(self._memory))]
        if (tables := await self._shared()) is not None:
            kind, written = thread_serializer().dumps_typed(table)
            text = base64.b64encode(written).decode()
            now = int(time.time())
            await tables.run(_FORGET, (now - _SHARED_SECONDS,))
            await tables.run(_KEEP, (mark, now, kind, text))

    async def _shared(self) -> Tables | None:
        if self._tables is None and self._open_saver is not None:
            self._tables = Tables(await self._open_saver(), TURNS)
        return self._tables

    async def _read_shared(self, marks: Sequence[str]) -> None:
        """Have in memory what another process wrote down of a turn."""
        if any(mark in self._memory for mark in marks):
            return
        if (tables := await self._shared()) is None:
            return
        places = ", ".join("?" * len(marks))
        statement = f"SELECT mark, kind, tables FROM mom_turns WHERE mark IN ({places})"  # noqa: S608
        for mark, kind, text in await tables.run(statement, marks):
            self._memory[mark] = thread_serializer().loads_typed((kind, base64.b64decode(text)))


class AgentTurn(NamedTuple):
    """A question with all that its client's tools have given for it."""

    owner: str
    """Whose key it came with."""
    model: str
    """Which council is asked."""
    messages: Sequence[AnyMessage]

    def marks(self) -> Iterator[tuple[int, str]]:
        """The beginnings of the conversation that hold the question: their lengths, and a digest.

        Instructions are left out: programs write the time into them.
        """
        humans = [at for at, one in enumerate(self.messages) if isinstance(one, HumanMessage)]
        digest = hashlib.sha256(orjson.dumps([self.owner, self.model]))
        for place, message in enumerate(self.messages):
            if not isinstance(message, SystemMessage):
                digest.update(orjson.dumps(_fields(message)))
            if place >= humans[-1]:
                yield place + 1, digest.hexdigest()


def _fields(message: AnyMessage) -> Sequence[Any]:
    calls = message.tool_calls if isinstance(message, AIMessage) else []
    result_of = message.tool_call_id if isinstance(message, ToolMessage) else ""
    asked = [[call["id"], call["name"], call["args"]] for call in calls]
    return [message.type, message.content, asked, result_of]
