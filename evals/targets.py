"""What the decision rules have to reach on the development set, and by how much they do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from mom_council.evals.extraction import Agreement
from mom_council.evals.figures import PanelFigures, Target

_EXIT = {"zeroeval_gsm": 0.34, "zeroeval_math_l5": 0.18, "zeroeval_crux": 0.28, "mmlu_pro": 0.16}
_STOP = {"zeroeval_gsm", "zeroeval_crux"}
_MIXED_GAIN = {"zeroeval_math_l5", "zeroeval_crux", "mmlu_pro"}
_CASCADE = {"zeroeval_gsm": (0.005, 0.50), "zeroeval_crux": (0.01, 0.65)}
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
    yield _most(f"{name}: winners that the lossless exit changes", each.exit_flips, 0)
    if each.seats == "mixed":
        yield from _of_mixed(each, name, rules)
        return
    if each.dataset in _EXIT:
        yield _least(f"{name}: calls the lossless exit saves", each.exit_saved, _EXIT[each.dataset])
    if each.dataset in _STOP:
        stop = each.rules["calibrated stop"]
        yield _least(f"{name}: calls the calibrated stop saves", stop.saved, 0.5)
        yield _least(
            f"{name}: calibrated stop above the weighted vote", stop.accuracy - weights, -0.005
        )
    if each.dataset in _CASCADE and each.cascade is not None:
        loss, price = _CASCADE[each.dataset]
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
