"""Views of a run that is not being followed: copied from a running one, or read from its state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from langchain_core.messages import AIMessage

from mom_council.councils.records import Segment, Verdict
from mom_council.councils.schema import Council
from mom_council.deliberation.events import Counted, Speaker
from mom_council.runs.follow import RoundView, RunView, SpeakerView
from mom_council.voting.stopping import explain


def copied(view: RunView) -> RunView:
    """A copy that stays as it is while the run goes on; texts and records are shared."""
    return replace(
        view,
        rounds=[_copied(one) for one in view.rounds],
        voices={name: _one(voice) for name, voice in view.voices.items()},
        plans=list(view.plans),
        notes=list(view.notes),
    )


def _copied(one: RoundView) -> RoundView:
    return replace(
        one,
        seats={place: _one(seat) for place, seat in one.seats.items()},
        ballots=list(one.ballots),
        unvoted=list(one.unvoted),
    )


def _one(voice: SpeakerView) -> SpeakerView:
    return replace(voice, calls=dict(voice.calls))


def view_of(values: Mapping[str, Any], council: Council | None = None) -> RunView:
    """The view of a thread's last question, from the values that the thread keeps of it."""
    view = RunView()
    for proposal in values.get("proposals", []):
        seat = _seat(view, proposal.round, proposal.layer, proposal.character)
        seat.state, seat.text, seat.reasoning = "done", proposal.text, proposal.reasoning
        seat.model = proposal.model
    for absence in values.get("absences", []):
        if absence.stage == "vote":
            _round(view, absence.round).unvoted.append(absence)
        else:
            seat = _seat(view, absence.round, absence.layer, absence.character)
            seat.state, seat.absence = "absent", absence
    for ballot in values.get("ballots", []):
        _round(view, ballot.round).ballots.append(ballot)
    for verdict in values.get("verdicts", []):
        _round(view, verdict.round).counted = Counted(verdict=verdict, why=_why(verdict, council))
    for segment in values.get("segments", []):
        _lay(view, segment)
    view.rounds.sort(key=lambda one: one.number)
    view.layers = max((layer for one in view.rounds for layer, _ in one.seats), default=1)
    view.most_rounds = max((one.number for one in view.rounds), default=1)
    view.notes = list(values.get("notes", []))
    view.annotation = values.get("annotation") or view.annotation
    view.status = values.get("status")
    if view.status is not None:
        view.route = view.status.route
        messages = values.get("messages") or []
        if messages and isinstance(messages[-1], AIMessage):
            view.answer = messages[-1].text
    return view


def _lay(view: RunView, segment: Segment) -> None:
    if segment.node == "character":
        seat = _seat(view, segment.round, segment.layer, segment.name)
        seat.segment, seat.model = segment, segment.model or seat.model
        return
    speaker = Speaker(node=segment.node, name=segment.name, round=segment.round)
    name = f"{segment.node}:{segment.name}:{segment.round}"
    view.voices[name] = SpeakerView(speaker, model=segment.model, state="done", segment=segment)


def _seat(view: RunView, round_: int, layer: int, name: str) -> SpeakerView:
    speaker = Speaker(node="character", name=name, round=round_, layer=layer)
    return _round(view, round_).seats.setdefault((layer, name), SpeakerView(speaker))


def _round(view: RunView, number: int) -> RoundView:
    for one in view.rounds:
        if one.number == number:
            return one
    view.rounds.append(RoundView(number))
    return view.rounds[-1]


def _why(verdict: Verdict, council: Council | None) -> str:
    return explain(verdict, council.deliberation) if council is not None else ""
