"""Which traces somebody is looking for: by council, model, error and words. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import NamedTuple

from mom_council.councils.records import Record
from mom_council.tracing.store import TraceSummary, TraceView


class Wanted(NamedTuple):
    """What the traces are filtered by; empty is any."""

    council: str = ""
    model: str = ""
    failed: bool = False
    """Only those in which something went wrong."""
    words: str = ""


class Inside(Record):
    """What the list needs of a trace's tree, which is costly to read."""

    models: frozenset[str] = frozenset()
    errors: tuple[str, ...] = ()
    text: str = ""
    """Everything that was said in it, in small letters."""


def inside(view: TraceView | None) -> Inside:
    """Read a tree once."""
    if view is None:
        return Inside()
    said = (
        part
        for span in view.spans
        for part in (*(one.text for one in span.prompt), span.reply, span.reasoning, span.name)
    )
    return Inside(
        models=frozenset(span.model for span in view.spans if span.model),
        errors=tuple(span.error for span in view.spans if span.error),
        text="\n".join(said).casefold(),
    )


def matching(
    summaries: Sequence[TraceSummary], wanted: Wanted, look: Callable[[str], Inside]
) -> list[TraceSummary]:
    """The traces that are wanted, in their order; `look` reads a tree, and only where it must."""
    return [one for one in summaries if _matches(one, wanted, cache(look))]


def councils(summaries: Iterable[TraceSummary]) -> list[str]:
    """The councils that the traces are of."""
    return sorted({one.council for one in summaries if one.council})


def _matches(one: TraceSummary, wanted: Wanted, look: Callable[[str], Inside]) -> bool:
    if wanted.council and one.council != wanted.council:
        return False
    if wanted.failed and not one.error and not look(one.id).errors:
        return False
    if wanted.model and wanted.model not in look(one.id).models:
        return False
    words = wanted.words.casefold().split()
    missing = [word for word in words if word not in one.question.casefold()]
    return not missing or all(word in look(one.id).text for word in missing)
