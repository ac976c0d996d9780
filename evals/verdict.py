"""Whether a council pays on a user's own questions: the verdict, from the rows of a run.

What is compared is the council as it is written, with its price. The member and the rule that it is
compared with are chosen on other questions than those they are scored on (ten folds), so neither
looks better than it is. Gains have the score interval of paired marks, which is honest for few
questions. Advice is given only where it does not lose:

- "ask the council" or "ask X alone" where the interval of the gain lies on one side of 0; the
  council's also on average with that over the member that was best on these questions;
- "drop X" where X is clearly worse than half of the others, the vote without it lost no question
  and won one, and that held on questions which had no part in choosing X.

`benchmarks.pays` measures how often that is right on other questions.

Without right answers only agreement is said: how often the council's answer is another one than a
member's bounds what it can gain over that member, whatever the truth.
"""

from __future__ import annotations

import math
import statistics
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field

from mom_council.evals.audit import whom_to_drop
from mom_council.evals.cases import Case
from mom_council.evals.intervals import (
    Interval,
    clopper_pearson,
    gain_interval,
    paired_shares,
    wilson,
)
from mom_council.evals.rules import COUNTING, cross_fitted, most_right
from mom_council.evals.scorecard import COUNCIL, EvalRow, MeasuredValue, member
from mom_council.evals.sheet import Line, Sheet
from mom_council.records import Record, Usage

FOLDS = 10
_LEAST_OF_A_KIND = 10
"""Questions below which nothing is said of a kind."""
_LEAST_ALIKE = 20
"""Questions without right answers below which no member can stand for the council."""

Advice = Literal["council", "member", "samples", "undecided"]
_Of = Literal["price", "calls"]


class AnswerWay(Record):
    """One way to answer. What is per question is a mean, seconds are a median."""

    name: str = Field(description="council, best member, samples, best rule, or member: NAME")
    label: str
    accuracy: MeasuredValue | None = Field(
        default=None, description="None: no right answers are known"
    )
    gain: MeasuredValue | None = Field(default=None, description="of the council over it, paired")
    calls: float
    tokens: float | None = None
    usd: float | None = None
    seconds: float
    slow: float = Field(description="seconds that one question in ten takes longer than")


class KindVerdict(Record):
    """What to ask for one kind of question."""

    kind: str
    questions: int
    council: float
    member: float
    gain: MeasuredValue = Field(
        description="of the council over the best member, widened for the kinds"
    )
    advice: Advice


class DroppableMember(Record):
    """A member that the council does better without."""

    member: str
    won: int = Field(description="questions that the vote wins without it; it loses none")
    gain: MeasuredValue = Field(
        description="where it was chosen on other questions than the scored ones"
    )
    saves: float | None = Field(description="share of the members' price; of calls where unknown")


class MemberLikeness(Record):
    """How often one member alone gives the council's answer."""

    member: str
    same: int
    questions: int
    differs_at_most: float = Field(description="share of such questions, upper bound of 97.5 %")


class PaysVerdict(Record):
    """Whether a council pays. Shares are 0..1, intervals of 95 %."""

    council: str
    questions: int
    scored: int = Field(description="questions whose right answer is known")
    cannot_tell: float | None = Field(description="gains below it cannot be told by so many")
    advice: Advice
    member: str | None = Field(description="the best member; without right answers the nearest")
    chosen: float = Field(default=0.0, description="share of the folds that chose it")
    gain: MeasuredValue | None = Field(
        default=None, description="of the council over the best member"
    )
    times: float | None = Field(default=None, description="the council's price, in the member's")
    times_of: _Of = "calls"
    needed: int | None = Field(default=None, description="questions that might tell, if undecided")
    best_rule: str | None = Field(default=None, description="of counting the members' own answers")
    any_right: float | None = Field(default=None, description="share where some member is right")
    ways: tuple[AnswerWay, ...]
    kinds: tuple[KindVerdict, ...] = ()
    small_kinds: int = Field(default=0, description="kinds with too few questions for that")
    drop: tuple[DroppableMember, ...] = ()
    alike: tuple[MemberLikeness, ...] = ()
    failed: int = Field(default=0, description="questions that the council had no answer to")
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Panel:
    """What was answered: one row for each of the cases, in their order."""

    council: str
    cases: Sequence[Case]
    ours: Sequence[EvalRow]
    members: Mapping[str, Sequence[EvalRow]]
    """Of each member on its own, in seat order."""
    weights: Mapping[str, float]
    """Of the members' votes, as the council says."""
    samples: Sequence[EvalRow] = ()
    """Of the member that was best on other questions; empty: none were taken."""

    @property
    def names(self) -> list[str]:
        """The members, in seat order."""
        return list(self.members)


