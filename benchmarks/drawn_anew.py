"""Draw panels and halves of the questions anew, and see what the decision rules do at worst.

    python -m mom_council.benchmarks.drawn_anew FOLDER [--seeds 10] [--write docs/votes.md]

The other measures stand on the panels and folds that come with the recordings, and these were seen
while the rules were made. Here every seed draws other models and another half of the questions to
learn from; the other half is scored (a thousand questions each at most).
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from mom_council.benchmarks.measure_tables import with_tables
from mom_council.councils.recording import RecordedQuestion, find_recordings, read_recording
from mom_council.errors import MixtureError
from mom_council.evals.fitting import fit_panel
from mom_council.evals.reports import table
from mom_council.evals.rules import (
    Weigh,
    agreement,
    asking_all,
    best_single,
    panel_order,
    plain_majority,
    scores,
    stopping,
    weighted,
)
from mom_council.evals.sheet import Sheet, lay_out
from mom_council.voting.early_exit import lossless_in_order
from mom_council.voting.weights import learn

_MOST = 1000
SIZES = (5, 7)


class Draw(NamedTuple):
    """One panel on one half of the questions. Accuracies are differences, 0..1."""

    saved: float
    saved_before: float
    """With the weights as they were learned, before they were lowered."""
    lowered: float
    """What lowering them did to the accuracy."""
    best: float
    """Above the better of best member and weighted vote."""
    plain: float
    """Above plain votes."""
    unlabelled: float
    """The vote by agreement above plain votes."""
    flips: int
    """Winners that the lossless exit changed."""


def draw(questions: Sequence[RecordedQuestion], size: int, seed: int) -> Draw:
    """Measure one panel."""
    dice = random.Random(seed)
    models = dice.sample(sorted({model for one in questions for model in one.models}), size)
    sheet = lay_out(questions, models)
    lines = list(sheet.lines)
    dice.shuffle(lines)
    half = min(_MOST, len(lines) // 2)
    cal = replace(sheet, lines=tuple(lines[:half]))
    scored = replace(sheet, lines=tuple(lines[half : 2 * half]))
    fitted = fit_panel(cal)
    order = panel_order(cal, fitted)
    whole = learn(cal.cases, size).weights
    now = _exit(_by_weight(order, fitted.joint), cal, scored)
    before = _exit(_by_weight(range(size), whole), cal, scored)
    plain, single, odds, unlabelled = (
        _mean(scores(fit(cal), scored))
        for fit in (plain_majority, best_single, weighted, agreement)
    )
    return Draw(
        saved=now[1],
        saved_before=before[1],
        lowered=now[0] - before[0],
        best=now[0] - max(single, odds),
        plain=now[0] - plain,
        unlabelled=unlabelled - plain,
        flips=now[2],
    )


def _by_weight(columns: Sequence[int], weights: Sequence[float]) -> Weigh:
    heaviest = sorted(range(len(weights)), key=lambda at: -weights[at])
    return lambda _: ([columns[at] for at in heaviest], [weights[at] for at in heaviest])


def _exit(weigh: Weigh, cal: Sheet, scored: Sheet) -> tuple[float, float, int]:
    """The accuracy of a vote, what share of calls its exit saves, and the winners it changes."""
    early, whole = stopping(lossless_in_order, weigh=weigh)(cal), asking_all(weigh)(cal)
    decided = [(early(line), whole(line), line) for line in scored.lines]
    right = _mean([every.score(line) for _, every, line in decided])
    asked = _mean([few.asked for few, _, _ in decided])
    flips = sum(few.answers != every.answers for few, every, _ in decided)
    return right, 1 - asked / len(cal.models), flips


def as_markdown(found: dict[tuple[str, int], list[Draw]]) -> str:
    """The mean and the worst of each."""
    rows = []
    for (dataset, size), draws in found.items():
        accuracies = [
            _mean_and_worst([getattr(one, name) for one in draws])
            for name in ("lowered", "best", "plain", "unlabelled")
        ]
        saved, before = (_mean([getattr(one, name) for one in draws]) for name in Draw._fields[:2])
        exits = [f"{100 * saved:.0f}", f"{100 * before:.0f}", str(sum(one.flips for one in draws))]
        rows.append([f"{dataset}, {size} voices", *exits, *accuracies])
    head = [
        "drawn anew: mean (worst), points",
        "calls saved, %",
        "before weights are lowered",
        "winners changed",
        "lowering weights",
        "learned above best member and weighted",
        "learned above plain votes",
        "no labels above plain votes",
    ]
    return table(head, rows) + "\n"


def _mean_and_worst(values: Sequence[float]) -> str:
    return f"{100 * _mean(values):+.1f} ({100 * min(values):+.1f})"


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; give the exit code: 0, or 2 where there is no recording."""
    parser = argparse.ArgumentParser(
        prog="drawn_anew", description=(__doc__ or "").split("\n\n", 1)[0]
    )
    parser.add_argument("folder", type=Path, help="recordings")
    parser.add_argument("--seeds", type=int, default=10, help="draws of each size and recording")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="remake the table of a page")
    chosen = parser.parse_args(arguments)
    found: dict[tuple[str, int], list[Draw]] = {}
    try:
        for dataset, path in sorted(find_recordings(chosen.folder).items()):
            questions = tuple(read_recording(path))
            models = {model for one in questions for model in one.models}
            for size in SIZES:
                if size < len(models):
                    found[dataset, size] = [
                        draw(questions, size, seed) for seed in range(chosen.seeds)
                    ]
    except (MixtureError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    text = as_markdown(found)
    sys.stdout.write(text)
    if chosen.write is not None:
        page = chosen.write.read_text(encoding="utf-8")
        chosen.write.write_text(with_tables(page, text), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
