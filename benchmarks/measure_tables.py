"""Measurements of the decision rules as Markdown tables and as one JSON object."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mom_council.benchmarks.extraction import Agreement
from mom_council.benchmarks.targets import ExitFigures, PanelFigures, Target
from mom_council.evals.reports import table

_ALL = ("best single", "plain majority", "agreement", "20 labels", "weighted", "learned")
_EARLY = ("wave 3, 2, 2", "beta 95 %", "dirichlet 95 %")


def as_markdown(figures: Sequence[PanelFigures], reading: Mapping[str, Agreement]) -> str:
    """All tables."""
    parts = [_accuracies(figures), _exits(figures), _early(figures), _confidences(figures)]
    if any(each.cascade for each in figures):
        parts.append(_cascades(figures))
    if reading:
        parts.append(_readings(reading))
    return "\n\n".join(parts) + "\n"


def checks_as_markdown(checks: Sequence[Target]) -> str:
    """The targets, each with its value."""
    rows = [
        [
            each.name,
            f"{each.value:.4f}",
            f"{'at least' if each.at_least else 'at most'} {each.bound:g}",
            "met" if each.met else "**missed**",
        ]
        for each in checks
    ]
    return "\n" + table(["target", "value", "bound", "?"], rows) + "\n"


def with_tables(page: str, tables: str) -> str:
    """A page with each of these tables in place of the one that has the same first cell."""
    lines, made = page.splitlines(), [one.strip().splitlines() for one in tables.split("\n\n")]
    fresh = {_first_cell(one[0]): one for one in made if _is_row(one[0])}
    remade: list[str] = []
    at = 0
    while at < len(lines):
        end = at
        while end < len(lines) and _is_row(lines[end]):
            end += 1
        remade += fresh.get(_first_cell(lines[at]), lines[at:end]) if end > at else [lines[at]]
        at = max(end, at + 1)
    return "\n".join(remade) + "\n"


def _is_row(line: str) -> bool:
    return line.startswith("|")


def _first_cell(line: str) -> str:
    return line.split("|")[1].strip()


def as_json(
    figures: Sequence[PanelFigures], reading: Mapping[str, Agreement], checks: Sequence[Target]
) -> dict[str, Any]:
    """The same as one object."""
    return {
        "panels": [each.model_dump(mode="json") for each in figures],
        "reading": {
            dataset: each.model_dump(mode="json") | {"share": each.share}
            for dataset, each in reading.items()
        },
        "targets": [each.model_dump(mode="json") | {"met": each.met} for each in checks],
    }


def percent(share: float, digits: int = 1) -> str:
    """0.8512 as 85.1."""
    return f"{100 * share:.{digits}f}"


def _accuracies(figures: Sequence[PanelFigures]) -> str:
    def cell(each: PanelFigures, rule: str) -> str:
        value = each.rules[rule]
        return f"{percent(value.accuracy)} ({percent(value.low)} to {percent(value.high)})"

    head = ["accuracy in % (95 % interval)", "n", *_ALL, "any right"]
    rows = [
        [
            _name(each),
            str(each.questions),
            *(cell(each, rule) for rule in _ALL),
            percent(each.any_right),
        ]
        for each in figures
    ]
    return table(head, rows)


def _early(figures: Sequence[PanelFigures]) -> str:
    def cell(each: PanelFigures, rule: str) -> str:
        value = each.rules[rule]
        return f"{percent(value.saved)} / {percent(value.accuracy)}"

    head = ["plain votes: calls saved / accuracy in %", *_EARLY]
    return table(head, [[_name(each), *(cell(each, rule) for rule in _EARLY)] for each in figures])


def _exits(figures: Sequence[PanelFigures]) -> str:
    def cell(one: ExitFigures) -> str:
        return f"{percent(one.saved)} / {percent(one.accuracy)} / {percent(one.whole)}"

    names = ("plain", "weighted", "learned")
    rows = [
        [
            _name(each),
            *(cell(each.exits[name]) for name in names),
            str(sum(each.exits[name].flips for name in names)),
        ]
        for each in figures
    ]
    head = ["lossless exit: calls saved / accuracy / with everybody asked, in %"]
    return table([*head, *(f"{name} votes" for name in names), "winners changed"], rows)


def _confidences(figures: Sequence[PanelFigures]) -> str:
    rows = [
        [
            _name(each),
            percent(each.confidence),
            percent(each.rules["learned"].accuracy),
            f"{each.calibration_error:.3f}",
            f"{each.error_by_chance:.3f}",
        ]
        for each in figures
    ]
    head = ["confidence of the learned vote", "mean, %", "accuracy, %"]
    return table([*head, "calibration error", "that of a perfect confidence"], rows)


def _cascades(figures: Sequence[PanelFigures]) -> str:
    rows = [
        [
            _name(each),
            percent(each.cascade.accuracy),
            percent(each.cascade.strong),
            percent(each.cascade.price),
            percent(each.cascade.escalated),
            each.cascade.chosen,
        ]
        for each in figures
        if each.cascade
    ]
    head = ["cascade, in %", "accuracy", "strong alone", "price of strong alone", "escalated"]
    return table([*head, "cheap models that must agree"], rows)


def _readings(reading: Mapping[str, Agreement]) -> str:
    rows = [
        [
            dataset,
            *(str(each.both + each.missed), percent(each.raw_share, 1)),
            *(str(each.held), percent(each.held_share, 1), percent(each.whole_share, 1)),
            *(str(each.both), percent(each.share, 2), str(each.fuller), str(each.unseen)),
            *(str(each.missed), str(each.gained)),
        ]
        for dataset, each in reading.items()
    ]
    head = ["reading answers", "recorded", "equal in %", "held by the end", "equal of those in %"]
    head.append("equal of those recorded whole in %")
    more = ["read by both", "equal of those in %", "fuller", "unseen", "missed", "gained"]
    return table([*head, *more], rows)


def _name(each: PanelFigures) -> str:
    return f"{each.dataset}, {each.seats} of {len(each.models)}"
