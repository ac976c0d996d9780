"""Edits of a thread's state, checked before they are stored.

Whoever forks a thread (`update_state`, Studio) hands in records or plain values; what does not fit
is refused with the name of its field.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from langgraph.types import Overwrite
from pydantic import ValidationError

from mom_council.councils.refusals import nearest
from mom_council.deliberation.context import QuestionSettings
from mom_council.deliberation.state import CouncilInput, CouncilState, Seating, Sight
from mom_council.errors import InputError
from mom_council.records import (
    Absence,
    Annotation,
    Ballot,
    EqualityJudgement,
    Note,
    Proposal,
    Record,
    Segment,
    Status,
    Verdict,
)
from mom_council.seams.langgraph import adapter_of, read_overwrite
from mom_council.voting.fitted import Trust

_SINGLE: dict[str, Any] = {
    "annotation": Annotation,
    "seating": Seating | None,
    "settings": QuestionSettings | None,
    "sight": Sight | None,
    "status": Status | None,
    "trust": Trust | None,
    "route": Literal["text", "image"],
    "asked_at": float,
    "comparison": str,
    "step": str,
}
_LISTS: dict[str, type[Record]] = {
    "proposals": Proposal,
    "ballots": Ballot,
    "absences": Absence,
    "segments": Segment,
    "verdicts": Verdict,
    "judgements": EqualityJudgement,
    "notes": Note,
}
_NAMES: dict[type[Record], Callable[[Any], Sequence[tuple[str, str]]]] = {
    Proposal: lambda one: [("character", one.character)],
    Absence: lambda one: [("character", one.character)],
    QuestionSettings: lambda one: [("weights", name) for name in one.weights or ()],
    Ballot: lambda one: [
        ("voter", one.voter),
        *([("choice", one.choice)] if one.choice else []),
        *(("ranking", name) for name in one.ranking),
        *(("approved", name) for name in one.approved),
        *(("scores", name) for name in one.scores),
    ],
}
"""Where a record names characters."""


def read_update(values: Mapping[str, Any], characters: Sequence[str]) -> dict[str, Any]:
    """An edit of the state, made of records: what `update_state` was given.

    A list replaces the records of the same round and character and keeps the others; an
    `Overwrite`, in JSON `{"__overwrite__": [...]}`, replaces the whole list.

    Args:
        values: the keys to change, each with records or plain values.
        characters: the names that there are; proposals and ballots may name no others.

    Raises:
        InputError: a key or a name is unknown, or a value does not fit; it names the field.
    """
    keys = [*CouncilState.__annotations__, *CouncilInput.__annotations__]
    return {key: _read_key(key, value, keys, characters) for key, value in values.items()}


def _read_key(key: str, value: Any, keys: Sequence[str], characters: Sequence[str]) -> Any:
    if key not in keys:
        raise InputError(f"unknown key {key!r} in the edited state", cure=nearest(key, keys))
    if key in _SINGLE:
        return _read_value(_SINGLE[key], value, key, characters)
    if key not in _LISTS:
        return value
    replaces, items = read_overwrite(value)
    items = items if replaces else value
    if isinstance(items, Mapping | str) or not isinstance(items, Sequence):
        raise InputError(f"{key} must be a list, not {type(items).__name__}")
    records = [
        _read_value(_LISTS[key], one, f"{key}[{place}]", characters)
        for place, one in enumerate(items)
    ]
    return Overwrite(records) if replaces else records


def _read_value(typ: Any, value: Any, where: str, characters: Sequence[str] = ()) -> Any:
    try:
        record = adapter_of(typ).validate_python(value)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join((where, *map(str, first["loc"])))
        raise InputError(f"{field}: {first['msg']} (it is {first['input']!r:.80})") from None
    for field, name in _NAMES.get(type(record), lambda _: ())(record):
        if name not in characters:
            raise InputError(
                f"{where}.{field}: the council has no character {name!r}",
                cure=nearest(name, characters),
            )
    return record
