"""Does my council pay? An audit of recorded answers.

The best member, the best vote, the weights and whom to drop are chosen on the `cal` fold and
everything is scored on the `eval` fold; a recording of one fold is split in two by question. Errors
that models make together are one voice, not many: `effective_voices` counts how many a panel has.

Sources: L. Kish, *Survey Sampling* (1965), for the effective number of correlated observations;
K. Ladha, "The Condorcet Jury Theorem, Free Speech, and Correlated Votes", American Journal of
Political Science 36 (1992).
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from mom_council.councils.recording import Fold, RecordedQuestion, RecordingError
from mom_council.evals.intervals import Interval, clopper_pearson, paired, paired_shares
from mom_council.evals.reports import table
from mom_council.evals.rules import (
    best_single,
    cross_fitted,
    learned,
    most_right,
    plain_majority,
    scores,
    weighted,
)
from mom_council.evals.sheet import Sheet, lay_out, tally, voter_weights
from mom_council.runs.words import counted


def correlation(one: Sequence[float], other: Sequence[float]) -> float:
    """Pearson's correlation, -1..1; of marks 0 and 1 it is phi. 0 where one never varies."""
    number = len(one)
    mean, mean2 = sum(one) / max(1, number), sum(other) / max(1, number)
    both = sum((a - mean) * (b - mean2) for a, b in zip(one, other, strict=True))
    spread = sum((a - mean) ** 2 for a in one) * sum((b - mean2) ** 2 for b in other)
    return both / math.sqrt(spread) if spread > 0 else 0.0


def error_correlations(sheet: Sheet) -> dict[tuple[str, str], float]:
    """How alike two models err, for every pair."""
    wrong = {
        model: [0.0 if line.correct(voter) else 1.0 for line in sheet.lines]
        for voter, model in enumerate(sheet.models)
    }
    return {(a, b): correlation(wrong[a], wrong[b]) for a, b in combinations(sheet.models, 2)}


def effective_voices(number: int, mean_correlation: float) -> float:
    """N / (1 + (n - 1) r): how many independent voices n voices of correlation r are worth.

    7 voices of correlation 0.5 are worth 1.75. Where errors exclude each other (r below 0) it is
    no more than n.
    """
    if number < 2:
        return float(number)
    return number / (1 + (number - 1) * min(1.0, max(0.0, mean_correlation)))


DRAWS = 1000


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Member(_Part):
    """One model's part in the council."""

    model: str
    accuracy: float
    usd: float = Field(description="price of a question, in dollars; 0 where none is known")
    marginal: Interval = Field(
        description="accuracy of the weighted vote with it, less that without it"
    )
    only_right: float = Field(description="share of questions that it alone answered right")


class AuditReport(_Part):
    """Whether a council pays. Shares are 0..1; intervals are of 95 %."""

    questions: int
    best_member: str = Field(description="chosen on other questions than those scored")
    accuracy: dict[str, float] = Field(description="of each way to answer")
    gain: dict[str, Interval] = Field(description="of each vote above the best member, paired")
    all_wrong: Interval = Field(
        description="share of questions on which everybody is wrong, with Clopper-Pearson bounds: "
        "no vote can be right there"
    )
    error_correlation: float = Field(description="mean over pairs; 1: they err together always")
    most_alike: tuple[str, str, float] | None = Field(description="the pair that errs most alike")
    voices: float = Field(description="effective number of independent voices")
    members: tuple[Member, ...]
    best_vote: str = Field(description="chosen on other questions than those scored")
    drop: tuple[str, ...] = Field(
        description="members that the weighted vote does as well without: see `whom_to_drop`; "
        "nobody where it lost by that on the questions scored"
    )
    without: Interval | None = Field(
        description="what dropping them gains on the questions scored; None: nobody is dropped"
    )

    @property
    def pays(self) -> bool | None:
        """Whether the best vote beats the best member; None: these questions cannot tell."""
        best = self.gain[self.best_vote]
        return best.low > 0 or (False if best.high < 0 else None)


