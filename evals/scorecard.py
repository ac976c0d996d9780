"""What an evaluation says: every system's accuracy with its interval, its cost, and the gain."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from pydantic import Field

from mom_council.councils.schema import Council
from mom_council.evals.cases import Case
from mom_council.evals.intervals import bootstrap, paired
from mom_council.evals.journal import COUNCIL, MAJORITY, ORACLE, SELF, EvalJournal, EvalRow, member
from mom_council.records import Record, Usage


def plurality_of(answers: Sequence[str | None]) -> tuple[int | None, float]:
    """Where the most frequent answer stands first, and its share of those who answered.

    The earliest of equally frequent answers wins; None is no answer. (None, 0.0) without any.
    """
    counts = Counter(answer for answer in answers if answer is not None)
    if not counts:
        return None, 0.0
    best, number = max(counts.items(), key=lambda pair: pair[1])  # first seen, on a tie
    return list(answers).index(best), number / counts.total()


BINS = 10
_LEAST_DRAWS, _MOST_DRAWS, _WORK = 400, 2000, 2_000_000


class Between(Record):
    """A number and its interval of 95 %, by bootstrap over the questions."""

    value: float
    low: float
    high: float


class System(Record):
    """One way of answering, on all questions. What is per question is a mean, seconds a median."""

    name: str
    label: str
    accuracy: Between
    gain: Between | None = None
    """Of the council over this one, on the same questions."""
    calls: float = 0.0
    tokens: float | None = None
    usd: float | None = None
    seconds: float = 0.0
    """Critical path: the slowest call of each step."""
    failed: int = 0
    """Questions without any answer."""


class Bin(Record):
    """Answers of about the same reported confidence."""

    number: int
    confidence: float
    accuracy: float


class Agreed(Record):
    """Questions on which so many members gave the most frequent answer."""

    members: int
    number: int
    accuracy: float
    """Of that answer."""


class Scorecard(Record):
    """An evaluation."""

    council: str
    questions: int
    best: str
    """The best single member."""
    systems: tuple[System, ...]
    calibration: tuple[Bin, ...] = ()
    calibration_error: float | None = None
    """Expected: the mean distance of confidence and accuracy, over bins."""
    calibrated: int = 0
    """Questions whose confidence was fitted; elsewhere the share of the vote stands for it."""
    agreement: tuple[Agreed, ...] = ()
    alike: dict[str, dict[str, float]] = Field(default_factory=dict)
    """Pairs of members: how often they give the same answer."""
    text_agrees: float | None = None
    """How often the final text gives the answer that led the vote."""
    notes: tuple[str, ...] = ()

    def system(self, name: str) -> System:
        """The system called `name`.

        Raises:
            KeyError: there is none.
        """
        for one in self.systems:
            if one.name == name:
                return one
        raise KeyError(name)


def score_up(
    council: Council, cases: Sequence[Case], journal: EvalJournal, notes: Iterable[str] = ()
) -> Scorecard:
    """Compare the systems on the cases that all of them have rows of.

    Raises:
        ValueError: there is no case with the council's row and every member's.
    """
    seats = [member(who.name) for who in council.characters]
    rows = {name: journal.of(name) for name in (COUNCIL, *seats, SELF)}
    keys = [case.key for case in cases if all(case.key in rows[name] for name in (COUNCIL, *seats))]
    if not keys:
        raise ValueError("there is no question yet that the council and all members had a turn at")
    if not all(key in rows[SELF] for key in keys):
        del rows[SELF]
    kept = {name: [mine[key] for key in keys] for name, mine in rows.items()}
    members = [kept[name] for name in seats]
    if len(seats) > 1:
        if any(row.answer is not None for of in members for row in of):
            kept[MAJORITY] = [_majority(answers) for answers in zip(*members, strict=True)]
        kept[ORACLE] = [_oracle(answers) for answers in zip(*members, strict=True)]
    best = max(seats, key=lambda name: sum(row.ok for row in kept[name]))
    bins, error = _calibration(kept[COUNCIL])
    told = [row.agrees for row in kept[COUNCIL] if row.agrees is not None]
    return Scorecard(
        council=council.name,
        questions=len(keys),
        best=best.removeprefix(member("")),
        systems=tuple(
            _system(name, kept[name], kept[COUNCIL], best=best)
            for name in dict.fromkeys((COUNCIL, best, SELF, MAJORITY, *seats, ORACLE))
            if name in kept
        ),
        calibration=bins,
        calibration_error=error,
        calibrated=sum(row.calibrated for row in kept[COUNCIL]),
        agreement=_agreement(members),
        alike=_alike({name.removeprefix(member("")): kept[name] for name in seats}),
        text_agrees=sum(told) / len(told) if told else None,
        notes=tuple(notes),
    )


def _system(name: str, rows: Sequence[EvalRow], ours: Sequence[EvalRow], *, best: str) -> System:
    draws = max(_LEAST_DRAWS, min(_MOST_DRAWS, _WORK // len(rows)))
    right = [float(row.ok) for row in rows]
    gain = None
    if name != COUNCIL:
        gain = Between(**paired([float(row.ok) for row in ours], right, draws=draws)._asdict())
    labels = {
        COUNCIL: "the council",
        SELF: "samples of the best member",
        MAJORITY: "plain majority of the members",
        ORACLE: "oracle: any member right",
    }
    label = labels.get(name, name.removeprefix(member("")))
    return System(
        name=name,
        label=f"{label} (best member)" if name == best else label,
        accuracy=Between(**bootstrap(right, draws=draws)._asdict()),
        gain=gain,
        calls=statistics.fmean(row.usage.calls for row in rows),
        tokens=_mean(row.usage.tokens for row in rows),
        usd=_mean(row.usage.usd for row in rows),
        seconds=statistics.median(row.seconds for row in rows),
        failed=sum(bool(row.error) and not row.ok and not row.answer for row in rows),
    )


def _majority(rows: Sequence[EvalRow]) -> EvalRow:
    """The plain vote of the members' own answers; it costs what they all cost."""
    chosen, share = plurality_of([row.answer for row in rows])
    base = rows[chosen or 0]
    return base.model_copy(
        update={
            "system": MAJORITY,
            "ok": chosen is not None and base.ok,
            "confidence": share,
            "usage": sum((row.usage for row in rows), Usage()),
            "seconds": max(row.seconds for row in rows),
        }
    )


