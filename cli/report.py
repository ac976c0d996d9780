"""`mom ask --json`: one object with the answer and everything behind it."""

from __future__ import annotations

from typing import Any

from mom_council.cli.failure import write_json
from mom_council.cli.screen import Ending, Screen
from mom_council.records import Segment, Status
from mom_council.runs.words import tokens_per_second


class OneObject(Screen):
    """Prints one JSON object with everything."""

    def finish(self, ending: Ending) -> None:
        """Print it."""
        write_json(report(ending))


def report(ending: Ending) -> dict[str, Any]:
    """Put together the object; `trace` is None where tracing is off."""
    values, status = ending.values, ending.status or Status(council="")
    segments = [_segment(segment) for segment in values.get("segments", [])]
    return {
        "answer": ending.text,
        "status": status.model_dump(mode="json", exclude={"usage", "seconds"}),
        "rounds": _rounds(values),
        "usage": {"total": _usage(status.usage), "segments": segments},
        "times": {
            "total": status.seconds,
            "segments": {_title(s): s.usage.seconds for s in values.get("segments", [])},
        },
        "thread": ending.thread,
        "trace": ending.trace,
        **({"pictures": ending.pictures} if ending.pictures else {}),
    }


def _rounds(values: dict[str, Any]) -> list[dict[str, Any]]:
    rounds: dict[int, dict[str, Any]] = {}
    for key in ("proposals", "ballots", "absences"):
        for record in values.get(key, []):
            a_round = rounds.setdefault(record.round, _empty(record.round))
            a_round[key].append(record.model_dump(mode="json"))
    for verdict in values.get("verdicts", []):
        a_round = rounds.setdefault(verdict.round, _empty(verdict.round))
        a_round["verdict"] = verdict.model_dump(mode="json")
    return [rounds[number] for number in sorted(rounds)]


def _empty(number: int) -> dict[str, Any]:
    return {"round": number, "proposals": [], "ballots": [], "absences": [], "verdict": None}


def _segment(segment: Segment) -> dict[str, Any]:
    return {
        **segment.model_dump(mode="json", exclude={"usage"}),
        "usage": _usage(segment.usage),
        "tokens_per_second": tokens_per_second(segment),
    }


def _usage(usage: Any) -> dict[str, Any]:
    return {**usage.model_dump(mode="json", exclude={"seconds"}), "tokens": usage.tokens}


def _title(segment: Segment) -> str:
    if segment.node == "character":
        return f"{segment.name} (round {segment.round}, layer {segment.layer})"
    if segment.node == "vote":
        return f"{segment.name} votes (round {segment.round})"
    return segment.name
