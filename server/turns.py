"""Turns of an agent's loop: the council speaks once on a question, then its synthesizer acts alone.

A client that runs tools sends the whole conversation again with each result. What the council said
on the question is remembered in memory, so that a result does not cost another deliberation. The
synthesizer then reads the same messages as before with the call and its result behind them, so that
its vendor's prompt cache knows their beginning.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import orjson
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, SystemMessage, ToolMessage

from mom_council.deliberation.context import AnswerForm, steady_time
from mom_council.deliberation.events import Answered
from mom_council.runs.ask import Run

TABLE = (
    *("route", "sight", "annotation", "seating", "trust", "comparison", "proposals", "ballots"),
    *("absences", "verdicts", "judgements", "notes"),
)
"""The parts of the state that a synthesizer writes from."""
_MOST = 512


class AgentTurns:
    """The newest questions whose answers were calls of a client's tools."""

    def __init__(self) -> None:
        self._tables: dict[str, Mapping[str, Any]] = {}

    def go_on(self, turn: AgentTurn | None, recipe: Run) -> None:
        """Have a run go on with its turn: with the synthesizer alone, where the council spoke."""
        if turn is None:
            return
        recipe.state_keys = TABLE
        if not isinstance(turn.messages[-1], ToolMessage):
            return
        for length, mark in turn.marks():
            if (table := self._tables.pop(mark, None)) is not None:
                self._tables[mark] = table  # the newest stand last
                recipe.known = {**table, "asked_at": steady_time()}
                form = recipe.context.form or AnswerForm()
                form = form.model_copy(update={"continues_from": length})
                recipe.context = recipe.context.model_copy(update={"form": form})
                recipe.opened = recipe.opened.synthesizer_alone()
                return

    def keep(self, turn: AgentTurn | None, recipe: Run, answered: Answered) -> None:
        """Remember what the council said, where tools are called whose results will come."""
        values = recipe.values
        if turn is None or recipe.known or not answered.calls or not values.get("verdicts"):
            return
        *_, (_, mark) = turn.marks()
        self._tables[mark] = {name: values[name] for name in TABLE if name in values}
        while len(self._tables) > _MOST:
            del self._tables[next(iter(self._tables))]


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
