"""Measure the decision rules on recorded answers.

    python -m mom_council.benchmarks.measure FOLDER [--json] [--cross] [--check] [--write PAGE]

FOLDER holds recordings (see `councils.recording`) and a panels.json. Everything is fitted on the
`cal` fold and scored on the `eval` fold; `--cross` does it both ways and scores every question
once. `--write` puts every table in place of the one of the same first cell in a page, such as
docs/votes.md.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from mom_council.benchmarks.extraction import Agreement, compare_reading
from mom_council.benchmarks.measure_tables import (
    as_json,
    as_markdown,
    checks_as_markdown,
    with_tables,
)
from mom_council.benchmarks.targets import (
    CascadeFigures,
    ExitFigures,
    PanelFigures,
    RuleFigures,
    targets,
)
from mom_council.councils.recording import (
    Panels,
    RecordedQuestion,
    RecordingError,
    find_recordings,
    read_panels,
    read_recording,
)
from mom_council.errors import MixtureError
from mom_council.evals.cascades import cascading, fit_cascade
from mom_council.evals.intervals import bootstrap, paired
from mom_council.evals.rules import RULES, WEIGHTED, Fit, RuleDecision, asking_all
from mom_council.evals.sheet import Line, Sheet, lay_out
from mom_council.voting.calibration import calibration_error, error_by_chance
from mom_council.voting.cascade import run_cascade

Split = tuple[Sheet, Sheet]
"""What to fit on, and what to score."""
EXITS = {
    "plain": "lossless exit",
    "weighted": "weighted, lossless",
    "learned": "learned, lossless",
}
"""The vote -> the rule that exits early from it."""
Scored = list[tuple[Line, RuleDecision]]


def measure(
    dataset: str, questions: Sequence[RecordedQuestion], panels: Panels, *, cross: bool = False
) -> list[PanelFigures]:
    """Measure every rule on the panels of a dataset."""
    seats = {"panel": panels.panel, "mixed": panels.mixed}
    return [
        measure_panel(dataset, name, questions, models, strong=panels.strong, cross=cross)
        for name, models in seats.items()
        if models
    ]


def measure_panel(
    dataset: str,
    seats: str,
    questions: Sequence[RecordedQuestion],
    models: Sequence[str],
    *,
    strong: str | None = None,
    cross: bool = False,
) -> PanelFigures:
    """Measure every rule on one panel.

    Raises:
        RecordingError: there is nothing to fit on, or nothing to score.
    """
    splits = _splits(lay_out(questions, models), cross=cross)
    decided = {name: _apply(fit, splits) for name, fit in RULES.items()}
    plain = _scores(decided["plain majority"])
    exits = {
        name: _exit(decided[EXITS[name]], _apply(asking_all(weigh), splits), len(models))
        for name, weigh in WEIGHTED.items()
    }
    sure = [decision.confidence or 0.0 for _, decision in decided["learned"]]
    true = _scores(decided["learned"])
    return PanelFigures(
        dataset=dataset,
        seats=seats,
        models=tuple(models),
        fitted=len(splits[0][0].lines),
        questions=len(plain),
        any_right=_mean(
            any(each in line.right for each in line.said) for line, _ in decided["learned"]
        ),
        rules={name: _figures(scored, plain, len(models)) for name, scored in decided.items()},
        exit_saved=exits["plain"].saved,
        exit_flips=exits["plain"].flips,
        exits=exits,
        confidence=_mean(sure),
        calibration_error=calibration_error(sure, true),
        error_by_chance=error_by_chance(sure),
        cascade=None
        if strong is None
        else _cascade(dataset, questions, models, strong, cross=cross),
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; give the exit code: 0, 1 where a target is missed, 2 for a wrong folder."""
    parser = argparse.ArgumentParser(prog="measure", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("folder", type=Path, help="recordings and panels.json")
    parser.add_argument("--json", action="store_true", help="one object in place of the tables")
    parser.add_argument("--cross", action="store_true", help="fit on each fold, score the other")
    parser.add_argument("--check", action="store_true", help="exit 1 where a target is missed")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="remake a page's tables")
    chosen = parser.parse_args(arguments)
    try:
        figures, reading = measure_folder(chosen.folder, cross=chosen.cross)
    except (MixtureError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    checks = targets(figures, reading)
    if chosen.write is not None:
        page = chosen.write.read_text(encoding="utf-8")
        remade = with_tables(page, as_markdown(figures, reading))
        chosen.write.write_text(remade, encoding="utf-8")
    if chosen.json:
        sys.stdout.write(json.dumps(as_json(figures, reading, checks), indent=1) + "\n")
    else:
        sys.stdout.write(as_markdown(figures, reading))
        sys.stdout.write(checks_as_markdown(checks) if chosen.check else "")
    return int(chosen.check and not all(each.met for each in checks))


def measure_folder(folder: Path, *, cross: bool) -> tuple[list[PanelFigures], dict[str, Agreement]]:
    """Measure the panels of a folder, and how its answers are read.

    Raises:
        RecordingError: panels.json or a recording of it is missing, or cannot be read.
    """
    panels = read_panels(folder / "panels.json")
    files = find_recordings(folder)
    figures: list[PanelFigures] = []
    reading: dict[str, Agreement] = {}
    for dataset, seats in panels.items():
        if dataset not in files:
            raise RecordingError(f"{str(folder)!r} has panels, but no recording of {dataset!r}")
        questions = list(read_recording(files[dataset]))
        figures += measure(dataset, questions, seats, cross=cross)
        agreement = compare_reading(questions)
        if agreement.both:
            reading[dataset] = agreement
    return figures, reading


def _splits(sheet: Sheet, *, cross: bool) -> list[Split]:
    both = [sheet, sheet.swapped()] if cross else [sheet]
    splits = [(each.fold("cal"), each.fold("eval")) for each in both]
    if not all(cal.lines and scored.lines for cal, scored in splits):
        raise RecordingError(
            "a recording needs questions of both folds: 'cal' to fit on, 'eval' to score"
        )
    return splits


def _apply(fit: Fit, splits: Iterable[Split]) -> Scored:
    scored: Scored = []
    for cal, sheet in splits:
        rule = fit(cal)
        scored += [(line, rule(line)) for line in sheet.lines]
    return scored


def _figures(scored: Scored, plain: Sequence[float], voters: int) -> RuleFigures:
    values = _scores(scored)
    draws = 1000 if len(values) < 1000 else 300
    accuracy, gain = bootstrap(values, draws=draws), paired(values, plain, draws=draws)
    return RuleFigures(
        accuracy=accuracy.value,
        low=accuracy.low,
        high=accuracy.high,
        gain=gain.value,
        gain_low=gain.low,
        gain_high=gain.high,
        saved=1 - _mean(decision.asked for _, decision in scored) / voters,
        usd=_mean(decision.usd for _, decision in scored),
    )


def _exit(early: Scored, whole: Scored, voters: int) -> ExitFigures:
    """What an exit saves, and what it changes of the same vote with everybody asked."""
    flips = sum(
        one.answers != other.answers for (_, one), (_, other) in zip(early, whole, strict=True)
    )
    return ExitFigures(
        saved=1 - _mean(decision.asked for _, decision in early) / voters,
        accuracy=_mean(_scores(early)),
        whole=_mean(_scores(whole)),
        flips=flips,
    )


def _cascade(
    dataset: str,
    questions: Sequence[RecordedQuestion],
    models: Sequence[str],
    strong: str,
    *,
    cross: bool,
) -> CascadeFigures:
    others = [model for model in models if model != strong]
    last = len(others)
    scored: Scored = []
    escalated: list[bool] = []
    chosen: list[str] = []
    for cal, held in _splits(lay_out(questions, [*others, strong]), cross=cross):
        cascade = fit_cascade(cal, last, dataset).cascade
        rule = cascading(cascade)
        scored += [(line, rule(line)) for line in held.lines]
        escalated += [last in run_cascade(cascade, line.said).asked for line in held.lines]
        cheap = ", ".join(held.models[voter] for voter in cascade.cheap)
        chosen.append(f"{cascade.agreeing} of {cheap}" if cheap else "asks the strong one")
    alone = sum(line.usd[last] for line, _ in scored)
    return CascadeFigures(
        accuracy=_mean(_scores(scored)),
        strong=_mean(line.correct(last) for line, _ in scored),
        price=sum(decision.usd for _, decision in scored) / alone if alone else 1.0,
        escalated=_mean(escalated),
        chosen="; ".join(chosen),
    )


def _scores(scored: Scored) -> list[float]:
    return [decision.score(line) for line, decision in scored]


def _mean(values: Iterable[float]) -> float:
    listed = list(values)
    return sum(listed) / max(1, len(listed))


if __name__ == "__main__":
    raise SystemExit(main())
