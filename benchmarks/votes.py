"""Measure every goal of the votes on recordings, and print which are met: `make votes`.

    python -m mom_council.benchmarks.votes [FOLDER] [--seeds 0 41 42] [--shipped] [--write PAGE]

FOLDER holds recordings and a panels.json (see `councils.recording`); it is MOM_RECORDINGS if left
out, and without that the small recording that ships. The parts are those of `label_free`, `measure`
and `confidence_prior`, on the same folds. `--shipped` scores the confidence prior as it ships, for
recordings of models that it was not made from. `--check` exits with 1 where a goal is missed;
`--write` remakes the tables of a page, those of the parts too.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from mom_council import evals
from mom_council.benchmarks import confidence_prior, label_free
from mom_council.benchmarks.extraction import Agreement
from mom_council.benchmarks.measure import measure_folder
from mom_council.benchmarks.measure_tables import as_markdown as as_tables
from mom_council.benchmarks.measure_tables import with_tables
from mom_council.benchmarks.targets import CASCADE_GOALS, PanelFigures
from mom_council.councils.recording import find_recordings, read_recording
from mom_council.errors import MixtureError
from mom_council.evals.reports import table

_SHIPPED = Path(evals.__file__).parent / "recorded"
_GAIN = {"zeroeval_gsm": 0.6, "zeroeval_math_l5": 5.0, "zeroeval_crux": 2.5, "mmlu_pro": 1.5}
"""Points above plain majority that weights without labels are to gain on mixed panels."""
_SAVED = {
    "panel": {"zeroeval_gsm": 50, "zeroeval_math_l5": 52, "zeroeval_crux": 54, "mmlu_pro": 44},
    "mixed": {"zeroeval_gsm": 47, "zeroeval_math_l5": 52, "zeroeval_crux": 54, "mmlu_pro": 80},
}
"""Per cent of the members' calls, in whole per cent, that a fitted council is to do without."""
_READ = {"zeroeval_gsm": 99.0, "zeroeval_math_l5": 98.5, "zeroeval_crux": 97.0, "mmlu_pro": 98.0}
"""Per cent of the answers that a kept end holds which are to be read as recorded."""
_ANYWHERE = (0.005, 1.0)
"""Accuracy that a cascade may lose on any panel, and its price, of the strong model's."""


class Goal(NamedTuple):
    """One measured figure beside what it is to reach."""

    what: str
    dataset: str
    value: float
    bound: float
    at_least: bool = True
    digits: int = 2

    @property
    def met(self) -> bool:
        """Whether it does; a rounding error is no failure."""
        short = self.bound - self.value if self.at_least else self.value - self.bound
        return short <= 1e-9

    @property
    def text(self) -> str:
        """`met: 1.52 (min 0.6)`."""
        found = f"{self.value:.{self.digits}f} ({'min' if self.at_least else 'max'} {self.bound:g})"
        return f"{'met' if self.met else 'missed'}: {found}"


def goals_without_labels(rows: Sequence[label_free.Row], seed: int) -> Iterator[Goal]:
    """Of weights that need no labels, or twenty; in points above plain majority."""
    for row in rows:
        if not row.panels:
            continue
        none, few, all_ = (row.gains[way] for way in ("no labels", "20 labels", "all labels"))
        name = f"{row.kind}, draw {seed}"
        least = _GAIN.get(row.dataset, 0.0) if row.kind == "mixed" else 0.0
        yield Goal(f"no labels, {name}: mean gain", row.dataset, _points(none), least)
        yield Goal(f"no labels, {name}: worst panel", row.dataset, 100 * min(none), -2.0)
        more = _points(few) - _points(none)
        yield Goal(f"20 labels, {name}: above no labels", row.dataset, more, -0.3)
        if row.kind == "mixed":
            short = _points(few) - _points(all_)
            yield Goal(f"20 labels, {name}: above all labels", row.dataset, short, -1.5)


def goals_of_panels(figures: Sequence[PanelFigures]) -> Iterator[Goal]:
    """Of the lossless exit of learned votes, and of the cascade; in per cent and points."""
    for each in figures:
        exit_ = each.exits["learned"]
        saved = round(100 * exit_.saved)
        least = _SAVED.get(each.seats, {}).get(each.dataset, 0)
        name = f"learned + lossless + strength, {each.seats}"
        yield Goal(f"{name}: calls saved, %", each.dataset, saved, least, digits=0)
        yield Goal(f"{name}: winners changed", each.dataset, exit_.flips, 0, False, 0)
        if each.cascade is None:
            continue
        loss, price = _ANYWHERE
        if each.seats == "panel":
            loss, price = CASCADE_GOALS.get(each.dataset, _ANYWHERE)
        gain = 100 * (each.cascade.accuracy - each.cascade.strong)
        name = f"cascade, {each.seats}"
        yield Goal(f"{name}: points above the strong model", each.dataset, gain, 0.0 - 100 * loss)
        cost = 100 * each.cascade.price
        yield Goal(f"{name}: price, % of its", each.dataset, cost, 100 * price, False, 1)


