"""The state's channels: they hold records, also where plain values come in.

Whoever edits a thread may write records or plain values, as Studio does; `edits` makes records of
them before anything is stored. What a saver gives back as plain values, because it does not know
our types, becomes a record again here.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from langgraph.channels.delta import DeltaChannel
from langgraph.channels.last_value import LastValue
from pydantic import TypeAdapter

from mom_council.records import Absence, Ballot, EqualityJudgement, Proposal, Record, Verdict

R = TypeVar("R", bound=Record)

_IDENTITY: dict[type[Record], Callable[[Any], object]] = {
    Proposal: lambda one: (one.character, one.round, one.layer),
    Ballot: lambda one: (one.voter, one.round),
    Absence: lambda one: (one.character, one.stage, one.round, one.layer),
    Verdict: lambda one: one.round,
    EqualityJudgement: lambda one: (one.one, one.other),
}
"""What makes two records the same thing, of which the later one holds; left out, all of it."""


def merge_records(record: type[R]) -> Callable[[list[R], Sequence[Any]], list[R]]:
    """The reducer of a list of records: what is new is added, what was there before is replaced.

    So a list that was read, edited and written back is the edited list, not both.
    """
    identity: Callable[[R], object] = _IDENTITY.get(record, lambda one: one)

    def merge(old: list[R], writes: Sequence[Any]) -> list[R]:
        merged = {identity(one): one for one in read_records(record, old)}
        for write in writes:
            merged.update((identity(one), one) for one in read_records(record, write))
        return list(merged.values())

    return merge


def read_records(record: type[R], values: Any) -> list[R]:
    """Records, from records or plain values; version 0.1 kept notes as their texts alone."""
    return [
        value
        if isinstance(value, record)
        else record.model_validate({"text": value} if isinstance(value, str) else value)
        for value in values or ()
    ]


class RecordList(DeltaChannel[Any]):
    """A delta channel of records, also where its saver gave plain values back."""

    def get(self) -> Any:
        """The records."""
        values = super().get()
        plain = any(not isinstance(value, Record) for value in values)
        return self.reducer(values, ()) if plain else values


class RecordValue(LastValue[Any]):
    """A channel of one record or None, also where its saver or its writer gave plain values."""

    def get(self) -> Any:
        """The record."""
        value = super().get()
        return adapter_of(self.typ).validate_python(value) if isinstance(value, Mapping) else value


@functools.cache
def adapter_of(typ: Any) -> TypeAdapter[Any]:
    """What makes a value of this type of plain values."""
    return TypeAdapter(typ)
