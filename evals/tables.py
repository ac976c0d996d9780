"""A report as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from mom_council.evals.scorecard import Between, Scorecard, System


def as_markdown(report: Scorecard) -> str:
    """The whole report: the table of systems, calibration, agreement, notes."""
    parts = [
        f"## {report.council}: {report.questions} questions\n\n{_systems(report)}",
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


def _row(one: System) -> tuple[str, ...]:
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
    told = sum(one.number for one in report.calibration)
    what = "Reported confidence"
    if not report.calibrated:
        what = "The share of the vote read as a confidence (nothing was fitted: mom weights fit)"
    elif report.calibrated < told:
        what += f" ({told - report.calibrated} of {told} times the share of the vote)"
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


def _percent(one: Between) -> str:
    return f"{100 * one.value:.1f} ({100 * one.low:.1f} to {100 * one.high:.1f})"


def _points(one: Between) -> str:
    return f"{100 * one.value:+.1f} ({100 * one.low:+.1f} to {100 * one.high:+.1f})"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