def is_scored(case: Case) -> bool:
    """Whether an answer to it can be right or wrong."""
    return case.gold is not None or case.check is not None


def fold_of(case: Case) -> int:
    """The fold of a question: always the same, whatever others there are."""
    return zlib.crc32(case.key.encode()) % FOLDS


def best_members(cases: Sequence[Case], members: Mapping[str, Sequence[EvalRow]]) -> dict[int, str]:
    """For each fold the member that was right most often on the *other* folds.

    Of equals the cheaper, then the earlier one.
    """
    return {
        fold: _best(members, [at for at, case in enumerate(cases) if fold_of(case) != fold])
        for fold in range(FOLDS)
    }


def _best(members: Mapping[str, Sequence[EvalRow]], places: Sequence[int]) -> str:
    def worth(name: str) -> tuple[int, float]:
        rows = members[name]
        return sum(rows[at].ok for at in places), -(_price(rows) or 0.0)

    return max(members, key=worth)


def judge(panel: Panel, notes: Sequence[str] = ()) -> PaysVerdict:
    """Say whether a council pays.

    Raises:
        ValueError: there is no question.
    """
    if not panel.cases:
        raise ValueError("cases is empty; a verdict needs at least one question")
    scored = [at for at, case in enumerate(panel.cases) if is_scored(case)]
    facts: dict[str, Any] = {
        "council": panel.council,
        "questions": len(panel.cases),
        "scored": len(scored),
        "failed": sum(bool(row.error) and not row.text for row in panel.ours),
        "alike": _alike(panel),
        "notes": tuple(notes),
    }
    return _judge_scored(_only(panel, scored), facts) if scored else _judge_unscored(panel, facts)


def _only(panel: Panel, places: Sequence[int]) -> Panel:
    def of(rows: Sequence[EvalRow]) -> list[EvalRow]:
        return [rows[at] for at in places] if rows else []

    return Panel(
        panel.council,
        [panel.cases[at] for at in places],
        of(panel.ours),
        {name: of(rows) for name, rows in panel.members.items()},
        panel.weights,
        of(panel.samples),
    )


def _judge_scored(panel: Panel, facts: dict[str, Any]) -> PaysVerdict:
    ours = [row.ok for row in panel.ours]
    chosen = best_members(panel.cases, panel.members)
    folds = [fold_of(case) for case in panel.cases]
    alone = [panel.members[chosen[fold]][at] for at, fold in enumerate(folds)]
    named = _best(panel.members, range(len(folds)))
    counted = len(panel.members) > 1 and any(row.answer for row in panel.members[named])
    sheet = sheet_of_rows(panel)
    rule, by_rule = _best_rule(panel, sheet, folds) if counted else (None, [])
    gain = paired_shares(ours, [row.ok for row in alone])
    over_named = paired_shares(ours, [row.ok for row in panel.members[named]])
    if _may_be_luck(gain, over_named):
        alone, gain = [*panel.members[named]], over_named
    ways = [
        _way(COUNCIL, "the council as written", panel.ours, panel),
        _way("best member", f"{named} alone (the best member)", alone, panel),
    ]
    if panel.samples:
        number = round(statistics.median(row.usage.calls for row in panel.samples))
        label = f"most frequent of {number} answers of the best member"
        ways.append(_way("samples", label, panel.samples, panel))
    if rule is not None:
        ways.append(_way("best rule", f"the members' own answers, {rule} votes", by_rule, panel))
    ways += [_way(member(name), name, rows, panel) for name, rows in panel.members.items()]
    times, times_of = _times(panel.ours, alone)
    half = _half_width(ours, [row.ok for row in alone])
    right = [any(rows[at].ok for rows in panel.members.values()) for at in range(len(folds))]
    kinds = _kinds(panel, alone, panel.members[named])
    advice = _advice(gain.low, gain.high, panel, ours, alone)
    return PaysVerdict(
        **facts,
        cannot_tell=half,
        advice=advice,
        member=named,
        chosen=sum(chosen[fold] == named for fold in folds) / len(folds),
        gain=MeasuredValue(**gain._asdict()),
        times=times,
        times_of=times_of,
        needed=_questions_needed(gain.value, half, len(ours)) if advice == "undecided" else None,
        best_rule=rule,
        any_right=sum(right) / len(right),
        ways=tuple(ways),
        kinds=kinds,
        small_kinds=len({case.kind for case in panel.cases}) - len(kinds) if kinds else 0,
        drop=_drop(panel, sheet, folds) if counted else (),
    )


