"""Sentences that all interfaces share, and foreign text made harmless for a terminal.

Nothing heavy is imported here: the command reads this before it knows what it is to do.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mom_council.deliberation.events import Called, Heat, Painted, Planned, Waited
    from mom_council.deliberation.people import PersonRequest
    from mom_council.records import Absence, Ballot, Segment, Status, Usage, Verdict

# Controls that could move the cursor, set a title, or hide text; line feed and tab may stay.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
# Marks that turn the direction of what follows, so that it reads as something else.
_TURNS = re.compile("[\u202a-\u202e\u2066-\u2069]")
_LINE_ENDS = re.compile("\r\n|[\u2028\u2029]")


def inert(text: str) -> str:
    """The text with every control character as a visible sign: an escape becomes `␛`."""
    return _TURNS.sub("", _CONTROLS.sub(_picture, _LINE_ENDS.sub("\n", text)))


_ACTING = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def inert_json(written: str) -> str:
    """JSON with escapes for what acts on a screen and JSON leaves as it is: the same value."""
    return _ACTING.sub(lambda match: f"\\u{ord(match[0]):04x}", written)


def counted(number: int, noun: str) -> str:
    """`1 question`, `2 questions`, `1,200 questions`."""
    return f"{number:,} {noun}{'s' * (number != 1)}"


def one_line(text: str, most: int = 0) -> str:
    """The text on one line, cut to so many characters where a number is given."""
    line = " ".join(inert(text).split())
    return line[: most - 1].rstrip() + "…" if most and len(line) > most else line


def in_a_row(text: str) -> str:
    """Several lines, each of which says something, as one line that keeps them apart."""
    lines = [line for line in map(one_line, inert(text).splitlines()) if line]
    apart = (line if line[-1] in ":;,.?!" else f"{line};" for line in lines[:-1])
    return " ".join((*apart, *lines[-1:]))


def _picture(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x20:
        return chr(0x2400 + code)
    return "␡" if code == 0x7F else "\ufffd"


REASONS = {
    "failed": "failed",
    "timeout": "took too long",
    "late": "was too slow",
    "empty": "answered nothing",
    "garbled": "answered garbage",
    "dropped": "was left out",
    "refused": "refused",
    "budget": "was not paid for",
    "settled": "was not needed",
}


_SHORTEST_WRITING = 0.1
"""Seconds. In a shorter time a few tokens arrive together, and their speed says nothing."""


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
        count = one.usage.output_tokens
        parts.append(counted(count, "token"))
    if speed := tokens_per_second(one):
        parts.append(f"{speed:.0f}/s")
    if one.tool_calls:
        parts.append(f"{counted(one.tool_calls, 'call')} of tools")
    if one.cached:
        parts.append("cached")
    return " · ".join(part for part in parts if part)


def tokens_per_second(segment: Segment) -> float | None:
    """How fast a model wrote, from its first token to its last; None when that is not known."""
    if segment.cached or segment.tool_calls:
        return None
    return writing_speed(segment.usage, segment.first_token)


def writing_speed(usage: Usage, first_token: float | None) -> float | None:
    """Tokens a second after the first one; None if nobody counted, or the time was too short."""
    writing = usage.seconds - (first_token or 0.0)
    if not usage.output_tokens or writing < _SHORTEST_WRITING:
        return None
    return round(usage.output_tokens / writing, 1)


def tally(verdict: Verdict, texts: Mapping[str, str] = {}) -> str:
    """The options and how they stand, the answers as `texts` (by character) wrote them."""
    from mom_council.voting.counting import as_written

    lines = []
    for option in verdict.options:
        who = ", ".join(option.members)
        answer = one_line(as_written(option.display_answer, texts.get(option.members[0])), 60)
        lines.append(
            f"{option.share:.0%} {answer} ({who})" if answer else f"{option.share:.0%} {who}"
        )
    return " | ".join(lines)


def cost(usage: Usage, seconds: float, *, costs_money: bool = False) -> str:
    """What all of it cost.

    Args:
        usage: of all calls.
        seconds: how long it took.
        costs_money: whether somebody sends a bill; then it is said that the price is not known.
    """
    parts = [f"{seconds:.1f} s", counted(usage.calls, "call")]
    if usage.tokens is not None:
        parts.append(f"{usage.tokens:,} tokens")
    if usage.usd:
        parts.append(f"${usage.usd:.4f}")
    elif usage.usd is None and costs_money:
        parts.append("no prices set")
    return " · ".join(parts)


def label(status: Status) -> list[str]:
    """What is said under an answer, line by line: what the reader has to know and no more.

    How likely it is to be right stands in the line of the vote, above the answer.
    """
    lines = []
    verdict = status.verdict
    if verdict is not None and verdict.leader and verdict.share < 1.0:  # somebody was against it
        lines += disagreement(status.dissent, status.minority_report)
    lines += joined(status)
    lines += [f"Absent: {absent(one)}" for one in status.absent]
    lines += [f"Note: {note}" for note in notes_to_show(status)]
    return [one_line(line) for line in lines]


def notes_to_show(status: Status) -> tuple[str, ...]:
    """The notes under an answer; that nobody answered is said above it, with the count."""
    from mom_council.deliberation.status import NOBODY_NOTES, nobody_answered

    notes = tuple(dict.fromkeys(status.notes))
    if status.verdict is None or not nobody_answered(status.verdict):
        return notes
    return tuple(note for note in notes if note not in NOBODY_NOTES)


def disagreement(dissent: Sequence[str], report: str = "") -> list[str]:
    """Who is against the answer, and the strongest other view, in one line; none: nobody is."""
    view = _plain(report, 160)
    if not dissent:
        return [f"The strongest other view: {view}"] if view else []
    who = ", ".join(dissent)
    if len(dissent) == 1:
        return [f"{who} disagrees: {view}" if view else f"{who} disagrees"]
    return [f"{who} disagree; the strongest other view: {view}" if view else f"{who} disagree"]


def joined(status: Status) -> list[str]:
    """Who proposed another answer and then voted for the one that won: a line for each answer."""
    options = status.verdict.options if status.verdict is not None else ()
    answer_of = {name: option.display_answer for option in options for name in option.members}
    together: dict[str, list[str]] = {}
    for name in status.joined:
        answer = answer_of.get(name)
        together.setdefault(one_line(answer, 60) if answer else "another answer", []).append(name)
    return [
        f"{', '.join(names)} proposed {answer}, then voted with the others"
        for answer, names in together.items()
    ]


_LINE_MARK = re.compile(r"^[ \t]*(?:(?:[-+*]|#{1,6}|>)[ \t]+)+", re.MULTILINE)
_PAIR = re.compile(r"(?<![\w*`])(\*{1,3}|_{1,3}|`{1,3})(?=\S)([^\n]*?\S)\1(?![\w*`])")


def _plain(markdown: str, most: int) -> str:
    """A text without the marks of Markdown, cut between words; `3 * 4`, `a_b` and C# stay."""
    text = _LINE_MARK.sub("", inert(markdown[: 8 * most]))
    return textwrap.shorten(_PAIR.sub(r"\2", text), most, placeholder=" …")


