"""A scorecard as Markdown, as SVG plots, and as a chart for the terminal."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from string import ascii_uppercase
from typing import Any

from mom_council.errors import StorageError
from mom_council.evals.scorecard import MeasuredValue, Scorecard, SystemScore
from mom_council.runs.words import counted


def as_markdown(report: Scorecard) -> str:
    """The whole report: the table of systems, calibration, agreement, notes."""
    parts = [
        f"## {report.council}: {counted(report.questions, 'question')}\n\n{_systems(report)}",
        _calibration(report),
        _agreement(report),
        _alike(report),
    ]
    if report.text_agrees is not None:
        parts.append(
            f"The final text gives the answer that led the vote: {report.text_agrees:.1%}."
        )
    parts += report.notes
    return "\n\n".join(part for part in parts if part) + "\n"


def _systems(report: Scorecard) -> str:
    head = (
        "system",
        "accuracy, %",
        "council's gain, points",
        "calls",
        "tokens",
        "US cents",
        "seconds",
        "no answer",
    )
    return table(head, [_row(one) for one in report.systems])


def _row(one: SystemScore) -> tuple[str, ...]:
    oracle = one.name == "oracle"
    return (
        one.label,
        _percent(one.accuracy),
        "" if one.gain is None else _points(one.gain),
        "" if oracle else f"{one.calls:.1f}",
        "" if oracle or one.tokens is None else f"{one.tokens:.0f}",
        "" if oracle or one.usd is None else f"{100 * one.usd:.4f}",
        "" if oracle else f"{one.seconds:.2f}",
        str(one.failed) if one.failed and not oracle else "",
    )


def _calibration(report: Scorecard) -> str:
    if report.calibration_error is None:
        return ""
    rows = [
        (f"{one.confidence:.2f}", f"{100 * one.accuracy:.1f}", str(one.number))
        for one in report.calibration
    ]
    number = sum(one.number for one in report.calibration)
    what = "Reported confidence"
    if not report.calibrated:
        what = "The share of the vote read as a confidence (nothing was fitted: mom weights fit)"
    elif report.calibrated < number:
        what += f" ({number - report.calibrated} of {number} times the share of the vote)"
    return f"{what}, expected calibration error {report.calibration_error:.3f}:\n\n" + table(
        ("confidence", "accuracy, %", "questions"), rows
    )


def _agreement(report: Scorecard) -> str:
    rows = [
        (str(one.members), f"{100 * one.accuracy:.1f}", str(one.number)) for one in report.agreement
    ]
    head = ("members that agree", "their accuracy, %", "questions")
    return table(head, rows) if len(rows) > 1 else ""


def _alike(report: Scorecard) -> str:
    names = list(report.alike)
    if len(names) < 2:
        return ""
    rows = [
        (one, *("" if one == other else f"{100 * report.alike[one][other]:.0f}" for other in names))
        for one in names
    ]
    return table(("same answer, %", *names), rows)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, its columns even; the first to the left, the others to the right."""
    cells = [[_cell(cell) for cell in row] for row in (head, *rows)]
    wide = [max(3, *(len(row[at]) for row in cells)) for at in range(len(head))]

    def line(row: Sequence[str]) -> str:
        parts = [
            row[0].ljust(wide[0]),
            *(c.rjust(w) for c, w in zip(row[1:], wide[1:], strict=True)),
        ]
        return f"| {' | '.join(parts)} |"

    rule = "|".join(["-" * (wide[0] + 2), *("-" * (w + 1) + ":" for w in wide[1:])])
    return "\n".join([line(cells[0]), f"|{rule}|", *map(line, cells[1:])])


def _percent(one: MeasuredValue) -> str:
    return f"{100 * one.value:.1f} ({100 * one.low:.1f} to {100 * one.high:.1f})"


def _points(one: MeasuredValue) -> str:
    return f"{100 * one.value:+.1f} ({100 * one.low:+.1f} to {100 * one.high:+.1f})"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


_WIDTH, _HEIGHT = 640, 420
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 20, 34, 48
_INK, _PALE, _LINE = "#1f2933", "#cbd2d9", "#2563eb"


def write_plots(report: Scorecard, folder: Path | str) -> list[Path]:
    """Write the plots that the report has numbers for; where they are.

    Raises:
        StorageError: the folder cannot be written to.
    """
    folder = Path(folder).expanduser()
    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, draw in PLOTS.items():
            if picture := draw(report):
                path = folder / f"{name}.svg"
                path.write_text(picture, encoding="utf-8")
                written.append(path)
    except OSError as error:
        raise StorageError(
            f"plots cannot be written to {str(folder)!r}: {error.strerror}"
        ) from None
    return written


def accuracy_against_cost(report: Scorecard) -> str:
    """A point a system with its interval; dollars where they are known of all, else calls."""
    systems = [one for one in report.systems if one.name != "oracle"]
    priced = all(one.usd for one in systems)

    def cost(one: SystemScore) -> float:
        return 100 * (one.usd or 0.0) if priced else one.calls

    most = 1.08 * max(map(cost, systems))
    if most <= 0:
        return ""
    low = max(0.0, math.floor(10 * min(one.accuracy.low for one in systems)) / 10 - 0.02)
    page = _Page((0.0, most), (low, 1.0))
    page.axes(
        "Accuracy against cost",
        "US cents a question" if priced else "calls a question",
        "accuracy",
    )
    for one in sorted(systems, key=lambda one: -one.accuracy.value):
        page.bar(cost(one), one.accuracy.low, one.accuracy.high)
        page.dot(cost(one), one.accuracy.value, one.label, big=one.name == "council")
    return page.drawn()


