"""A question with its answer and the whole debate, as Markdown: a file to keep or to send."""

from __future__ import annotations

from collections.abc import Iterator

from mom_council.records import Status
from mom_council.runs.follow import RoundView, RunView
from mom_council.ui import words

_LONGEST_HEADING = 120
"""Characters of a question that can be the heading; a longer one stands below a heading."""


def debate_in_markdown(question: str, answer: str, view: RunView) -> str:
    """The question, the answer, how it came about, and what everybody said and voted.

    Answers stand as they were written.
    """
    return "\n\n".join(_parts(question, answer, view)) + "\n"


def _parts(question: str, answer: str, view: RunView) -> Iterator[str]:
    if "\n" in question or len(question) > _LONGEST_HEADING:
        yield f"# A question to the council\n\n{question}\n\n## Answer"
    else:
        yield f"# {question}"
    yield answer
    if view.status is not None:
        yield from _label(view.status)
    for one in view.rounds:
        yield f"## Round {one.number}"
        yield from _round(one)
    name = f" “{view.status.council}”" if view.status is not None else ""
    yield "---"
    yield f"Answered by the council{name} with Mixture of Models."


def _label(status: Status) -> Iterator[str]:
    lines = [words.headline(status), words.missing(status), *words.joined(status)]
    lines.append(words.cost(status.usage, status.seconds))
    yield "\n".join(f"- {line}" for line in lines if line)


def _round(one: RoundView) -> Iterator[str]:
    for seat in one.seats.values():
        model = f" ({seat.model})" if seat.model else ""
        yield f"### {seat.speaker.name}{model}"
        if seat.text:
            yield seat.text
        elif seat.absence is not None:
            yield words.absent(seat.absence)
    ballots = [
        f"- **{vote.voter}** → {words.ballot(vote)}"
        + (f": {' '.join(vote.reason.split())}" if vote.reason else "")
        for vote in one.ballots
    ]
    ballots += [f"- {words.absent(absence)}" for absence in one.unvoted]
    if ballots:
        yield "### Ballots"
        yield "\n".join(ballots)
    if one.counted is not None and one.counted.why:
        yield words.sentence(one.counted.why)
