"""Confidence before any outcome: how often a pattern of agreement was right for other models.

`voting/prior.json` holds figures alone, made by `python -m mom_council.benchmarks.confidence_prior`
from recorded answers of dozens of models: for each type of answer, a logistic curve over how many
voices there were, how many gave the leading answer, how many the next one, and how many different
answers there were. Each has a spread: how far models and kinds of question that were held out lay
from the curve. A kind of question that is in the recordings has a shift of its own and a smaller
spread; a panel whose own questions were judged has one too (see `sharpen`).

Where the panel's agreement on earlier questions is known (`agreement`, no labels needed), other
curves are used. They correct what the panel's own vote says of the answer, which knows who agrees
and how hard such questions are for the panel, but is too sure of itself. They need no kind of
question.

Nothing is said where too little is known: of one voice or two, of more voices than were recorded,
of an answer that is not what most voices said, and where the interval would be wider than
`WIDEST`.

Source: D. Wang et al., "Calibrating Large Language Models with Sample Consistency", AAAI 2025, for
agreement as confidence; A. Gelman and J. Hill, *Data Analysis Using Regression and
Multilevel/Hierarchical Models* (2007), for curves with spread between groups.
"""

from __future__ import annotations

import functools
import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import Field

from mom_council.records import Record
from mom_council.voting.calibration import log_odds_of, logistic
from mom_council.voting.reading.answer import AnswerType
from mom_council.voting.weights import LearnedVote

PriorType = Literal["number", "choice", "text"]
WIDEST = 0.5
"""Width of the 90 % interval from which a confidence says nothing."""
_CENTRAL = 1.645
"""Standard deviations that hold 90 % of a normal variable."""
_LEAST_CHANCE = 0.001
"""What a panel's vote gives nearer to 0 or 1 than this counts like it."""
_FILE = Path(__file__).with_name("prior.json")


class Pattern(NamedTuple):
    """How the voices of a panel agreed at a question."""

    voices: int
    """That were asked, with or without an answer."""
    leading: int
    """That gave the leading answer."""
    next: int
    """That gave the most frequent other answer."""
    answers: int
    """Different answers."""
    odds: float | None = None
    """Log-odds that the panel's own vote gives the answer; None: its agreement is not known."""

    @property
    def features(self) -> tuple[float, ...]:
        """What the curve is fitted to."""
        if self.odds is not None:
            return (1.0, self.odds, math.log(self.voices))
        others = self.voices - self.leading
        return (
            1.0,
            math.log((self.leading + 0.5) / (others + 0.5)),
            math.log((self.next + 0.5) / (self.voices + 0.5)),
            math.log(self.voices),
            self.answers / self.voices,
        )


class Curve(Record):
    """What is known of one type of answer."""

    weights: tuple[float, ...] = Field(description="of `Pattern.features`")
    spread: float = Field(gt=0, description="of kinds of question and models, in log-odds")


class Kind(Record):
    """What is known of one recorded kind of question."""

    shift: float = Field(description="of its type's curve, in log-odds")
    spread: float = Field(gt=0, description="of models on this kind, in log-odds")


class ConfidencePrior(Record):
    """The shipped figures."""

    models: int
    questions: int
    voices: tuple[int, int] = Field(description="fewest and most that were recorded together")
    curves: dict[PriorType, Curve] = Field(description="of patterns alone")
    panel_curves: dict[PriorType, Curve] = Field(
        default_factory=dict, description="of panels whose agreement is known"
    )
    kinds: dict[str, Kind] = Field(default_factory=dict)


class Chance(NamedTuple):
    """How likely an answer is to be right, with its interval of 90 %."""

    value: float
    low: float
    high: float


@functools.cache
def shipped_prior() -> ConfidencePrior:
    """The figures that come with the package."""
    return ConfidencePrior.model_validate(json.loads(_FILE.read_text(encoding="utf-8")))


def pattern_of(
    answers: Iterable[str | None], answer: str, vote: LearnedVote | None = None
) -> Pattern:
    """The pattern of agreement on an answer.

    Args:
        answers: of each voice; None: it gave none.
        answer: the one in question.
        vote: of these voices, from how they agree (`Agreement.vote`); None: not known.
    """
    listed = list(answers)
    counts = Counter(one for one in listed if one is not None)
    others = [number for one, number in counts.items() if one != answer]
    odds = None
    if vote is not None and answer in counts:
        chance = vote.probabilities(listed)[answer]
        odds = log_odds_of(min(max(chance, _LEAST_CHANCE), 1 - _LEAST_CHANCE))
    return Pattern(len(listed), counts[answer], max(others, default=0), len(counts), odds)


