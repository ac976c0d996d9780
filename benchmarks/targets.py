"""What is measured of the decision rules, and what it has to reach on the development set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pydantic import BaseModel, ConfigDict, Field

from mom_council.benchmarks.extraction import Agreement


class _Figures(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RuleFigures(_Figures):
    """How a rule did. Shares are 0..1."""

    accuracy: float = Field(description="share of questions that it answered right")
    low: float = Field(description="of the bootstrap interval of the accuracy")
    high: float = Field(description="of the bootstrap interval of the accuracy")
    gain: float = Field(description="accuracy above that of plain majority, on the same questions")
    gain_low: float = Field(description="of the paired bootstrap interval of the gain")
    gain_high: float = Field(description="of the paired bootstrap interval of the gain")
    saved: float = Field(description="share of the panel's calls that it did without")
    usd: float = Field(description="what its calls cost per question, in dollars")


class ExitFigures(_Figures):
    """What a lossless exit does to a vote."""

    saved: float = Field(description="share of the panel's calls that it did without")
    accuracy: float = Field(description="with the exit")
    whole: float = Field(description="of the same vote with everybody asked")
    flips: int = Field(description="questions on which the exit changes the winner")


class CascadeFigures(_Figures):
    """How a cascade did against asking the strong model alone."""

    accuracy: float
    strong: float = Field(description="accuracy of the strong model alone")
    price: float = Field(description="of the strong model's price; above 1 it costs more")
    escalated: float = Field(description="share of questions that the strong model had to answer")
    chosen: str = Field(description="which cheap models, and how many must agree")


class PanelFigures(_Figures):
    """Everything that was measured of a panel."""

    dataset: str
    seats: str = Field(description="`panel` or `mixed`")
    models: tuple[str, ...]
    fitted: int = Field(description="questions that weights and thresholds were fitted on")
    questions: int = Field(description="questions that were scored; no other than those fitted on")
    any_right: float = Field(description="share of questions that some member answered right")
    rules: dict[str, RuleFigures]
    exit_saved: float = Field(description="share of calls that the lossless exit does without")
    exit_flips: int = Field(description="questions on which it changes the winner")
    exits: dict[str, ExitFigures] = Field(description="of plain, weighted and learned votes")
    confidence: float = Field(description="mean confidence of the verdicts")
    calibration_error: float = Field(description="in ten bins of equal width")
    error_by_chance: float = Field(description="what a perfect confidence would show on average")
    cascade: CascadeFigures | None = None


class Target(_Figures):
    """A figure that has to reach something."""

    name: str
    value: float
    bound: float
    at_least: bool

    @property
    def met(self) -> bool:
        """Whether it does; a rounding error is no failure."""
        short = self.bound - self.value if self.at_least else self.value - self.bound
        return short <= 1e-9


_EXIT = {"zeroeval_gsm": 0.34, "zeroeval_math_l5": 0.18, "zeroeval_crux": 0.28, "mmlu_pro": 0.16}
_MIXED_GAIN = {"zeroeval_math_l5", "zeroeval_crux", "mmlu_pro"}
CASCADE_GOALS = {
    "zeroeval_gsm": (0.003, 0.47),
    "zeroeval_crux": (0.005, 0.65),
    "zeroeval_math_l5": (0.005, 0.90),
    "mmlu_pro": (0.0, 1.0),
}
"""Accuracy that a cascade may lose, and the share of the strong model's price that it may cost."""
_READING = {"zeroeval_gsm": 0.99, "zeroeval_math_l5": 0.97}
_CALIBRATED = 0.05


def targets(figures: Sequence[PanelFigures], reading: Mapping[str, Agreement]) -> list[Target]:
    """Every target that these figures can be held to."""
    found = [target for each in figures for target in _of_panel(each)]
    found += [
        _least(f"{dataset}: answers read as recorded", reading[dataset].share, bound)
        for dataset, bound in _READING.items()
        if dataset in reading
    ]
    return found


def _of_panel(each: PanelFigures) -> Iterator[Target]:
    name = f"{each.dataset}, {each.seats}"
    rules = {rule: figures.accuracy for rule, figures in each.rules.items()}
    plain, weights = rules["plain majority"], rules["weighted"]
    yield _least(f"{name}: weighted above plain majority", weights - plain, -0.005)
    for votes, figures in each.exits.items():
        yield _most(f"{name}: winners the lossless exit of {votes} votes changes", figures.flips, 0)
    more = each.exits["learned"].saved - each.exits["plain"].saved
    yield _least(f"{name}: calls the exit of learned votes saves beyond plain ones", more, 0.0)
    if each.cascade is not None:
        gain = each.cascade.accuracy - each.cascade.strong
        yield _least(f"{name}: cascade above the strong model, anywhere", gain, -0.005)
        yield _most(f"{name}: price of the cascade, anywhere", each.cascade.price, 1.0)
    if each.seats == "mixed":
        yield from _of_mixed(each, name, rules)
        return
    if each.dataset in _EXIT:
        yield _least(f"{name}: calls the lossless exit saves", each.exit_saved, _EXIT[each.dataset])
    if each.dataset in CASCADE_GOALS and each.cascade is not None:
        loss, price = CASCADE_GOALS[each.dataset]
        gain = each.cascade.accuracy - each.cascade.strong
        yield _least(f"{name}: cascade above the strong model", gain, -loss)
        yield _most(f"{name}: price of the cascade", each.cascade.price, price)
    yield _most(f"{name}: calibration error", each.calibration_error, _CALIBRATED)


def _of_mixed(each: PanelFigures, name: str, rules: Mapping[str, float]) -> Iterator[Target]:
    weights = rules["weighted"]
    if each.dataset in _MIXED_GAIN:
        gain = weights - rules["plain majority"]
        yield _least(f"{name}: weighted above plain majority by 4 points", gain, 0.04)
    best = max(rules["best single"], weights)
    yield _least(
        f"{name}: learned above the best of single and weighted", rules["learned"] - best, -0.01
    )


def _least(name: str, value: float, bound: float) -> Target:
    return Target(name=name, value=value, bound=bound, at_least=True)


def _most(name: str, value: float, bound: float) -> Target:
    return Target(name=name, value=value, bound=bound, at_least=False)
