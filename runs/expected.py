"""How long a question will probably take: from the local traces of earlier questions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from statistics import median

from mom_council.councils.schema import Council
from mom_council.errors import StorageError
from mom_council.tracing.store import TraceStore, TraceView
from mom_council.voting.methods import METHODS

_TRACES = 12
"""How many earlier questions are read: more would be older than what the models do today."""
_ALIKE = 5


def usual_seconds(council: Council, store: TraceStore | None = None) -> float | None:
    """The seconds that a question of this council usually takes; None: its models are not known.

    The median of its last questions with the same models. Where it was never asked, what the
    single calls of its models took, in the order in which it would make them: one round.
    """
    try:
        traces = (store or TraceStore()).finished(_TRACES)
    except StorageError:
        return None
    models = {spec.model for spec in council.models.values()}
    seated = {council.models[key].model for key in _keys(council)}
    alike = [
        trace.summary.seconds
        for trace in traces
        if trace.summary.council == council.name
        and seated <= _seconds_of_calls([trace]).keys() <= models
        and trace.summary.seconds is not None
    ][:_ALIKE]
    if alike:
        return median(alike)
    return _of_single_calls(council, _seconds_of_calls(traces))


def about(seconds: float) -> str:
    """A time that is a guess, in words: "3 s", "25 s", "2 minutes"."""
    if seconds < 10:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 5) * 5} s" if seconds < 90 else f"{round(seconds / 60)} minutes"


def _seconds_of_calls(traces: Iterable[TraceView]) -> dict[str, float]:
    """What a call of each model took; the median."""
    seen: dict[str, list[float]] = defaultdict(list)
    for trace in traces:
        for span in trace.spans:
            if span.kind == "model" and span.model and span.seconds and not span.error:
                seen[span.model].append(span.seconds)
    return {model: median(seconds) for model, seconds in seen.items()}


def _keys(council: Council) -> list[str]:
    """The models that every question asks, by their keys."""
    speaking = [council.character(name).model for layer in council.seats for name in layer]
    return [*speaking, council.synthesizer.model]


def _of_single_calls(council: Council, seconds: Mapping[str, float]) -> float | None:
    """One round, with its ballots where there are any, and the synthesizer."""
    if any(council.models[key].model not in seconds for key in _keys(council)):
        return None
    votes = 2 if METHODS[council.deliberation.method].asks_voters else 1
    whole = seconds[council.models[council.synthesizer.model].model]
    for layer in council.seats:
        lanes: dict[str, float] = defaultdict(float)
        for name in layer:
            spec = council.models[key := council.character(name).model]
            slots = spec.concurrency or (1 if spec.lane else len(layer))
            lanes[spec.lane or key] += seconds[spec.model] / slots
            lanes[spec.lane or key] = max(lanes[spec.lane or key], seconds[spec.model])
        whole += votes * max(lanes.values())
    return whole