def prior_chance(
    pattern: Pattern,
    type_: PriorType,
    kind: str = "",
    *,
    shift: float = 0.0,
    spread: float | None = None,
    prior: ConfidencePrior | None = None,
) -> Chance | None:
    """How likely the leading answer is to be right; None where too little is known.

    Args:
        pattern: of the agreement.
        type_: of the answer.
        kind: of question, a name of `kind_name`.
        shift: of the council's own questions, from `sharpen`.
        spread: what is left of the spread after `sharpen`; the prior's own if left out.
        prior: the figures; those that are shipped if left out.
    """
    prior = prior or shipped_prior()
    fewest, most = prior.voices
    if (
        type_ not in _curves(prior, pattern)
        or not fewest <= pattern.voices <= most
        or pattern.leading < pattern.next
    ):
        return None
    at = expected(prior, pattern, type_, kind) + shift
    reach = _CENTRAL * (_spread(prior, pattern, type_, kind) if spread is None else spread)
    chance = Chance(logistic(at), logistic(at - reach), logistic(at + reach))
    return chance if chance.high - chance.low <= WIDEST else None


def score(pattern: Pattern, curve: Curve) -> float:
    """The log-odds that a curve gives a pattern."""
    return sum(w * x for w, x in zip(curve.weights, pattern.features, strict=True))


def expected(prior: ConfidencePrior, pattern: Pattern, type_: PriorType, kind: str = "") -> float:
    """The log-odds that a prior gives a pattern.

    The kind's shift is left out where the panel's agreement is known: that says the same, better.
    """
    effect = prior.kinds.get(kind) if pattern.odds is None else None
    return score(pattern, _curves(prior, pattern)[type_]) + (effect.shift if effect else 0.0)


def kind_name(prior: ConfidencePrior, type_: PriorType, kinds: Iterable[str]) -> str:
    """What the prior calls the first of these kinds of question that it knows; empty: none."""
    names = (f"{type_}: {kind}" for kind in kinds)
    return next((name for name in names if name in prior.kinds), "")


def prior_type(type_: AnswerType) -> PriorType | None:
    """The prior's type of an answer; None where no such answers were recorded."""
    if type_ in ("number", "choice"):
        return type_
    return "text" if type_ in ("text", "list", "tuple", "mapping", "set") else None


def sharpen(
    judged: Sequence[tuple[Pattern, float, str]],
    type_: PriorType,
    *,
    prior: ConfidencePrior | None = None,
) -> tuple[float, float]:
    """What judged questions of a panel say of its shift: the shift, and the spread that is left.

    The shift is normal around 0 with the prior's spread; the most likely value is found by
    Newton's method, and its curvature gives the spread.

    Args:
        judged: of each question the pattern, whether its leading answer was right (0..1), and its
            kind, a name of `kind_name`.
        type_: of the answers.
        prior: the figures; those that are shipped if left out.
    """
    prior = prior or shipped_prior()
    spreads = [_spread(prior, pattern, type_, kind) for pattern, _, kind in judged]
    precision = 1 / max(spreads, default=prior.curves[type_].spread) ** 2
    shift, curvature = 0.0, precision
    for _ in range(30):
        slope, curvature = shift * precision, precision
        for pattern, right, kind in judged:
            p = logistic(expected(prior, pattern, type_, kind) + shift)
            slope += p - right
            curvature += p * (1 - p)
        step = slope / curvature
        shift -= max(-1.0, min(1.0, step))
        if abs(step) < 1e-9:
            break
    return shift, 1 / math.sqrt(curvature)


def in_tenths(chance: float) -> str:
    """A chance in words that people use: "about 9 times in 10"."""
    if chance >= 0.97:
        return "in nearly all cases"
    tenths = min(9, max(1, round(10 * chance)))
    return f"about {tenths} time{'s' * (tenths > 1)} in 10"


def _curves(prior: ConfidencePrior, pattern: Pattern) -> Mapping[PriorType, Curve]:
    return prior.curves if pattern.odds is None else prior.panel_curves


def _spread(prior: ConfidencePrior, pattern: Pattern, type_: PriorType, kind: str) -> float:
    effect = prior.kinds.get(kind)
    return effect.spread if effect else _curves(prior, pattern)[type_].spread
