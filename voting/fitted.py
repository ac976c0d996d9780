"""What outcomes teach about a panel: its weights, and how likely its verdict is right.

A `Fitted` is made from recorded answers whose outcome is known (`evals.fitting`), kept with the
reliability ledger, and read while a council answers. Two things come of it:

- `sure`: how likely an answer is to be right, given who said what on its own. All voters together
  are judged by the learned vote and its correction; the first n of the panel, in the order of
  strength, by the weights of the weighted vote, tempered for just so many.
- `Fitted.joint`: the weights of the learned vote, whose lossless exit a fitted council follows.

Where nothing was fitted, `prior_confidence` says how often such agreement was right for other
models (`prior`), with an interval, or nothing. The share of a vote is no confidence: 5 of 7 meant
92 % on grade-school mathematics and 70 % on hard multiple choice (measured on public recordings).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from pydantic import Field

from mom_council.records import Record
from mom_council.voting.calibration import log_odds_of
from mom_council.voting.prior import (
    Chance,
    PriorType,
    kind_name,
    pattern_of,
    prior_chance,
    shipped_prior,
)
from mom_council.voting.weights import LearnedVote


class Fitted(Record):
    """What was fitted to the outcomes of a panel on a kind of question."""

    kind: str = Field(description="of question, as the ledger names it")
    questions: int = Field(ge=1, description="that it was fitted on")
    options: float = Field(ge=2, description="K, the effective number of answers to choose from")
    models: tuple[str, ...] = Field(
        default=(), description="the panel, strongest first; empty: any panel of known models"
    )
    weights: tuple[float, ...] = Field(default=(), description="of the weighted vote, per model")
    joint: tuple[float, ...] = Field(default=(), description="of the learned vote, per model")
    none: float = Field(default=0.0, description="score of `nobody is right` in the learned vote")
    slope: float = Field(default=1.0, ge=0, description="of the correction, in log-odds")
    shift: float = Field(default=0.0, description="of the correction, in log-odds")
    steps: tuple[tuple[float, float], ...] = Field(
        default=(), description="per number of voters: scale of the weights, score of `nobody`"
    )
    threshold: float | None = Field(
        default=None, description="of versions before 0.2, which stopped at it; no longer used"
    )
    few: bool = Field(
        default=False,
        description="so few outcomes that the weights are blended with agreement, and a "
        "confidence is that of the shipped prior, moved by them",
    )
    prior_shift: float = Field(default=0.0, description="of the shipped prior, in log-odds")
    prior_spread: float | None = Field(
        default=None, gt=0, description="what is left of the prior's spread; None: all of it"
    )
    agreement: float = Field(
        default=0.0, ge=0, description="questions that the panel answered, of few outcomes"
    )
    rates: tuple[float, ...] = Field(default=(), description="of older versions; no longer used")
    level: float | None = Field(default=None, description="of older versions; no longer used")

    @property
    def basis(self) -> str:
        """What a confidence rests on, in words."""
        return f"{self.questions} questions of {self.kind!r}"


class Trust(Record):
    """What is known of a council's voices when a question comes. By the characters' names."""

    kind: str = Field(default="", description="of question that it is about; empty: any")
    voices: dict[str, str] = Field(default_factory=dict, description="character -> its model")
    panel: tuple[str, ...] = Field(default=(), description="characters that answer independently")
    odds: dict[str, float] = Field(
        default_factory=dict, description="log-odds weight, from each model's own record"
    )
    weights: dict[str, float] = Field(
        default_factory=dict, description="that were learned; empty: nothing is known of anybody"
    )
    strength: dict[str, float] = Field(
        default_factory=dict,
        description="whom to ask first: the greatest",
    )
    records: dict[str, float] = Field(
        default_factory=dict,
        description="how often each was right on such questions; who has too few outcomes is left "
        "out",
    )
    agreement: float = Field(
        default=0.0, ge=0, description="questions that the weights' agreement stands on; 0: none"
    )
    none: float | None = Field(
        default=None,
        description="score of `nobody is right` beside the weights, where they come of agreement",
    )
    rates: dict[str, float] = Field(
        default_factory=dict, description="of older versions; no longer used"
    )
    level: float | None = Field(default=None, description="of older versions; no longer used")
    fitted: Fitted | None = Field(default=None, description="of just this panel")
    any_panel: Fitted | None = Field(default=None, description="of any panel, on this kind")


def confidence(
    trust: Trust, answers: Mapping[str, str | None], answer: str
) -> tuple[float | None, str]:
    """How likely an answer is to be right, and what that rests on; (None, "") where none can tell.

    Args:
        trust: what is known.
        answers: what each character that was asked answered on its own; None: it gave no answer.
        answer: the one in question.
    """
    for fitted, chances in (
        (trust.fitted, _by_panel(trust, answers)),
        (trust.any_panel, _by_any(trust, answers)),
    ):
        if fitted is not None and not fitted.few and answer in chances:
            return chances[answer], fitted.basis
    return None, ""


def prior_confidence(
    trust: Trust, answers: Mapping[str, str | None], answer: str, type_: PriorType
) -> tuple[Chance | None, str]:
    """How likely an answer is to be right by how others' agreement was, and what that rests on.

    Args:
        trust: what is known; outcomes of this panel, where there are a few, move the prior.
        answers: what each character that was asked answered on its own; None: it gave no answer.
        answer: the leading one.
        type_: of the answer.
    """
    prior, own = shipped_prior(), trust.fitted
    kind = kind_name(prior, type_, [trust.kind])
    shift, spread = (own.prior_shift, own.prior_spread) if own and own.few else (0.0, None)
    weights = tuple(trust.weights[name] for name in answers if name in trust.weights)
    complete = trust.none is not None and len(weights) == len(answers)
    vote = LearnedVote(weights, trust.none or 0.0) if complete else None
    pattern = pattern_of(answers.values(), answer, vote)
    chance = prior_chance(pattern, type_, kind, shift=shift, spread=spread)
    if chance is None:
        return None, ""
    basis = f"how {prior.models} public models agreed on {prior.questions:,} questions"
    return chance, f"{basis}, and {own.basis}" if own and own.few else basis


def _by_panel(trust: Trust, answers: Mapping[str, str | None]) -> dict[str, float]:
    if trust.fitted is None:
        return {}
    place = places(trust.fitted.models, {name: trust.voices[name] for name in trust.panel})
    if place is None or not answers.keys() <= place.keys():
        return {}
    order = sorted(answers, key=lambda name: place[name])
    in_order = [answers[name] for name in order]
    if len(in_order) == len(place):
        return sure(trust.fitted, in_order)
    first = [place[name] for name in order] == list(range(len(order)))
    return sure_so_far(trust.fitted, in_order) if first else {}


def _by_any(trust: Trust, answers: Mapping[str, str | None]) -> dict[str, float]:
    if trust.any_panel is None or not answers.keys() <= trust.odds.keys():
        return {}
    return sure_so_far(trust.any_panel, [*answers.values()], [trust.odds[name] for name in answers])


def sure(fitted: Fitted, answers: Sequence[str | None]) -> dict[str, float]:
    """How likely each answer is to be right, where all of the panel were asked.

    Args:
        fitted: of this very panel.
        answers: the answer of each of `fitted.models`, in that order; None where there is none.
    """
    chances = LearnedVote(fitted.joint, fitted.none).probabilities(answers)
    return {answer: corrected(fitted, chance) for answer, chance in chances.items()}


def sure_so_far(
    fitted: Fitted, answers: Sequence[str | None], weights: Sequence[float] | None = None
) -> dict[str, float]:
    """How likely each answer is to be right when so many have been asked; {} where none can tell.

    Args:
        fitted: of a panel whose first `len(said)` were asked, or of any panel.
        answers: what they answered, None where they gave no answer.
        weights: of those who were asked; the panel's own, in its order, if left out.
    """
    if not 0 < len(answers) <= len(fitted.steps):
        return {}
    scale, none = fitted.steps[len(answers) - 1]
    heavy = fitted.weights[: len(answers)] if weights is None else weights
    return LearnedVote(tuple(scale * each for each in heavy), none).probabilities(answers)


def corrected(fitted: Fitted, chance: float) -> float:
    """The learned vote's probability, corrected by what came true on other questions."""
    x = fitted.slope * log_odds_of(chance) + fitted.shift
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


def places(panel: Sequence[str], voices: Mapping[str, str]) -> dict[str, int] | None:
    """Where each character's model stands in a panel; None where they are not the same models.

    Several characters on one model take its places in their own order.
    """
    if sorted(panel) != sorted(voices.values()):
        return None
    free = {model: [at for at, one in enumerate(panel) if one == model] for model in panel}
    return {name: free[model].pop(0) for name, model in voices.items()}
