"""The sentences that every way of showing a run shares."""

from __future__ import annotations

from mom_council.cli.inert import inert, one_line
from mom_council.cli.report import tokens_per_second
from mom_council.deliberation.events import Heat, Painted, Planned, Waited
from mom_council.records import Absence, Ballot, Segment, Status, Usage, Verdict
from mom_council.voting.stopping import sureness

REASONS = {
    "failed": "failed",
    "timeout": "took too long",
    "late": "was not waited for",
    "empty": "answered nothing",
    "garbled": "answered garbage",
    "dropped": "was left out",
    "refused": "refused",
    "budget": "was not paid for",
    "settled": "was not needed",
}


def absent(absence: Absence) -> str:
    """Who is missing and why."""
    what = REASONS[absence.reason]
    return f"{absence.character} {what}" + (f": {inert(absence.detail)}" if absence.detail else "")


def ballot(vote: Ballot) -> str:
    """What a ballot says, in a few words."""
    if vote.choice:
        return vote.choice
    if vote.ranking:
        return " > ".join(vote.ranking)
    if vote.approved:
        return " + ".join(vote.approved)
    if vote.scores:
        return ", ".join(f"{name} {score:g}" for name, score in vote.scores.items())
    return "abstains"


def segment(one: Segment) -> str:
    """What a speaking cost."""
    parts = [one.model, f"{one.usage.seconds:.1f} s"]
    if one.usage.output_tokens is not None:
        parts.append(f"{one.usage.output_tokens} tokens")
    if speed := tokens_per_second(one):
        parts.append(f"{speed:.0f}/s")
    if one.tool_calls:
        parts.append(f"{one.tool_calls} call{'s' * (one.tool_calls != 1)} of tools")
    if one.cached:
        parts.append("cached")
    return " · ".join(part for part in parts if part)


def tally(verdict: Verdict) -> str:
    """The options and how they stand."""
    lines = []
    for option in verdict.options:
        who = ", ".join(option.members)
        answer = f"{one_line(option.answer, 60)!r} by {who}" if option.answer else who
        lines.append(f"{option.share:.0%} {answer}")
    return " | ".join(lines)


def cost(usage: Usage, seconds: float) -> str:
    """What all of it cost. An unknown price is called unknown, not nothing."""
    parts = [f"{seconds:.1f} s", f"{usage.calls} call{'s' * (usage.calls != 1)}"]
    if usage.tokens is not None:
        parts.append(f"{usage.tokens:,} tokens")
    if usage.usd is None:
        parts.append("price unknown")
    elif usage.usd > 0:
        parts.append(f"${usage.usd:.4f}")
    return " · ".join(parts)


def label(status: Status) -> list[str]:
    """The honest label under an answer, line by line."""
    lines = []
    verdict = status.verdict
    if verdict is not None and verdict.leader and verdict.share and verdict.options[0].answer:
        lines.append(f"Confidence: {sureness(verdict)}")
    if status.dissent:
        lines.append(f"Dissent: {', '.join(status.dissent)}")
    if status.minority_report:
        lines.append(f"Minority report: {one_line(status.minority_report, 160)}")
    lines += [f"Absent: {absent(one)}" for one in status.absent]
    lines += [f"Note: {note}" for note in status.notes]
    return [one_line(line) for line in lines]


def painted(event: Painted) -> str:
    """How far a picture has come."""
    return f"drawing, step {event.step} of {event.steps}"


def heat(event: Heat) -> str:
    """What the hardware is waiting for."""
    return (
        f"{one_line(event.device) or 'The GPU'} is at {event.celsius or 0:g} °C; waiting for "
        f"{event.resume:g} °C, {event.remaining:.0f} s at the most"
    )


def plan(event: Planned) -> str:
    """What a lane has planned for a fan-out."""
    turns = ", ".join(
        f"{one_line(model)} x {calls}" if calls > 1 else one_line(model)
        for model, calls in zip(event.models, event.calls, strict=True)
    )
    loads = f"{event.loads} load{'s' * (event.loads != 1)}"
    instead = f" instead of {event.unplanned}" * (event.unplanned > event.loads)
    return f"Lane {one_line(event.lane)}: {turns}; {loads} this round{instead}"


def held_back(event: Waited) -> str:
    """Who waits for a rate limit."""
    return (
        f"{one_line(event.speaker.name)} waits {event.seconds:.1f} s for the rate limit of lane "
        f"{one_line(event.lane)}"
    )