def as_chart(report: Scorecard, *, width: int = 78, height: int = 22) -> str:
    """Accuracy against cost as plain text, for a terminal: a letter for each system.

    Args:
        report: of an evaluation.
        width: in characters.
        height: in lines.
    """
    plotext: Any = importlib.import_module("plotext")  # it is loaded where it draws
    systems = [one for one in report.systems if one.name != "oracle"]
    priced = all(one.usd for one in systems)
    plotext.clear_figure()
    plotext.theme("clear")
    plotext.plotsize(width, height)
    plotext.title("Accuracy against cost")
    plotext.xlabel("US cents a question" if priced else "calls a question")
    plotext.ylabel("accuracy, %")
    for letter, one in zip(ascii_uppercase, systems, strict=False):
        cost = 100 * (one.usd or 0.0) if priced else one.calls
        accuracy = 100 * one.accuracy.value
        plotext.scatter([cost], [accuracy], marker=letter, label=" ".join(one.label.split()))
    text: str = plotext.uncolorize(plotext.build())
    return "\n".join(line.rstrip() for line in text.splitlines())


def calibration(report: Scorecard) -> str:
    """Accuracy over reported confidence; the pale line is where they are equal."""
    if not report.calibration:
        return ""
    page = _Page((0.0, 1.0), (0.0, 1.0))
    page.axes("Calibration", "reported confidence", "accuracy")
    page.line([(0, 0), (1, 1)], _PALE)
    page.line([(one.confidence, one.accuracy) for one in report.calibration], _LINE)
    for one in report.calibration:
        page.dot(one.confidence, one.accuracy, str(one.number))
    return page.drawn()


def agreement(report: Scorecard) -> str:
    """Accuracy of the most frequent answer over how many members gave it."""
    if len(report.agreement) < 2:
        return ""
    most = max(one.members for one in report.agreement)
    page = _Page((0.0, float(most)), (0.0, 1.0))
    page.axes("Agreement", "members that gave the most frequent answer", "its accuracy")
    page.line([(one.members, one.accuracy) for one in report.agreement], _LINE)
    for one in report.agreement:
        page.dot(one.members, one.accuracy, str(one.number))
    return page.drawn()


PLOTS: dict[str, Callable[[Scorecard], str]] = {
    "accuracy-against-cost": accuracy_against_cost,
    "calibration": calibration,
    "agreement": agreement,
}


class _Page:
    """A drawing in the plot's own coordinates."""

    def __init__(self, across: tuple[float, float], up: tuple[float, float]) -> None:
        self._across, self._up = across, up
        self._parts: list[str] = []
        self._labels: list[tuple[float, float]] = []

    def axes(self, title: str, across: str, up: str) -> None:
        """The frame, its ticks and its words."""
        self._text(_WIDTH / 2, 20, title, "middle", 15)
        self._text(_WIDTH / 2, _HEIGHT - 10, across, "middle", 12)
        self._parts.append(
            f'<text x="16" y="{_HEIGHT / 2:.0f}" font-size="12" text-anchor="middle" fill="{_INK}" '
            f'transform="rotate(-90 16 {_HEIGHT / 2:.0f})">{escape(up)}</text>'
        )
        for at in _ticks(*self._up):
            self.line([(self._across[0], at), (self._across[1], at)], "#e4e7eb")
            self._text(_LEFT - 6, self._y(at) + 4, f"{100 * at:.0f} %", "end", 11)
        for at in _ticks(*self._across):
            self._text(self._x(at), _HEIGHT - _BOTTOM + 18, f"{at:.4g}", "middle", 11)

    def line(self, points: Sequence[tuple[float, float]], color: str) -> None:
        """A line through points."""
        path = " ".join(f"{self._x(x):.1f},{self._y(y):.1f}" for x, y in points)
        self._parts.append(f'<polyline points="{path}" fill="none" stroke="{color}"/>')

    def bar(self, x: float, low: float, high: float) -> None:
        """An interval."""
        self.line([(x, low), (x, high)], "#9aa5b1")

    def dot(self, x: float, y: float, label: str, *, big: bool = False) -> None:
        """A point, and what it is; a label that would cover another moves down."""
        at, up = self._x(x), self._y(y)
        self._parts.append(
            f'<circle cx="{at:.1f}" cy="{up:.1f}" r="{6 if big else 4}" fill="{_LINE}"/>'
        )
        line = up - 6
        while any(abs(line - other) < 12 and abs(at - left) < 150 for left, other in self._labels):
            line += 12
        self._labels.append((at, line))
        left = at > _WIDTH * 0.62
        self._text(at - 9 if left else at + 9, line + 4, label, "end" if left else "start", 11)

    def drawn(self) -> str:
        """The SVG."""
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
            f'width="{_WIDTH}" height="{_HEIGHT}" font-family="sans-serif">\n'
            f'<rect width="100%" height="100%" fill="#ffffff"/>\n'
            + "\n".join(self._parts)
            + "\n</svg>\n"
        )

    def _text(self, x: float, y: float, text: str, anchor: str, size: int) -> None:
        self._parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" '
            f'fill="{_INK}">{escape(text)}</text>'
        )

    def _x(self, value: float) -> float:
        low, high = self._across
        return _LEFT + (value - low) / (high - low) * (_WIDTH - _LEFT - _RIGHT)

    def _y(self, value: float) -> float:
        low, high = self._up
        return _HEIGHT - _BOTTOM - (value - low) / (high - low) * (_HEIGHT - _TOP - _BOTTOM)


def _ticks(low: float, high: float) -> list[float]:
    """About five round numbers within."""
    rough = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * one for one in (1, 2, 5, 10) if power * one >= rough)
    first = math.ceil(low / step - 1e-9)
    return [step * at for at in range(first, math.floor(high / step + 1e-9) + 1)]