def painted(event: Painted) -> str:
    """How far a picture has come."""
    return f"drawing, step {event.step} of {event.steps}"


def heat(event: Heat) -> str:
    """What the hardware is waiting for."""
    return (
        f"{one_line(event.device) or 'The GPU'} is at {event.celsius or 0:g} °C; waiting for "
        f"{event.resume:g} °C, at most {event.remaining:.0f} s"
    )


def plan(event: Planned) -> str:
    """What a lane has planned for a fan-out."""
    turns = ", ".join(
        f"{one_line(model)} x {calls}" if calls > 1 else one_line(model)
        for model, calls in zip(event.models, event.calls, strict=True)
    )
    loads = counted(event.loads, "load")
    instead = f" instead of {event.unplanned}" * (event.unplanned > event.loads)
    return f"Lane {one_line(event.lane)}: {turns}; {loads} this round{instead}"


def saved_loads(count: int) -> str:
    """How many loads of models the order of the calls has saved; empty for none."""
    return f"saved {counted(count, 'model load')}" if count else ""


def held_back(event: Waited) -> str:
    """Who waits, and for what."""
    name, lane = one_line(event.speaker.name), one_line(event.lane)
    if event.reason == "rate limit" and event.seconds:
        return f"{name} waits {event.seconds:.1f} s for the rate limit of lane {lane}"
    return f"{name}: {wait_in_words(event)}"


def wait_in_words(event: Waited) -> str:
    """What a speaker waits for, without its name."""
    lane = one_line(event.lane)
    if event.reason == "load":
        return f"its model is loading (lane {lane})"
    if event.reason == "lane":
        return f"waiting for the {lane.upper() if lane == 'gpu' else lane}, {ordinal(event.place)}"
    return f"waiting for the rate limit of lane {lane}"


def call_in_words(event: Called) -> str:
    """What is done about a call of a tool."""
    tool = one_line(event.tool, 60)
    if event.needs_approval:
        return f"waits for a person's yes: {tool}"
    return f"calling {tool} …"


def ordinal(number: int) -> str:
    """`1st`, `2nd`, `11th`."""
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{'th' if 10 < number % 100 < 14 else ending}"


def waiting_for(requests: Sequence[PersonRequest]) -> str:
    """What a stopped run waits for, and that nobody is there to answer."""
    parts = []
    for one in requests:
        if one.kind == "approve":
            parts += [f"{one.name} wants to call {call['tool']}" for call in one.calls]
        elif one.kind == "person":
            parts.append(f"{one.name} is to speak")
        else:
            parts.append(f"an extension asks {one.value!r}, which a program has to answer")
    approvals = all(one.kind == "approve" for one in requests)
    return f"{'; '.join(parts)}, and nobody is here to {'allow it' if approvals else 'answer'}"
