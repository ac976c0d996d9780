"""The rows of an evaluation, one a line in its journal, and the scorecard computed from them."""

from __future__ import annotations

import hashlib
import json
import math
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mom_council.councils.schema import Council
from mom_council.errors import StorageError
from mom_council.evals.cases import Case
from mom_council.evals.intervals import bootstrap, paired
from mom_council.paths import refuse_newer
from mom_council.records import Record, Usage

VERSION = 1
"""Of the file's form; version 0.1 wrote none, which means 1."""
COUNCIL, SELF, MAJORITY, ORACLE = "council", "self", "majority", "oracle"


def member(name: str) -> str:
    """What the rows of a member on its own are called."""
    return f"member: {name}"


class EvalRow(BaseModel):
    """One system's answer to one case, marked."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    case: str = Field(description="the case's key")
    system: str = Field(description="council, self, or member: NAME")
    ok: bool
    answer: str | None = Field(default=None, description="the final answer in one form")
    text: str = Field(default="", description="the whole answer")
    by: str = Field(default="", description="provider/model that answered; empty: not known")
    confidence: float | None = Field(default=None, description="that was reported with it, 0..1")
    calibrated: bool = Field(
        default=False, description="the confidence was fitted; else it is the share of the vote"
    )
    agrees: bool | None = Field(
        default=None,
        description="council: the final text gives the answer that the verdict led with",
    )
    stop_reason: str | None = None
    usage: Usage = Field(default=Usage(), description="calls, tokens, dollars; work in seconds")
    seconds: float = Field(default=0.0, description="critical path: the slowest call of each step")
    error: str = Field(default="", description="why there is no answer")
    note: str = ""


class EvalJournal:
    """The rows in a file, or in memory where there is none.

    Raises:
        StorageError: the file is no journal, is of another council, or cannot be written.
    """

    def __init__(self, path: Path | str | None, council: Council, **settings: Any) -> None:
        self._path = None if path is None else Path(path).expanduser()
        self.rows: dict[tuple[str, str], EvalRow] = {}
        head = {"evaluation": council.name, "fingerprint": _fingerprint(council, settings)}
        if self._path is None:
            return
        if self._path.exists() and self._path.stat().st_size:
            self._read(head)
        else:
            self._write([json.dumps({"version": VERSION, **head})])

    def add(self, rows: Iterable[EvalRow]) -> None:
        """Keep rows; on disk before this returns."""
        fresh = list(rows)
        self.rows |= {(row.system, row.case): row for row in fresh}
        if self._path is not None:
            self._write([row.model_dump_json(exclude_defaults=True) for row in fresh])

    def has(self, system: str, case: str) -> bool:
        """Whether a row is there."""
        return (system, case) in self.rows

    def of(self, system: str) -> dict[str, EvalRow]:
        """A system's rows by their cases."""
        return {case: row for (name, case), row in self.rows.items() if name == system}

    def _read(self, head: dict[str, Any]) -> None:
        assert self._path is not None  # noqa: S101 - for the type checker
        try:
            # At line feeds alone: an answer may hold U+2028 or U+0085, which are no ends of rows.
            text = self._path.read_text(encoding="utf-8")
            first, *lines = text.removesuffix("\n").split("\n")
            begun = json.loads(first)
            refuse_newer(str(self._path), int(begun.pop("version", VERSION)), VERSION)
            if begun != head:
                raise StorageError(
                    (
                        f"{str(self._path)!r} holds an evaluation of another council, or under "
                        "other settings"
                    ),
                    cure="name another file, or delete it",
                )
            for at, line in enumerate(lines):
                try:
                    row = EvalRow.model_validate_json(line)
                except ValidationError:
                    if at == len(lines) - 1:
                        # The run was killed while it wrote this line: it is done again.
                        self._path.write_text("\n".join([first, *lines[:-1]]) + "\n", "utf-8")
                        break
                    raise
                self.rows[row.system, row.case] = row
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise StorageError(
                f"{str(self._path)!r} cannot be gone on with ({type(error).__name__})",
                cure="name another file, or delete it",
            ) from None

    def _write(self, lines: Iterable[str]) -> None:
        assert self._path is not None  # noqa: S101 - for the type checker
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.writelines(f"{line}\n" for line in lines)
        except OSError as error:
            raise StorageError(
                f"rows cannot be written to {str(self._path)!r}: {error.strerror}"
            ) from None


def _fingerprint(council: Council, settings: dict[str, Any]) -> str:
    text = council.model_dump_json(exclude=_not_in_use(council)) + json.dumps(
        settings, sort_keys=True
    )
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _not_in_use(council: Council) -> dict[str, Any]:
    """Settings that came after the first journals: they count only where a council uses them.

    Every setting that a council gains belongs here, or no older journal is gone on with.
    """
    later = {
        "unsure": "answer",
        "ask_doubtful": False,
        "cluster_open": False,
        "escalation": "reads",
    }
    rules = {name for name, usual in later.items() if getattr(council.deliberation, name) == usual}
    models = {
        name: {
            **({"files": True} if model.files is None else {}),
            **({"price": {"picture"}} if model.price and model.price.picture is None else {}),
        }
        for name, model in council.models.items()
    }
    budget = {"worst_price"} if council.budget.worst_price is None else set()
    synthesizer = {
        name
        for name in ("after_tools", "reads", "omit")
        if getattr(council.synthesizer, name)
        == type(council.synthesizer).model_fields[name].default
    }
    return {"deliberation": rules, "models": models, "budget": budget, "synthesizer": synthesizer}


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


