"""Measure weights that need no labels, or few, on random panels of recorded answers.

    python -m mom_council.benchmarks.label_free FOLDER [--panels 10] [--seed 0]

For each recording it draws panels of five: `mixed` ones, of which one model stands far above the
others' mean, and `uniform` ones of similar models. Agreement is measured on one fold without its
gold answers, and scored on the other. Where crowd-kit is installed, its Dawid-Skene model stands
beside ours: it sees the answers of the scored fold too, without labels.
"""

from __future__ import annotations

import argparse
import importlib
import random
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mom_council.councils.recording import find_recordings, read_recording
from mom_council.evals.reports import table
from mom_council.evals.rules import agreement, blended, learned, plain_majority, scores
from mom_council.evals.sheet import Sheet, lay_out

_SIZE = 5
_TRIES = 20_000
_DRAWS = 10
"""Times that twenty labels are drawn."""
_CROWD_KIT = ("DawidSkene",)

Columns = dict[str, list[float]]
"""Way -> for each panel, accuracy above the plain majority."""


class Row(NamedTuple):
    """The panels of a kind on a data set."""

    dataset: str
    kind: str
    panels: int
    gains: Columns


def draw_panels(sheet: Sheet, kind: str, number: int, dice: random.Random) -> list[list[int]]:
    """Random panels of five columns, `mixed` or `uniform`; fewer where there are none.

    Mixed: the best stands at least 12 points above the others' mean. Uniform: best and worst lie
    within 15 points.
    """
    right = [one / len(sheet.lines) for one in sheet.right]
    found: list[list[int]] = []
    for _ in range(_TRIES):
        panel = dice.sample(range(len(sheet.models)), min(_SIZE, len(sheet.models)))
        best, *others = sorted((right[at] for at in panel), reverse=True)
        gap, spread = best - sum(others) / len(others), best - others[-1]
        if gap >= 0.12 if kind == "mixed" else spread <= 0.15:
            found.append(panel)
        if len(found) == number:
            break
    return found


def measure_panel(sheet: Sheet, dice: random.Random) -> dict[str, float]:
    """Each way's accuracy above the plain majority on one panel."""
    cal, held = sheet.fold("cal"), sheet.fold("eval")
    if dice.random() < 0.5:
        cal, held = held, cal
    base = _mean(scores(plain_majority(cal), held))
    few = [_mean(scores(blended(20, seed=seed)(cal), held)) for seed in range(_DRAWS)]
    found = {
        "no labels": _mean(scores(agreement(cal), held)) - base,
        "20 labels": _mean(few) - base,
        "all labels": _mean(scores(learned(cal), held)) - base,
    }
    return found | {name: value - base for name, value in _crowd_kit(cal, held).items()}


def measure(folder: Path, panels: int, seed: int) -> list[Row]:
    """Measure every recording of a folder."""
    rows = []
    for dataset, path in find_recordings(folder).items():
        questions = list(read_recording(path))
        models = sorted({model for question in questions for model in question.models})
        sheet = lay_out(questions, models)
        for kind in ("mixed", "uniform"):
            dice = random.Random(f"{seed} {dataset} {kind}")
            gains: Columns = {}
            drawn = draw_panels(sheet, kind, panels, dice)
            for panel in drawn:
                for way, gain in measure_panel(sheet.of(panel), dice).items():
                    gains.setdefault(way, []).append(gain)
            rows.append(Row(dataset, kind, len(drawn), gains))
    return rows


def as_markdown(rows: Sequence[Row]) -> str:
    """Mean gain in points, and that of the worst panel."""
    ways = list(dict.fromkeys(way for row in rows for way in row.gains))
    head = ["points above plain majority, mean (worst panel)", "panels", *ways]
    return table(
        head,
        [
            [
                f"{row.dataset}, {row.kind}",
                str(row.panels),
                *(
                    f"{100 * _mean(row.gains[way]):+.1f} ({100 * min(row.gains[way]):+.1f})"
                    if row.gains.get(way)
                    else ""
                    for way in ways
                ),
            ]
            for row in rows
        ],
    )


def _crowd_kit(cal: Sheet, held: Sheet) -> dict[str, float]:
    try:
        pandas = importlib.import_module("pandas")
        aggregation = importlib.import_module("crowdkit.aggregation")
    except ImportError:
        return {}
    rows = [
        {"task": line.id, "worker": str(voter), "label": answer}
        for line in (*cal.lines, *held.lines)
        for voter, answer in enumerate(line.said)
        if answer is not None
    ]
    answers: Any = pandas.DataFrame(rows)
    found = {}
    for name in _CROWD_KIT:
        chosen: Mapping[str, str] = _aggregate(getattr(aggregation, name), answers)
        right = [float(chosen.get(line.id) in line.right) for line in held.lines]
        found[f"crowd-kit {name}"] = _mean(right)
    return found


def _aggregate(make: Callable[[], Any], answers: Any) -> Mapping[str, str]:
    result: Mapping[str, str] = make().fit_predict(answers)
    return result


def _mean(values: Sequence[float]) -> float:
    return sum(values) / max(1, len(values))


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(
        prog="label_free", description=(__doc__ or "").split("\n\n")[0]
    )
    parser.add_argument("folder", type=Path, help="recordings")
    parser.add_argument("--panels", type=int, default=10, help="of each kind and recording")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args(arguments)
    sys.stdout.write(as_markdown(measure(chosen.folder, chosen.panels, chosen.seed)) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
