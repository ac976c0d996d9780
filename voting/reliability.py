"""How reliable a model is on a kind of question: a Beta posterior from outcomes, and its weight.

The posterior needs the regularised incomplete beta function and its inverse.

It gives the exact bounds of a binomial share and the quantiles of a Beta posterior, without a
numerical library.

Source: W. H. Press et al., *Numerical Recipes*, third edition (2007), section 6.4: the continued
fraction by Lentz's method; M. Abramowitz and I. Stegun, *Handbook of Mathematical Functions*
(1964), 26.5.8.

What counts as an outcome is checked from outside (a gold answer, code that ran, a thumb), never
that peers agreed: a council that learns from its own majority learns to be sure, not right.

A model with few outcomes is taken to be what models like it are on questions like these: its own
record is shrunk to a pooled mean, and old outcomes fade by half in every half-life, because models
behind one name change.

Sources: A. Gelman et al., *Bayesian Data Analysis*, third edition (2013), sections 2.4 and 5.3,
for the Beta posterior and partial pooling; B. Efron and C. Morris, "Stein's Paradox in
Statistics", Scientific American 236 (1977), for why shrinking pays.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from mom_council.voting.weights import log_odds

_TINY = 1e-300


def beta_below(x: float, a: float, b: float) -> float:
    """The probability that a Beta(a, b) variable is at most x; good to about 1e-13.

    Raises:
        ValueError: a or b is not above 0.
    """
    if not (a > 0 and b > 0):
        raise ValueError(f"a {a!r} and b {b!r} must be above 0")
    if x <= 0 or x >= 1:
        return 0.0 if x <= 0 else 1.0
    front = math.exp(
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    )
    if x < (a + 1) / (a + b + 2):
        return front * _fraction(x, a, b) / a
    return 1.0 - front * _fraction(1 - x, b, a) / b


def beta_quantile(share: float, a: float, b: float) -> float:
    """The x below which a Beta(a, b) variable lies with this probability, by bisection.

    Raises:
        ValueError: `share` is not within 0..1, or a or b is not above 0.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share {share!r} must be within 0..1")
    low, high = 0.0, 1.0
    for _ in range(200):
        middle = (low + high) / 2
        if middle in {low, high}:
            break
        if beta_below(middle, a, b) < share:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _fraction(x: float, a: float, b: float) -> float:
    """The continued fraction of the incomplete beta function."""
    c = 1.0
    d = 1.0 / _away(1.0 - (a + b) * x / (a + 1))
    value = d
    for m in range(1, 10_000):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        d = 1.0 / _away(1.0 + even * d)
        c = _away(1.0 + even / c)
        value *= d * c
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        d = 1.0 / _away(1.0 + odd * d)
        c = _away(1.0 + odd / c)
        value *= d * c
        if abs(d * c - 1.0) < 1e-15:
            break
    return value


def _away(value: float) -> float:
    """The value, kept away from 0."""
    return value if abs(value) > _TINY else _TINY


STRENGTH = 10.0
"""How many outcomes the pooled mean is worth against a model's own record."""
HALF_LIFE = 90.0
"""Days after which an outcome counts half."""

Ledger = Mapping[tuple[str, str], "Outcomes"]
"""(model, kind of question) -> its outcomes."""


@dataclass(frozen=True, slots=True)
class Outcomes:
    """How often a model was right and wrong; fractions where outcomes have faded."""

    right: float = 0.0
    wrong: float = 0.0

    def __post_init__(self) -> None:
        if not (0 <= self.right < math.inf and 0 <= self.wrong < math.inf):
            raise ValueError(f"outcomes {self.right!r}, {self.wrong!r} must be 0 or more")

    def __add__(self, other: Outcomes) -> Outcomes:
        return Outcomes(self.right + other.right, self.wrong + other.wrong)

    @property
    def number(self) -> float:
        """All of them."""
        return self.right + self.wrong

    def faded(self, days: float, half_life: float = HALF_LIFE) -> Outcomes:
        """What is left of them after some days; fading twice is fading once for both.

        Raises:
            ValueError: `half_life` is not above 0, or `days` is below 0.
        """
        if not half_life > 0 or not days >= 0:
            raise ValueError(f"days {days!r} must be 0 or more and half_life {half_life!r} above 0")
        left = math.exp2(-days / half_life)
        return Outcomes(self.right * left, self.wrong * left)