def _oracle(rows: Sequence[EvalRow]) -> EvalRow:
    lucky = next((row for row in rows if row.ok), rows[0])
    return lucky.model_copy(update={"system": ORACLE, "usage": Usage(), "seconds": 0.0})


def _calibration(rows: Sequence[EvalRow]) -> tuple[tuple[Bin, ...], float | None]:
    """Bins of equal width, and the expected calibration error over them."""
    told = [(row.confidence, row.ok) for row in rows if row.confidence is not None]
    bins = []
    for at in range(BINS):
        inside = [one for one in told if min(BINS - 1, math.floor(one[0] * BINS)) == at]
        if inside:
            bins.append(
                Bin(
                    number=len(inside),
                    confidence=statistics.fmean(said for said, _ in inside),
                    accuracy=statistics.fmean(ok for _, ok in inside),
                )
            )
    if not told:
        return (), None
    error = sum(one.number * abs(one.confidence - one.accuracy) for one in bins) / len(told)
    return tuple(bins), error


def _agreement(members: Sequence[Sequence[EvalRow]]) -> tuple[Agreed, ...]:
    found: dict[int, list[bool]] = {}
    for rows in zip(*members, strict=True):
        answers = [row.answer for row in rows]
        chosen, _ = plurality_of(answers)
        if chosen is not None:
            found.setdefault(answers.count(answers[chosen]), []).append(rows[chosen].ok)
    return tuple(
        Agreed(members=many, number=len(right), accuracy=statistics.fmean(right))
        for many, right in sorted(found.items(), reverse=True)
    )


def _alike(members: Mapping[str, Sequence[EvalRow]]) -> dict[str, dict[str, float]]:
    def share(one: Sequence[EvalRow], other: Sequence[EvalRow]) -> float:
        same = [
            a.answer is not None and a.answer == b.answer for a, b in zip(one, other, strict=True)
        ]
        return round(statistics.fmean(same), 4)

    return {
        name: {other: share(rows, theirs) for other, theirs in members.items() if other != name}
        for name, rows in members.items()
    }


def _mean(values: Iterable[float | None]) -> float | None:
    """None where nothing is known; what is not known of some is left out."""
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known else None