def _judge_unscored(panel: Panel, facts: dict[str, Any]) -> PaysVerdict:
    nearest = max(panel.names, key=lambda name: _same(panel.ours, panel.members[name])[0])
    rows = panel.members[nearest]
    same, number = _same(panel.ours, rows)
    times, times_of = _times(panel.ours, rows)
    stands_in = number >= _LEAST_ALIKE and same == number and (times or 0) > 1
    ways = [_way(COUNCIL, "the council as written", panel.ours)]
    ways += [_way(member(name), name, rows) for name, rows in panel.members.items()]
    return PaysVerdict(
        **facts,
        cannot_tell=None,
        advice="member" if stands_in else "undecided",
        member=nearest if number else None,
        times=times,
        times_of=times_of,
        ways=tuple(ways),
    )


def _may_be_luck(gain: Interval, over_named: Interval) -> bool:
    """Whether a gain may only come of whom it is over.

    Of equals, who was best on the other questions was worst on these, and who was best on these
    had luck: the truth lies between.
    """
    return gain.low > 0 and (over_named.value <= 0 or gain.low + over_named.low <= 0)


def _advice(
    low: float, high: float, panel: Panel, ours: Sequence[bool], alone: Sequence[EvalRow]
) -> Advice:
    """What to ask; `undecided` where the questions cannot tell."""
    sampled = [row.ok for row in panel.samples]
    if sampled:
        over_ours = paired_shares(sampled, ours)
        over_alone = paired_shares(sampled, [row.ok for row in alone])
        cheaper = (_times(panel.ours, panel.samples)[0] or 0) > 1
        if over_alone.low > 0 and (over_ours.low > 0 or (over_ours.value >= 0 and cheaper)):
            return "samples"
    if low > 0:
        return "council"
    return "member" if high < 0 else "undecided"


def _way(name: str, label: str, rows: Sequence[EvalRow], panel: Panel | None = None) -> AnswerWay:
    """One way; with the panel also how often it is right, and what the council gains over it."""
    right = [row.ok for row in rows]
    has_panel, gain = panel is not None, None
    if panel is not None and name != COUNCIL:
        gain = paired_shares([row.ok for row in panel.ours], right)
    seconds = sorted(row.seconds for row in rows)
    return AnswerWay(
        name=name,
        label=label,
        accuracy=MeasuredValue(**wilson(sum(right), len(right))._asdict()) if has_panel else None,
        gain=None if gain is None else MeasuredValue(**gain._asdict()),
        calls=statistics.fmean(row.usage.calls for row in rows),
        tokens=_mean([row.usage.tokens for row in rows]),
        usd=_price(rows),
        seconds=statistics.median(seconds),
        slow=seconds[min(len(seconds) - 1, math.ceil(0.9 * len(seconds)) - 1)],
    )


def _kinds(
    panel: Panel, alone: Sequence[EvalRow], named: Sequence[EvalRow]
) -> tuple[KindVerdict, ...]:
    """The same for each kind with enough questions; the more kinds, the wider the intervals."""
    places: dict[str, list[int]] = {}
    for at, case in enumerate(panel.cases):
        places.setdefault(case.kind, []).append(at)
    large = {kind: some for kind, some in places.items() if len(some) >= _LEAST_OF_A_KIND}
    if len(places) < 2:
        return ()
    verdicts = []
    for kind, some in sorted(large.items()):
        ours = [panel.ours[at].ok for at in some]
        theirs, level = [alone[at].ok for at in some], 1 - 0.05 / len(large)
        gain = paired_shares(ours, theirs, level)
        over_named = paired_shares(ours, [named[at].ok for at in some], level)
        if _may_be_luck(gain, over_named):
            theirs, gain = [named[at].ok for at in some], over_named
        verdicts.append(
            KindVerdict(
                kind=kind,
                questions=len(some),
                council=sum(ours) / len(some),
                member=sum(theirs) / len(some),
                gain=MeasuredValue(**gain._asdict()),
                advice="council" if gain.low > 0 else "member" if gain.high < 0 else "undecided",
            )
        )
    return tuple(verdicts)


