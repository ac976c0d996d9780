"""The sentences of the page: who is missing and why, what a ballot says, what it all cost."""

from __future__ import annotations

import re

from mom_council.deliberation.events import Called, Heat, Returned
from mom_council.deliberation.status import NOBODY, nobody_answered
from mom_council.records import Absence, Status, StopReason, Usage, Verdict
from mom_council.runs.words import REASONS as REASONS
from mom_council.runs.words import ballot as ballot
from mom_council.runs.words import call_in_words
from mom_council.runs.words import counted as counted
from mom_council.runs.words import disagreement as disagreement
from mom_council.runs.words import joined as joined
from mom_council.runs.words import notes_to_show as notes_to_show
from mom_council.runs.words import plan as plan
from mom_council.runs.words import segment as segment
from mom_council.runs.words import tokens_per_second as tokens_per_second
from mom_council.ui.safe import one_line
from mom_council.voting.prior import in_tenths

STOPS: dict[StopReason, str] = {
    "agreed": "the council agreed",
    "decided": "no further ballot could change it",
    "sure": "the leading answer was sure enough",
    "stalled": "another round would have repeated this one",
    "rounds": "no rounds were left",
    "budget": "the budget was spent",
    "single": "there was one proposal only",
    "unvoted": "this council does not vote",
    "no_ballots": "nobody cast a ballot",
    "heat": "the hardware was too hot",
}


_WORTH_SAYING: tuple[StopReason, ...] = ("budget", "no_ballots", "heat")
"""Reasons for which a reader may trust the answer less."""

_ANSWER = 48
"""Characters of an answer in a headline."""
_SAME_SHARE = 0.005
_MOST_INSTEAD = 2
"""Other answers that fit into a headline."""


def missing(status: Status) -> str:
    """Who did not answer, and why, in one line; empty where everybody did."""
    if not status.absent:
        return ""
    whole = len(status.spoke) + len({one.character for one in status.absent} - {*status.spoke})
    count = len({one.character for one in status.absent})
    return f"{count} of {whole} did not answer: " + "; ".join(map(absent, status.absent))


def absent(absence: Absence) -> str:
    """Who is missing and why."""
    text = f"{absence.character} {REASONS[absence.reason]}"
    return text + (f": {absence.detail}" if absence.detail else "")


_NO_ANSWER = re.compile(r"\Amodel '[^']*' did not answer: ")


def why_absent(absence: Absence, *, named: bool = True) -> str:
    """Who is missing and why, without what each line of a list would repeat."""
    why = _NO_ANSWER.sub("", absence.detail) or REASONS[absence.reason]
    return f"{absence.character}: {why}" if named else why


def call(event: Called | Returned) -> str:
    """A call of a tool, in one line."""
    if isinstance(event, Called):
        return call_in_words(event)
    came = " ".join(event.text.split())
    mark = "failed: " if event.failed else ""
    return f"{event.tool}: {mark}{came[:200]}{'…' if len(came) > 200 else ''}"


def money(usd: float | None) -> str:
    """A price. An unknown one is called unknown, not nothing."""
    if usd is None:
        return "price unknown"
    return "free" if usd == 0 else f"${usd:.4f}"


def cost(usage: Usage, seconds: float) -> str:
    """What an answer cost, in one line."""
    calls = counted(usage.calls, "call")
    tokens = counted(usage.tokens, "token") if usage.tokens is not None else "tokens unknown"
    # That no prices are set is said once, before a question; that nothing is to be paid, never.
    price = (money(usage.usd),) if usage.usd else ()
    return " · ".join((f"{seconds:.1f} s", calls, tokens, *price))


def headline(status: Status) -> str:
    """How an answer came about, in one line: who agrees, and who says what instead."""
    spoke = len(status.spoke)
    parts = []
    verdict = status.verdict
    if verdict is not None and verdict.leader and verdict.share:
        if verdict.share >= 1 and not status.dissent and spoke > 1:
            parts.append(f"All {spoke} agree")
        else:
            parts.append(leading(verdict))
            parts += _instead(verdict, status.dissent)
        if verdict.confidence is not None:
            often = in_tenths(verdict.confidence)
            fitted = verdict.interval is None
            parts.append(f"right with {verdict.confidence:.0%}" if fitted else f"right {often}")
    elif verdict is not None and nobody_answered(verdict):
        parts.append(f"{NOBODY}: every reply declines, or does not know")
    elif spoke:
        parts.append(f"{spoke} answered")
    absentees = {one.character for one in status.absent if one.stage == "character"}
    if absentees:
        parts.append(f"{len(absentees)} did not answer")
    if status.rounds > 1:
        parts.append(counted(status.rounds, "round"))
    if status.stop_reason in _WORTH_SAYING:
        parts.append(STOPS[status.stop_reason])
    return " · ".join(parts)


def leading(verdict: Verdict) -> str:
    """Which answer leads, and how many are for it."""
    best = verdict.options[0] if verdict.options else None
    if best is None or not best.answer:
        return f"{verdict.share:.0%} for {verdict.leader}'s answer"
    answer = one_line(best.display_answer, _ANSWER)
    whole = sum(len(option.members) for option in verdict.options)
    if not verdict.ballots and abs(len(best.members) / whole - best.share) < _SAME_SHARE:
        return f"{len(best.members)} of {whole} say “{answer}”"
    return f"{verdict.share:.0%} for “{answer}”"


def _instead(verdict: Verdict, dissent: tuple[str, ...]) -> list[str]:
    """What those say who disagree; where there are too many, nothing."""
    lines = [
        f"{', '.join(names)}: “{one_line(option.display_answer, _ANSWER)}”"
        for option in verdict.options
        if option.answer and (names := [name for name in option.members if name in dissent])
    ]
    if lines:
        return lines if len(lines) <= _MOST_INSTEAD else []
    return (
        [
            f"{', '.join(dissent)} disagrees"
            if len(dissent) == 1
            else f"{', '.join(dissent)} disagree"
        ]
        if 0 < len(dissent) <= _MOST_INSTEAD
        else []
    )


def heat(one: Heat, since: float) -> str:
    """What the thermal watch says, `since` seconds after it said it."""
    if one.state == "no_sensor":
        return "No GPU temperature can be read here; the council does not wait for one."
    where = one.device or "The GPU"
    at = f"{where} is at {one.celsius:.0f} °C" if one.celsius is not None else f"{where} is silent"
    if one.state == "waiting":
        left = max(0.0, one.remaining - since)
        return f"{at}: waiting until it is at {one.resume:.0f} °C, for {clock(left)} at the most"
    if one.state == "gave_up":
        return f"{at}, above the limit of {one.limit:.0f} °C; the council stopped waiting"
    return f"{at} (limit {one.limit:.0f} °C)"


def sentence(text: str) -> str:
    """An error's message as a sentence: upper case and a full stop."""
    text = text.strip()
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")


def clock(seconds: float) -> str:
    """A countdown."""
    whole = int(seconds + 0.5)
    return f"{whole // 60}:{whole % 60:02d}" if whole >= 60 else f"{whole} s"