def audit(questions: Iterable[RecordedQuestion], models: Sequence[str]) -> AuditReport:
    """Audit a council of these models on recorded answers; on those that somebody has judged.

    Raises:
        RecordingError: a model is not in the recording, fewer than two are named, or there are
            too few questions with a right answer.
    """
    every = list(questions)
    listed = [question for question in every if question.gold is not None]
    recorded = {model for question in every for model in question.models}
    for model in models:
        if model not in recorded:
            raise RecordingError(f"{model!r} is not recorded; recorded are {sorted(recorded)}")
    if len(set(models)) < 2 or len(listed) < 4:
        raise RecordingError(
            "an audit needs two models and four questions with a right answer, at least; "
            f"there are {len(set(models))} and {len(listed)}"
        )
    sheet = _in_two(lay_out(listed, list(dict.fromkeys(models))))
    cal, held = sheet.fold("cal"), sheet.fold("eval")
    ways = {
        "best member": scores(best_single(cal), held),
        "plain majority": scores(plain_majority(cal), held),
        "weighted": scores(weighted(cal), held),
        "learned": scores(learned(cal), held),
    }
    alike = error_correlations(held)
    mean = sum(alike.values()) / len(alike)
    closest = max(alike, key=lambda pair: alike[pair])
    folds = [zlib.crc32(line.id.encode()) % _FOLDS for line in cal.lines]
    marks = {name: cross_fitted(_VOTES[name], cal, folds) for name in _VOTES}
    drop = tuple(one.member for one in whom_to_drop(cal, voter_weights(cal), folds))
    fewer = _columns(sheet, [model for model in sheet.models if model not in drop])
    without = paired(_weighted_scores(fewer), ways["weighted"], draws=DRAWS) if drop else None
    if without is not None and without.value < 0:
        drop, without = (), None
    lost = sum(not any(line.correct(v) for v in range(len(sheet.models))) for line in held.lines)
    return AuditReport(
        questions=len(held.lines),
        best_member=cal.models[cal.strongest_first()[0]],
        accuracy={name: sum(each) / len(each) for name, each in ways.items()},
        gain={
            name: paired(each, ways["best member"], draws=DRAWS)
            for name, each in ways.items()
            if name != "best member"
        },
        all_wrong=clopper_pearson(lost, len(held.lines)),
        error_correlation=mean,
        most_alike=(*closest, alike[closest]),
        voices=effective_voices(len(sheet.models), mean),
        members=tuple(_member(sheet, model, ways["weighted"]) for model in sheet.models),
        best_vote=most_right(marks, range(len(folds))),
        drop=drop,
        without=without,
    )


def as_markdown(report: AuditReport) -> str:
    """The audit, to be read."""
    verdict = {True: "It pays", False: "It does not pay", None: "These questions cannot tell"}
    lines = [
        f"**{verdict[report.pays]}**: {counted(report.questions, 'question')} scored.",
        "",
        f"The best member is {report.best_member} ({100 * report.accuracy['best member']:.1f} %).",
        "",
        table(
            ["way to answer", "accuracy in %", "gain over the best member (95 %)"],
            [
                [name, f"{100 * report.accuracy[name]:.1f}", _write_signed(gain)]
                for name, gain in report.gain.items()
            ],
        ),
        "",
        table(
            ["member", "accuracy in %", "the vote gains by it (95 %)", "alone right in %"],
            [
                [
                    each.model,
                    f"{100 * each.accuracy:.1f}",
                    _write_signed(each.marginal),
                    f"{100 * each.only_right:.1f}",
                ]
                for each in report.members
            ],
        ),
        "",
    ]
    wrong, members = report.all_wrong, len(report.members)
    lines += [
        f"- All are wrong on {_shares(wrong)} % of questions.",
        f"- Errors correlate by {report.error_correlation:.2f}.",
        f"- {members} members are worth {report.voices:.1f} independent voices.",
    ]
    if report.most_alike:
        one, other, by = report.most_alike
        lines.append(f"- {one} and {other} err most alike ({by:.2f}).")
    if report.without is not None:
        lines.append(
            f"- Drop {', '.join(report.drop)}: that gains {_write_signed(report.without)}."
        )
    else:
        lines.append("- These questions name nobody who can surely be dropped without a loss.")
    return "\n".join(lines) + "\n"


def _in_two(sheet: Sheet) -> Sheet:
    """The sheet with both folds; where one is missing, questions are told apart by their id."""
    if sheet.fold("cal").lines and sheet.fold("eval").lines:
        return sheet
    order = sorted(sheet.lines, key=lambda line: zlib.crc32(line.id.encode()))
    folds: tuple[Fold, Fold] = ("cal", "eval")
    return replace(sheet, lines=tuple(replace(x, fold=folds[at % 2]) for at, x in enumerate(order)))


def _columns(sheet: Sheet, models: Sequence[str]) -> Sheet:
    return sheet.of([sheet.models.index(model) for model in models])


def _weighted_scores(sheet: Sheet) -> list[float]:
    return scores(weighted(sheet.fold("cal")), sheet.fold("eval"))


