"""A panel's recorded answers as a sheet (a line a question, a column a model), and their odds.

A voter of accuracy p says the right one of K equally likely options with probability p, and each
of the others with (1 - p) / (K - 1). Voters that err independently make the odds of an option the
product of p (K - 1) / (1 - p) over those who said it; every option that nobody said has odds 1.

Voters do *not* err independently: questions are hard for all of them at once. So this posterior
is overconfident, and what is reported as a confidence is calibrated first: see `learned` and
`calibration`. Its order of the options is that of the weighted vote with `weights.log_odds`.

Sources: A. P. Dawid and A. M. Skene, "Maximum Likelihood Estimation of Observer Error-Rates Using
the EM Algorithm", Applied Statistics 28 (1979), with one error rate for all wrong options;
S. Nitzan and J. Paroush (1982), see `weights`.

Recordings are read by `councils.recording`; one of them comes with the package.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Final, TypeVar

from mom_council.councils.recording import Fold, RecordedQuestion
from mom_council.voting.weights import VoteCase, accuracy, grouped, log_odds

AnswerT = TypeVar("AnswerT", bound=Hashable)


def posterior(
    answers: Sequence[AnswerT | None], accuracies: Sequence[float], options: float
) -> dict[AnswerT, float]:
    """The probability of each option that somebody said, in the order of first mention.

    What is missing to 1 is the probability that nobody said the right one. None abstains.

    Args:
        answers: what each voter said.
        accuracies: how often each is right, 0..1; the ends are moved in a little.
        options: K, how many options there are, effectively; at least 2, and never fewer than
            were said.
    """
    odds: dict[AnswerT, float] = {}
    seen = {each for each in answers if each is not None}
    many = max(options, 2.0, float(len(seen)))
    for each, right in zip(answers, accuracies, strict=True):
        if each is not None:
            p = min(max(right, 1e-6), 1 - 1e-6)
            odds[each] = odds.get(each, 0.0) + math.log(p / (1 - p)) + math.log(many - 1)
    top = max([0.0, *odds.values()])
    parts = {each: math.exp(value - top) for each, value in odds.items()}
    whole = sum(parts.values()) + (many - len(parts)) * math.exp(-top)
    return {each: part / whole for each, part in parts.items()}


def confused_options(wrong: Sequence[Sequence[Hashable]], right: int = 1) -> float:
    """K, as errors show it: how many options there are if wrong answers were spread evenly.

    Two voters that are wrong on the same question say the same with probability 1 / (K - 1). Many
    equal errors mean a small K, where a majority proves less. One pair of each sort is imagined,
    so that K is finite and at least 2.

    Args:
        wrong: for each question, the wrong answers that voters gave.
        right: how many right options a question has.
    """
    equal = pairs = 0
    for answers in wrong:
        for one, other in combinations(answers, 2):
            pairs += 1
            equal += one == other
    return right + (pairs + 1) / (equal + 1)


SHIPPED: Final = Path(__file__).with_name("recorded") / "tiny.jsonl"
"""What the tiny models answered to questions that they had not learned from."""
_COMES_ALONG = "shipped"
"""The word that stands for it in a command; a file of that name is `./shipped`."""


def recording_path(path: Path) -> Path:
    """The recording that a word or a path of a command names."""
    return SHIPPED if str(path) == _COMES_ALONG else path


@dataclass(frozen=True, slots=True)
class Line:
    """What a panel said to one question.

    Attributes:
        said: the answer of each voter in one form; None where it gave none, or was not asked.
        right: the answers that are right.
        usd: what each call cost, in dollars; 0 where no price is known.
        judged: whether `right` is known; where it is, none of the answers may be.
    """

    id: str
    fold: Fold
    said: tuple[str | None, ...]
    right: frozenset[str]
    usd: tuple[float, ...]
    judged: bool = True

    def correct(self, voter: int) -> bool:
        """Whether a voter was right."""
        return self.said[voter] in self.right

    @property
    def case(self) -> VoteCase:
        """The line as the learned vote wants it."""
        groups = grouped(self.said)
        right = next((at for at, each in enumerate(groups) if each in self.right), None)
        return VoteCase(tuple(groups.values()), right)


@dataclass(frozen=True, slots=True)
class Sheet:
    """The lines of a panel. `models` are the columns; `unpriced` those without a known price."""

    models: tuple[str, ...]
    lines: tuple[Line, ...]
    unpriced: frozenset[int] = frozenset()

    def fold(self, name: Fold) -> Sheet:
        """The lines of one fold."""
        return replace(self, lines=tuple(line for line in self.lines if line.fold == name))

    def of(self, voters: Sequence[int]) -> Sheet:
        """Some of the columns, in this order."""
        return Sheet(
            tuple(self.models[each] for each in voters),
            tuple(
                replace(
                    line,
                    said=tuple(line.said[each] for each in voters),
                    usd=tuple(line.usd[each] for each in voters),
                )
                for line in self.lines
            ),
            frozenset(at for at, each in enumerate(voters) if each in self.unpriced),
        )

    def swapped(self) -> Sheet:
        """With `cal` and `eval` exchanged, for two-fold cross-fitting."""
        other: dict[Fold, Fold] = {"cal": "eval", "eval": "cal"}
        return replace(
            self, lines=tuple(replace(line, fold=other[line.fold]) for line in self.lines)
        )

    @property
    def cases(self) -> list[VoteCase]:
        """The lines as the learned vote wants them."""
        return [line.case for line in self.lines]

    @property
    def right(self) -> list[int]:
        """How often each voter was right."""
        return [
            sum(line.correct(voter) for line in self.lines) for voter in range(len(self.models))
        ]

    @property
    def prices(self) -> list[float | None]:
        """What a call of each voter costs on average, in dollars; None where nobody knows."""
        number = max(1, len(self.lines))
        return [
            None if voter in self.unpriced else sum(line.usd[voter] for line in self.lines) / number
            for voter in range(len(self.models))
        ]

    @property
    def options(self) -> float:
        """K, the effective number of options, as errors show it."""
        return confused_options([
            [each for each in line.said if each is not None and each not in line.right]
            for line in self.lines
        ])  # fmt: skip

    def strongest_first(self) -> list[int]:
        """The voters by how often they were right; of equal ones the earlier column first."""
        right = self.right
        return sorted(range(len(self.models)), key=lambda voter: -right[voter])


def lay_out(questions: Iterable[RecordedQuestion], models: Sequence[str]) -> Sheet:
    """The sheet of a panel. A model that did not answer a question said nothing there."""
    lines = []
    priced: set[int] = set()
    for question in questions:
        answers = [question.models.get(model) for model in models]
        priced |= {at for at, each in enumerate(answers) if each and each.usd is not None}
        lines.append(
            Line(
                id=question.id,
                fold=question.fold,
                said=tuple(None if each is None else each.ans for each in answers),
                right=frozenset(
                    each.ans
                    for each in question.models.values()
                    if each.ok and each.ans is not None
                ),
                usd=tuple((each.usd or 0.0) if each else 0.0 for each in answers),
                judged=question.gold is not None,
            )
        )
    unpriced = frozenset(range(len(models))) - priced
    return Sheet(tuple(models), tuple(lines), unpriced)


def voter_weights(cal: Sheet) -> list[float]:
    """Log-odds weights from a sheet, with its own effective number of options."""
    options = cal.options
    return [log_odds(accuracy(each, len(cal.lines), options), options) for each in cal.right]


def tally(answers: Sequence[str | None], weights: Sequence[float]) -> dict[str, float]:
    """The weight behind each answer, in the order of first mention."""
    sums: dict[str, float] = {}
    for each, weight in zip(answers, weights, strict=True):
        if each is not None:
            sums[each] = sums.get(each, 0.0) + weight
    return sums


def leaders(sums: Mapping[str, float]) -> tuple[str, ...]:
    """The answers with most behind them, in the order of first mention."""
    most = max(sums.values(), default=0.0)
    return tuple(each for each, value in sums.items() if value >= most - 1e-9)