class MeasuredValue(Record):
    """A number and its interval of 95 %, by bootstrap over the questions."""

    value: float
    low: float
    high: float


class SystemScore(Record):
    """One way of answering, on all questions. What is per question is a mean, seconds a median."""

    name: str
    label: str
    accuracy: MeasuredValue
    gain: MeasuredValue | None = None
    """Of the council over this one, on the same questions."""
    calls: float = 0.0
    tokens: float | None = None
    usd: float | None = None
    seconds: float = 0.0
    """Critical path: the slowest call of each step."""
    failed: int = 0
    """Questions without any answer."""


class CalibrationBin(Record):
    """Answers of about the same reported confidence."""

    number: int
    confidence: float
    accuracy: float


class AgreementLevel(Record):
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
    systems: tuple[SystemScore, ...]
    calibration: tuple[CalibrationBin, ...] = ()
    calibration_error: float | None = None
    """Expected: the mean distance of confidence and accuracy, over bins."""
    calibrated: int = 0
    """Questions whose confidence was fitted; elsewhere the share of the vote stands for it."""
    agreement: tuple[AgreementLevel, ...] = ()
    alike: dict[str, dict[str, float]] = Field(default_factory=dict)
    """Pairs of members: how often they give the same answer."""
    text_agrees: float | None = None
    """How often the final text gives the answer that led the vote."""
    notes: tuple[str, ...] = ()

    def system(self, name: str) -> SystemScore:
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
    compared = {name: [mine[key] for key in keys] for name, mine in rows.items()}
    members = [compared[name] for name in seats]
    if len(seats) > 1:
        if any(row.answer is not None for of in members for row in of):
            compared[MAJORITY] = [_majority(answers) for answers in zip(*members, strict=True)]
        compared[ORACLE] = [_oracle(answers) for answers in zip(*members, strict=True)]
    best = max(seats, key=lambda name: sum(row.ok for row in compared[name]))
    bins, error = _calibration(compared[COUNCIL])
    agrees = [row.agrees for row in compared[COUNCIL] if row.agrees is not None]
    return Scorecard(
        council=council.name,
        questions=len(keys),
        best=best.removeprefix(member("")),
        systems=tuple(
            _system(name, compared[name], compared[COUNCIL], best=best)
            for name in dict.fromkeys((COUNCIL, best, SELF, MAJORITY, *seats, ORACLE))
            if name in compared
        ),
        calibration=bins,
        calibration_error=error,
        calibrated=sum(row.calibrated for row in compared[COUNCIL]),
        agreement=_agreement(members),
        alike=_alike({name.removeprefix(member("")): compared[name] for name in seats}),
        text_agrees=sum(agrees) / len(agrees) if agrees else None,
        notes=tuple(notes),
    )


def _system(
    name: str, rows: Sequence[EvalRow], ours: Sequence[EvalRow], *, best: str
) -> SystemScore:
    draws = max(_LEAST_DRAWS, min(_MOST_DRAWS, _WORK // len(rows)))
    right = [float(row.ok) for row in rows]
    gain = None
    if name != COUNCIL:
        gain = MeasuredValue(
            **paired([float(row.ok) for row in ours], right, draws=draws)._asdict()
        )
    labels = {
        COUNCIL: "the council",
        SELF: "samples of the best member",
        MAJORITY: "plain majority of the members",
        ORACLE: "oracle: any member right",
    }
    label = labels.get(name, name.removeprefix(member("")))
    return SystemScore(
        name=name,
        label=f"{label} (best member)" if name == best else label,
        accuracy=MeasuredValue(**bootstrap(right, draws=draws)._asdict()),
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


def _calibration(rows: Sequence[EvalRow]) -> tuple[tuple[CalibrationBin, ...], float | None]:
    """Bins of equal width, and the expected calibration error over them."""
    pairs = [(row.confidence, row.ok) for row in rows if row.confidence is not None]
    bins = []
    for at in range(BINS):
        inside = [one for one in pairs if min(BINS - 1, math.floor(one[0] * BINS)) == at]
        if inside:
            bins.append(
                CalibrationBin(
                    number=len(inside),
                    confidence=statistics.fmean(confidence for confidence, _ in inside),
                    accuracy=statistics.fmean(ok for _, ok in inside),
                )
            )
    if not pairs:
        return (), None
    error = sum(one.number * abs(one.confidence - one.accuracy) for one in bins) / len(pairs)
    return tuple(bins), error


def _agreement(members: Sequence[Sequence[EvalRow]]) -> tuple[AgreementLevel, ...]:
    by_size: dict[int, list[bool]] = {}
    for rows in zip(*members, strict=True):
        answers = [row.answer for row in rows]
        chosen, _ = plurality_of(answers)
        if chosen is not None:
            by_size.setdefault(answers.count(answers[chosen]), []).append(rows[chosen].ok)
    return tuple(
        AgreementLevel(members=many, number=len(right), accuracy=statistics.fmean(right))
        for many, right in sorted(by_size.items(), reverse=True)
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
    numbers = [value for value in values if value is not None]
    return statistics.fmean(numbers) if numbers else None