@dataclass(frozen=True, slots=True)
class Belief:
    """Beta(a, b): how likely a model is to be right."""

    a: float
    b: float

    @property
    def mean(self) -> float:
        """The expected accuracy."""
        return self.a / (self.a + self.b)

    @property
    def variance(self) -> float:
        """Of the accuracy."""
        whole = self.a + self.b
        return self.a * self.b / (whole * whole * (whole + 1))

    def below(self, accuracy: float) -> float:
        """The probability that the model is right less often than this."""
        return beta_below(accuracy, self.a, self.b)

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """The central interval that holds the accuracy with this probability."""
        tail = (1 - level) / 2
        return beta_quantile(tail, self.a, self.b), beta_quantile(1 - tail, self.a, self.b)

    def after(self, outcomes: Outcomes) -> Belief:
        """The posterior: Beta(a + right, b + wrong). Outcomes in any order or batches agree."""
        return Belief(self.a + outcomes.right, self.b + outcomes.wrong)


def belief(
    ledger: Ledger, model: str, kind: str, *, options: float = 2.0, strength: float = STRENGTH
) -> Belief:
    """What is known of a model on a kind of question.

    The prior is worth `strength` outcomes. Its mean, in log-odds, is that of all models on the
    kind, plus what sets the model apart from all models over all kinds. A model of which nothing
    is known is therefore like the others on this kind; on a kind of which nothing is known, it is
    what it is elsewhere.

    Args:
        ledger: all outcomes, faded already.
        model: the model's key.
        kind: the kind of question.
        options: how many answers there are to choose from; with no outcomes at all the prior mean
            is halfway between a guess and certainty.
        strength: of the prior, above 0.
    """
    guess = (1 + 1 / max(options, 2.0)) / 2
    everything = _prior(guess, strength).after(_sum(ledger))
    of_kind = _prior(everything.mean, strength).after(_sum(ledger, kind=kind))
    of_model = _prior(everything.mean, strength).after(_sum(ledger, model=model))
    logit = _logit(of_kind.mean) + _logit(of_model.mean) - _logit(everything.mean)
    mean = 1 / (1 + math.exp(-logit))
    return _prior(mean, strength).after(ledger.get((model, kind), Outcomes()))


def learned_weights(
    ledger: Ledger,
    models: tuple[str, ...],
    kind: str,
    *,
    options: float = 2.0,
    strength: float = STRENGTH,
) -> dict[str, float]:
    """The weight of each model on a kind of question: log-odds with K options, never negative.

    Where nobody would have any weight, all weigh 1: a vote of nobody decides nothing.
    """
    weights = {
        model: log_odds(
            belief(ledger, model, kind, options=options, strength=strength).mean, options
        )
        for model in models
    }
    return weights if any(weights.values()) else dict.fromkeys(models, 1.0)


def _prior(mean: float, strength: float) -> Belief:
    if not strength > 0:
        raise ValueError(f"strength {strength!r} must be above 0")
    mean = min(max(mean, 1e-3), 1 - 1e-3)
    return Belief(strength * mean, strength * (1 - mean))


def _sum(ledger: Ledger, *, model: str | None = None, kind: str | None = None) -> Outcomes:
    fits = [
        each
        for (name, sort), each in ledger.items()
        if (model is None or name == model) and (kind is None or sort == kind)
    ]
    return Outcomes(sum(each.right for each in fits), sum(each.wrong for each in fits))


def _logit(p: float) -> float:
    return math.log(p / (1 - p))