def _drop(panel: Panel, sheet: Sheet, folds: Sequence[int]) -> tuple[DroppableMember, ...]:
    """Whom to drop, with what that saves."""
    weights = [panel.weights[name] for name in sheet.models]
    return tuple(
        DroppableMember(
            member=one.member,
            won=one.won,
            gain=MeasuredValue(**one.gain._asdict()),
            saves=_saved(panel, one.member),
        )
        for one in whom_to_drop(sheet, weights, folds)
    )


def _saved(panel: Panel, name: str) -> float | None:
    """The share of the members' price that one of them has."""
    prices = {one: _price(rows) for one, rows in panel.members.items()}
    amounts = [price for price in prices.values() if price is not None]
    if len(amounts) < len(prices) or not sum(amounts):
        return 1 / len(prices)
    return (prices[name] or 0.0) / sum(amounts)


def sheet_of_rows(panel: Panel) -> Sheet:
    """The members' own answers, laid out for counting rules."""
    lines = []
    for at, case in enumerate(panel.cases):
        rows = [panel.members[name][at] for name in panel.names]
        lines.append(
            Line(
                id=case.key,
                fold="cal",
                said=tuple(row.answer for row in rows),
                right=frozenset(row.answer for row in rows if row.ok and row.answer is not None),
                usd=tuple(row.usage.usd or 0.0 for row in rows),
            )
        )
    return Sheet(tuple(panel.names), tuple(lines))


def _best_rule(panel: Panel, sheet: Sheet, folds: Sequence[int]) -> tuple[str, list[EvalRow]]:
    """The best way to count the members' answers, and its rows.

    Each rule learns on the other folds, and which rule counts is chosen by the other folds too.
    """
    marks = {name: cross_fitted(fit, sheet, folds) for name, fit in COUNTING.items()}
    every = range(len(folds))
    rows = []
    for at in every:
        rule = most_right(marks, [one for one in every if folds[one] != folds[at]])
        whole = [rows_[at] for rows_ in panel.members.values()]
        usage = sum((row.usage for row in whole), Usage())
        seconds = max(row.seconds for row in whole)
        update = {"ok": marks[rule][at], "usage": usage, "seconds": seconds}
        rows.append(whole[0].model_copy(update=update))
    return most_right(marks, every), rows


def _times(ours: Sequence[EvalRow], theirs: Sequence[EvalRow]) -> tuple[float | None, _Of]:
    """How many times as dear we are; by price where both have one, else by calls."""
    our_price, their_price = _price(ours), _price(theirs)
    if our_price and their_price:
        return our_price / their_price, "price"
    calls = [sum(row.usage.calls for row in rows) for rows in (ours, theirs)]
    return (calls[0] / calls[1] if calls[1] else None), "calls"


def _half_width(ours: Sequence[bool], theirs: Sequence[bool]) -> float:
    """How large a gain must be to be told, where both differ on so many questions."""
    differ = sum(one != other for one, other in zip(ours, theirs, strict=True))
    return gain_interval(differ // 2, differ // 2, len(ours)).high


def tellable_gain(number: int, share: float = 0.1) -> float:
    """The least gain that so many questions can tell, where two ways differ on a share of them."""
    return gain_interval(int(number * share / 2), int(number * share / 2), number).high


def _questions_needed(gain: float, half: float, number: int) -> int | None:
    """Questions that would tell a gain of this size; None where it is too small to say."""
    if abs(gain) < 0.005:
        return None
    return math.ceil(number * (half / gain) ** 2 / 10) * 10


def _alike(panel: Panel) -> tuple[MemberLikeness, ...]:
    likenesses = []
    for name, rows in panel.members.items():
        same, number = _same(panel.ours, rows)
        if number:
            most = clopper_pearson(number - same, number).high
            likenesses.append(
                MemberLikeness(member=name, same=same, questions=number, differs_at_most=most)
            )
    return tuple(likenesses)


def _same(ours: Sequence[EvalRow], theirs: Sequence[EvalRow]) -> tuple[int, int]:
    """On how many questions both gave the same answer, and how many have an answer of ours."""
    pairs = [(a.answer, b.answer) for a, b in zip(ours, theirs, strict=True) if a.answer]
    return sum(one == other for one, other in pairs), len(pairs)


def _mean(values: Sequence[int | float | None]) -> float | None:
    """None where nothing is known; what is not known of some is left out."""
    numbers = [value for value in values if value is not None]
    return statistics.fmean(numbers) if numbers else None


def _price(rows: Sequence[EvalRow]) -> float | None:
    """Dollars a question; None where no price is known."""
    return _mean([row.usage.usd for row in rows])