def goals_of_confidence(held: Sequence[confidence_prior.Held]) -> Iterator[Goal]:
    """Of the confidence of models that the prior has not seen: calibration error, and coverage."""
    for each in held:
        name = f"confidence of {each.voices} unseen models"
        bare, few = each.error(confidence_prior.PANEL), each.error(confidence_prior.LABELS)
        yield Goal(f"{name}: error without labels", each.dataset, bare, 0.06, False, 3)
        yield Goal(f"{name}: error with 50 labels", each.dataset, few, 0.05, False, 3)
        covered = 100 * each.covered
        yield Goal(f"{name}: inside the 90 % interval, %", each.dataset, covered, 90, digits=0)


def goals_of_reading(reading: Mapping[str, Agreement]) -> Iterator[Goal]:
    """Of reading an answer from the kept end of a reply that holds it."""
    for dataset, each in reading.items():
        share = 100 * each.held_share
        least = _READ.get(dataset, 97.0)
        yield Goal("answers read as recorded, %", dataset, share, least)
        whole = 100 * each.whole_share
        yield Goal("answers read, of those recorded whole, %", dataset, whole, least)


def measure_goals(
    folder: Path, seeds: Sequence[int], *, shipped_prior: bool
) -> tuple[list[Goal], str]:
    """Measure all that a folder allows: the goals, and the tables that they stand on.

    Each part has a process of its own.

    Raises:
        MixtureError: a recording or panels.json cannot be read.
        OSError: there is no such folder.
    """
    found: list[Goal] = []
    tables: list[str] = []
    with ProcessPoolExecutor() as processes:
        unlabelled = [processes.submit(label_free.measure, folder, 10, seed) for seed in seeds]
        panels = processes.submit(measure_folder, folder, cross=False)
        confidence = processes.submit(_measure_confidence, folder, shipped_figures=shipped_prior)
        for seed, part in zip(seeds, unlabelled, strict=True):
            rows = part.result()
            tables = tables or [label_free.as_markdown(rows)]
            found += goals_without_labels(rows, seed)
        figures, reading = panels.result()
        held = confidence.result()
    found += goals_of_panels(figures)
    found += [*goals_of_confidence(held), *goals_of_reading(reading)]
    tables += [as_tables(figures, reading), confidence_prior.as_markdown(held)]
    return found, "\n\n".join(tables)


def _measure_confidence(folder: Path, *, shipped_figures: bool) -> list[confidence_prior.Held]:
    recordings = {name: tuple(read_recording(at)) for name, at in find_recordings(folder).items()}
    return confidence_prior.measure(recordings, shipped_figures=shipped_figures)


def as_markdown(goals: Sequence[Goal]) -> str:
    """A row a goal, a column a recording; what is missed stands in bold."""
    head, rows = _cells(goals)
    bold = [[f"**{cell}**" if cell.startswith("missed") else cell for cell in row] for row in rows]
    return table(head, bold) + "\n"


def show(goals: Sequence[Goal], console: Console) -> None:
    """Print the same table, met in green and missed in red; then how many are met."""
    head, rows = _cells(goals)
    drawn = Table(*head, show_lines=False)
    for row in rows:
        drawn.add_row(*(cell and _coloured(cell) for cell in row))
    console.print(drawn)
    console.print(f"{sum(one.met for one in goals)} of {len(goals)} goals are met.")


def _cells(goals: Sequence[Goal]) -> tuple[list[str], list[list[str]]]:
    datasets = list(dict.fromkeys(one.dataset for one in goals))
    found: dict[str, dict[str, str]] = {}
    for one in goals:
        found.setdefault(one.what, {})[one.dataset] = one.text
    rows = [[what, *(each.get(name, "") for name in datasets)] for what, each in found.items()]
    return ["goal of the votes", *datasets], rows


def _coloured(cell: str) -> str:
    for word, colour in (("met:", "green"), ("missed:", "bold red")):
        if cell.startswith(word):
            return f"[{colour}]{cell}[/]"
    return cell


def _points(gains: Sequence[float]) -> float:
    return 100 * sum(gains) / len(gains)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; give the exit code: 0, 1 where `--check` finds one missed, 2 no folder."""
    parser = argparse.ArgumentParser(prog="votes", description=(__doc__ or "").split("\n\n")[0])
    default = Path(os.environ.get("MOM_RECORDINGS") or _SHIPPED)
    parser.add_argument("folder", type=Path, nargs="?", default=default, help="recordings")
    parser.add_argument(
        "--seeds", type=int, nargs="+", default=[0, 41, 42], help="of the random panels"
    )
    parser.add_argument("--shipped", action="store_true", help="score the prior as it ships")
    parser.add_argument("--check", action="store_true", help="exit 1 where a goal is missed")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="remake a page's tables")
    chosen = parser.parse_args(arguments)
    try:
        goals, tables = measure_goals(chosen.folder, chosen.seeds, shipped_prior=chosen.shipped)
    except (MixtureError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    if chosen.write is not None:
        page = chosen.write.read_text(encoding="utf-8")
        page = with_tables(page, f"{tables}\n\n{as_markdown(goals)}")
        chosen.write.write_text(page, encoding="utf-8")
    show(goals, Console())
    return int(chosen.check and not all(one.met for one in goals))


if __name__ == "__main__":
    raise SystemExit(main())