def _member(sheet: Sheet, model: str, whole: Sequence[float]) -> Member:
    voter = sheet.models.index(model)
    held = sheet.fold("eval")
    number = len(held.lines)
    right = [line.correct(voter) for line in held.lines]
    alone = sum(
        mine and sum(line.correct(v) for v in range(len(sheet.models))) == 1
        for mine, line in zip(right, held.lines, strict=True)
    )
    others = _columns(sheet, [each for each in sheet.models if each != model])
    return Member(
        model=model,
        accuracy=sum(right) / number,
        usd=held.prices[voter] or 0.0,
        marginal=paired(whole, _weighted_scores(others), draws=DRAWS),
        only_right=alone / number,
    )


_VOTES = {"plain majority": plain_majority, "weighted": weighted, "learned": learned}
_FOLDS = 10
_CLONES = 30
"""Questions with the same answer throughout from which two members are the same voice."""


class DroppedMember(NamedTuple):
    """A member that a vote does as well without."""

    member: str
    won: int
    """Questions that the vote wins without it; it loses none."""
    gain: Interval
    """Of dropping, where the member was chosen on other questions than those scored."""


def whom_to_drop(
    sheet: Sheet, weights: Sequence[float], folds: Sequence[int]
) -> list[DroppedMember]:
    """Whom a vote does as well without, one after the other, each only on good evidence.

    The vote may lose no question without a member and must win one, and the member must be clearly
    worse than half of the others, and three must be left; or it always says what another says. And
    dropping must not have lost where it was chosen on other questions. On fewer conditions the
    advice lost more than a point on other questions one time in four (on panels of public models).

    Args:
        sheet: who answered what.
        weights: of the votes.
        folds: of each line, for choosing and scoring on different ones.
    """
    heavy = dict(zip(sheet.models, weights, strict=True))
    left, drops = sheet, []
    while len(left.models) > 1 and (chosen := _droppable(left, heavy)) is not None:
        name, won = chosen
        before = _votes(left, heavy)
        after = list(before)
        for fold in set(folds):
            some = [x for x, one in zip(left.lines, folds, strict=True) if one != fold]
            other = _droppable(replace(left, lines=tuple(some)), heavy)
            if other is not None:
                without = _votes(_without(left, other[0]), heavy)
                after = [
                    new if one == fold else old
                    for old, new, one in zip(after, without, folds, strict=True)
                ]
        gain = paired_shares(after, before)
        if gain.value < 0 or (won and gain.value == 0):
            break
        drops.append(DroppedMember(name, won, gain))
        left = _without(left, name)
    return drops


def _droppable(sheet: Sheet, weights: Mapping[str, float]) -> tuple[str, int] | None:
    """Whom these lines say to drop, and how many the vote wins without it; None: nobody."""
    before = _votes(sheet, weights)
    droppable = []
    for voter, name in enumerate(sheet.models):
        after = _votes(_without(sheet, name), weights)
        pairs = list(zip(after, before, strict=True))
        won = sum(new and not old for new, old in pairs)
        if any(old and not new for new, old in pairs):
            continue
        enough = len(sheet.models) > 3  # a vote of two is no vote
        if _is_clone(sheet, voter) or (won and enough and _is_weak(sheet, voter)):
            droppable.append((name, won))
    return max(droppable, key=lambda one: one[1]) if droppable else None


def _is_weak(sheet: Sheet, voter: int) -> bool:
    """Whether a member is clearly worse than half of the others."""
    mine = [line.correct(voter) for line in sheet.lines]
    worse = [
        paired_shares(mine, [line.correct(other) for line in sheet.lines]).high < 0
        for other in range(len(sheet.models))
        if other != voter
    ]
    return bool(mine) and 2 * sum(worse) >= len(worse)


def _is_clone(sheet: Sheet, voter: int) -> bool:
    """Whether a member always says what an earlier one says."""
    return len(sheet.lines) >= _CLONES and any(
        all(line.said[voter] == line.said[earlier] for line in sheet.lines)
        for earlier in range(voter)
    )


def _without(sheet: Sheet, name: str) -> Sheet:
    return _columns(sheet, [model for model in sheet.models if model != name])


def _votes(sheet: Sheet, weights: Mapping[str, float]) -> list[bool]:
    """Whether the weighted vote is right on each line; a tie falls to the earlier column."""
    heavy = [weights[model] for model in sheet.models]
    right = []
    for line in sheet.lines:
        sums = tally(line.said, heavy)
        right.append(bool(sums) and max(sums, key=lambda answer: sums[answer]) in line.right)
    return right


def _shares(each: Interval) -> str:
    return f"{100 * each.value:.1f} ({100 * each.low:.1f} to {100 * each.high:.1f})"


def _write_signed(each: Interval) -> str:
    return f"{100 * each.value:+.1f} ({100 * each.low:+.1f} to {100 * each.high:+.1f}) points"
