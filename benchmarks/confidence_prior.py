"""Make the shipped confidence prior from recordings, and measure it on models it has not seen.

    python -m mom_council.benchmarks.confidence_prior FOLDER            # writes voting/prior.json
    python -m mom_council.benchmarks.confidence_prior FOLDER --check    # measures held-out models
    python -m mom_council.benchmarks.confidence_prior FOLDER --shipped  # the figures as shipped

`--check` holds out models *and* questions: see `measure`. `--write PAGE` puts the table on a page.
The shipped figures use everything; `--shipped` scores them as they are, which says something only
of recordings that they were not made from.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import sys
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, get_args

import numpy as np

from mom_council.benchmarks.measure_tables import with_tables
from mom_council.councils.recording import RecordedQuestion, find_recordings, read_recording
from mom_council.evals.reports import table
from mom_council.voting import prior as shipped
from mom_council.voting.agreement import JudgedRow, Row, measure_agreement
from mom_council.voting.calibration import (
    calibration_error,
    error_by_chance,
    log_odds_of,
    logistic,
    minimise,
)
from mom_council.voting.prior import (
    ConfidencePrior,
    Curve,
    Kind,
    Pattern,
    PriorType,
    pattern_of,
    prior_chance,
    sharpen,
)
from mom_council.voting.reading import read_value

FEWEST, MOST = 3, 7
_PANELS = 24
"""Random panels of each size and data set that a fit stands on."""
_MOST_QUESTIONS = 1200
_HELD = 0.5
"""How far kinds are expected to lie from their type's curve, in log-odds."""
_LEAST_SPREAD, _LEAST_SPREAD_OF_KINDS, _LEAST_SPREAD_OF_SETS = 0.4, 0.9, 0.6
_SHARED = 1
"""Slopes of a panel's curve that types share as far as outcomes allow."""
_WORTH = 100.0
_HELD_OUT, _FOLDS = 5, 5
PATTERN, KIND, PANEL, LABELS = "pattern alone", "kind known", "no label", "50 labels"
WAYS = (PATTERN, KIND, PANEL, LABELS)
_HEAD = [
    "calibration error on unseen models",
    "panels",
    *WAYS,
    "a perfect confidence",
    "beyond chance",
    "panels pooled",
]

Cells = dict[tuple[PriorType, str], dict[Pattern, list[float]]]
"""(type, kind) -> pattern -> how often the leading answer was right, and how often it was seen."""
_Fit = tuple[dict[PriorType, Curve], dict[PriorType, Curve], dict[str, Kind]]
"""Curves of patterns alone, curves of panels whose agreement is known, and kinds."""


class Case(NamedTuple):
    """A question that a panel answered."""

    id: str
    type_: PriorType
    kinds: tuple[str, ...]
    pattern: Pattern
    """With what the panel's agreement on all these questions says, without labels."""
    right: float
    fold: int
    """Of the cross-validation."""


class Answered(NamedTuple):
    """What a panel answered of a recording."""

    dataset: str
    cases: list[Case]


def cases(
    questions: Sequence[RecordedQuestion],
    panel: Sequence[str],
    folds: Mapping[str, int] = {},
    judged: Collection[str] = (),
) -> list[Case]:
    """What a panel's answers look like, question by question; level answers share the point.

    Args:
        questions: all of them.
        panel: the models.
        folds: of the cross-validation, by the questions' ids.
        judged: ids of the questions whose gold answers the panel's vote may know.
    """
    said: list[tuple[str | None, ...]] = []
    rows: Counter[Row] = Counter()
    labelled: Counter[JudgedRow] = Counter()
    for question in questions:
        recorded = [question.models.get(model) for model in panel]
        answers = tuple(None if one is None else one.ans for one in recorded)
        said.append(answers)
        if question.id in judged:
            gold = frozenset(x.ans for x in recorded if x is not None and x.ok and x.ans)
            labelled[answers, gold] += 1
        else:
            rows[answers] += 1
    vote = measure_agreement(rows, labelled).vote
    found = []
    for question, answers in zip(questions, said, strict=True):
        stated = [one for one in answers if one is not None]
        if not stated:
            continue
        most = max(map(stated.count, stated))
        first = sorted({one for one in stated if stated.count(one) == most})
        type_ = type_of(question, first[0])
        if type_ is None:
            continue
        recorded = [question.models.get(model) for model in panel]
        right = {one.ans for one in recorded if one is not None and one.ok}
        share = sum(one in right for one in first) / len(first)
        kinds = tuple(filter(None, (question.category, question.dataset)))
        patterns = [pattern_of(answers, one, vote) for one in first]
        odds = log_odds_of(_mean(logistic(one.odds or 0.0) for one in patterns))
        pattern = patterns[0]._replace(odds=odds)
        found.append(Case(question.id, type_, kinds, pattern, share, folds.get(question.id, 0)))
    return found


def type_of(question: RecordedQuestion, answer: str) -> PriorType | None:
    """The type of an answer as the prior names it."""
    if question.options:
        return "choice"
    read = read_value(answer)
    return shipped.prior_type(read.type) if read else None


def draw(
    recordings: Mapping[str, Sequence[RecordedQuestion]],
    models: Mapping[str, Sequence[str]],
    folds: Mapping[str, int],
    dice: random.Random,
    panels: int,
) -> list[Answered]:
    """Random panels of these models, of every size, on random questions."""
    drawn = []
    for dataset, questions in recordings.items():
        for size in range(FEWEST, min(MOST, len(models[dataset])) + 1):
            for _ in range(panels):
                panel = dice.sample(list(models[dataset]), size)
                some = dice.sample(list(questions), min(_MOST_QUESTIONS, len(questions)))
                drawn.append(Answered(dataset, cases(some, panel, folds)))
    return drawn


def fit_all(drawn: Sequence[Answered], without: int | None = None) -> _Fit:
    """Fit everything to panels; without the questions of a fold."""
    cells: Cells = defaultdict(lambda: defaultdict(lambda: [0.0, 0.0]))
    kept = []
    for dataset, found in drawn:
        some = [one for one in found if one.fold != without]
        kept.append(Answered(dataset, some))
        for case in some:
            counts = cells[case.type_, case.kinds[0] if case.kinds else ""][
                case.pattern._replace(odds=None)
            ]
            counts[0] += case.right
            counts[1] += 1
    curves, kinds = fit(cells)
    return curves, fit_panels(kept), kinds


def fit_panels(drawn: Sequence[Answered]) -> dict[PriorType, Curve]:
    """The curves of panels whose agreement is known.

    Types share their slopes as far as outcomes allow; agreement of the panel counts alike for all.
    Every panel counts as `_WORTH` questions, because its questions share its models.
    """
    types: tuple[PriorType, ...] = get_args(PriorType)
    size = len(Pattern(3, 2, 1, 2, odds=0.0).features)
    own = 1 + _SHARED
    width = size + own * len(types)
    rows: list[list[float]] = []
    rights: list[float] = []
    weights: list[float] = []
    groups: list[tuple[str, PriorType]] = []
    for dataset, found in drawn:
        counted: dict[tuple[PriorType, Pattern], list[float]] = {}
        for case in found:
            counts = counted.setdefault((case.type_, case.pattern), [0.0, 0.0])
            counts[0] += case.right
            counts[1] += 1
        for (type_, pattern), (right, number) in counted.items():
            features = pattern.features
            row = [*features, *[0.0] * (width - size)]
            at = size + own * types.index(type_)
            row[at : at + own] = features[:own]
            rows.append(row)
            rights.append(right / number)
            weights.append(_WORTH * number / max(1, len(found)))
            groups.append((dataset, type_))
    # A type has its own level; its own slopes have to be earned. The shared level is held to 0.
    pull = [1e6, *[0.01] * _SHARED, *[1.0] * (size - own)]
    pull += [0.01, *[20.0] * _SHARED] * len(types)
    best = _fit_rows(rows, rights, weights, pull)
    spread = _spread_between(rows, rights, weights, groups, best)
    curves: dict[PriorType, Curve] = {}
    for at, type_ in enumerate(types):
        deviations = [*best[size + own * at :][:own], *[0.0] * (size - own)]
        shared = zip(best[:size], deviations, strict=True)
        curves[type_] = Curve(weights=tuple(round(a + b, 4) for a, b in shared), spread=spread)
    return curves


def _fit_rows(
    rows: Sequence[Sequence[float]],
    rights: Sequence[float],
    weights: Sequence[float],
    pull: Sequence[float],
) -> list[float]:
    """Logistic regression, each coefficient held to 0 as strongly as `pull` says."""
    x, y, w, held = (np.asarray(one, dtype=float) for one in (rows, rights, weights, pull))

    def slopes(at: Sequence[float]) -> tuple[list[float], list[list[float]]]:
        p = 1 / (1 + np.exp(-(x @ np.asarray(at))))
        gradient = x.T @ (w * (p - y)) + held * at
        hessian = (x * (w * p * (1 - p))[:, None]).T @ x + np.diag(held)
        return gradient.tolist(), hessian.tolist()

    return minimise(slopes, [0.0] * len(pull))


def _spread_between(
    rows: Sequence[Sequence[float]],
    rights: Sequence[float],
    weights: Sequence[float],
    groups: Sequence[tuple[str, PriorType]],
    best: Sequence[float],
) -> float:
    """How far recordings lie from the curves, in log-odds, and models on them."""
    shifts = []
    for name in {name for name, _ in groups}:
        own = [at for at, (each, _) in enumerate(groups) if each == name]
        # Its own level on top of the curves: one Newton step is near enough.
        chances = [logistic(sum(a * b for a, b in zip(rows[at], best, strict=True))) for at in own]
        gap = sum(weights[at] * (rights[at] - p) for at, p in zip(own, chances, strict=True))
        bend = sum(weights[at] * p * (1 - p) for at, p in zip(own, chances, strict=True))
        shifts.append(gap / bend)
    spread = math.sqrt(sum(shift**2 for shift in shifts) / max(1, len(shifts)))
    return round(math.hypot(max(spread, _LEAST_SPREAD_OF_SETS), _LEAST_SPREAD), 3)


def fit(cells: Cells) -> tuple[dict[PriorType, Curve], dict[str, Kind]]:
    """The curve of each type, and the shift of each kind of question."""
    curves: dict[PriorType, Curve] = {}
    kinds: dict[str, Kind] = {}
    for type_ in get_args(PriorType):
        groups = {kind: counts for (one, kind), counts in cells.items() if one == type_}
        if not groups:
            continue
        weights, shifts = _fit_type(groups)
        spread = math.sqrt(sum(shift**2 for shift in shifts.values()) / len(shifts))
        curves[type_] = Curve(
            weights=tuple(round(one, 4) for one in weights),
            spread=round(math.hypot(max(spread, _LEAST_SPREAD_OF_KINDS), _LEAST_SPREAD), 3),
        )
        for kind, shift in shifts.items():
            name = f"{type_}: {kind}"
            kinds[name] = Kind(shift=round(shift, 4), spread=_LEAST_SPREAD)
    return curves, kinds


def _fit_type(
    groups: Mapping[str, Mapping[Pattern, Sequence[float]]],
) -> tuple[list[float], dict[str, float]]:
    names = [*groups]
    size = len(Pattern(3, 2, 1, 2).features)
    rows = []
    for at, kind in enumerate(names):
        seen = sum(number for _, number in groups[kind].values())
        for pattern, (right, number) in groups[kind].items():
            # Every kind counts alike, however many questions it has.
            rows.append((pattern.features, size + at, right / number, 1000 * number / seen))
    pull = [1e-2] * size + [1 / _HELD**2] * len(names)

    def slopes(at: Sequence[float]) -> tuple[list[float], list[list[float]]]:
        gradient = [strength * x for strength, x in zip(pull, at, strict=True)]
        hessian = [[pull[i] if i == j else 0.0 for j in range(len(at))] for i in range(len(at))]
        for features, own, share, number in rows:
            values = [*enumerate(features), (own, 1.0)]
            p = logistic(sum(at[i] * x for i, x in values))
            bend = number * p * (1 - p)
            for i, x in values:
                gradient[i] += number * (p - share) * x
                for j, y in values:
                    hessian[i][j] += bend * x * y
        return gradient, hessian

    best = minimise(slopes, [0.0] * len(pull))
    return best[:size], dict(zip(names, best[size:], strict=True))


def make(recordings: Mapping[str, Sequence[RecordedQuestion]], seed: int = 0) -> ConfidencePrior:
    """The prior of everything that was recorded."""
    models = {name: _models(questions) for name, questions in recordings.items()}
    fitted = fit_all(draw(recordings, models, {}, random.Random(seed), _PANELS))
    return _prior(fitted, recordings, models)


def _prior(
    fitted: _Fit,
    recordings: Mapping[str, Sequence[RecordedQuestion]],
    models: Mapping[str, Sequence[str]],
) -> ConfidencePrior:
    curves, panel_curves, kinds = fitted
    return ConfidencePrior(
        models=len({name for names in models.values() for name in names}),
        questions=sum(map(len, recordings.values())),
        voices=(FEWEST, MOST),
        curves=curves,
        panel_curves=panel_curves,
        kinds=kinds,
    )


class Scored(NamedTuple):
    """Confidences by what was known, and what came true."""

    ways: dict[str, list[tuple[float, float]]]
    """Way -> of each question the confidence and whether the answer was right."""
    said: list[tuple[float, float, float, float]]
    """Of each question of which something is said: confidence, interval, whether it was right."""
    questions: int


class Held(NamedTuple):
    """How the prior does on panels of models, and on questions, that it has not seen."""

    dataset: str
    voices: int
    panels: list[Scored]

    def error(self, way: str) -> float:
        """The calibration error of a panel, on average."""
        return _mean(_error(one.ways[way]) for one in self.panels)

    def pooled(self, way: str) -> float:
        """The calibration error over the questions of all panels."""
        return _error([pair for one in self.panels for pair in one.ways[way]])

    def perfect(self, way: str) -> float:
        """What a panel's error would be on average if every confidence were true."""
        return _mean(
            error_by_chance([chance for chance, _ in one.ways[way]], draws=10)
            for one in self.panels
        )

    def beyond_chance(self, way: str) -> float:
        """A panel's error without what luck adds to it, on average."""
        return _mean(_beyond_chance(one.ways[way]) for one in self.panels)

    @property
    def covered(self) -> float:
        """Share of a panel's bins (of 20 questions or more) whose accuracy the interval holds.

        Twice the standard error of an accuracy of so few questions is allowed for.
        """
        return _mean(inside for one in self.panels for inside in _inside(one.said))

    @property
    def share_said(self) -> float:
        """Share of the questions of which it says something."""
        return _mean(len(one.said) / max(1, one.questions) for one in self.panels)


def _error(pairs: Sequence[tuple[float, float]]) -> float:
    return calibration_error([chance for chance, _ in pairs], [right for _, right in pairs])


def _beyond_chance(pairs: Sequence[tuple[float, float]]) -> float:
    bins: dict[int, list[tuple[float, float]]] = defaultdict(list)
    for chance, right in pairs:
        bins[min(9, int(10 * chance))].append((chance, right))
    whole = 0.0
    for each in bins.values():
        gap = _mean(chance - right for chance, right in each)
        luck = _mean(chance * (1 - chance) for chance, _ in each) / len(each)
        whole += len(each) * math.sqrt(max(0.0, gap**2 - luck))
    return whole / len(pairs)


def _inside(said: Sequence[tuple[float, float, float, float]]) -> Iterator[float]:
    bins: dict[int, list[tuple[float, float, float, float]]] = defaultdict(list)
    for one in said:
        bins[min(9, int(10 * one[0]))].append(one)
    for each in bins.values():
        if len(each) >= 20:
            value, low, high, right = (_mean(column) for column in zip(*each, strict=True))
            luck = 2 * math.sqrt(value * (1 - value) / len(each))
            yield float(low - luck <= right <= high + luck)


def measure(
    recordings: Mapping[str, Sequence[RecordedQuestion]],
    *,
    splits: int = 6,
    panels: int = 6,
    shipped_figures: bool = False,
) -> list[Held]:
    """Measure on held-out models and questions.

    Five models of a recording (or half, if fewer are left) are held out, and a fifth of the
    questions at a time; what is fitted on the rest is scored on those, so that every question of a
    panel is scored once. With `shipped_figures` nothing is fitted: the recordings must be new.
    Empty where no recording has models enough: six, or three with `shipped_figures`.
    """
    found: dict[tuple[str, int], list[Scored]] = defaultdict(list)
    least = FEWEST if shipped_figures else 2 * FEWEST
    if all(len(_models(questions)) < least for questions in recordings.values()):
        return []
    for split in range(splits):
        dice = random.Random(split)
        seen, unseen = {}, {}
        for dataset, questions in recordings.items():
            models = _models(questions)
            dice.shuffle(models)
            out = len(models) if shipped_figures else min(_HELD_OUT, len(models) // 2)
            seen[dataset], unseen[dataset] = models[out:], models[:out]
        folds = {
            question.id: dice.randrange(_FOLDS)
            for questions in recordings.values()
            for question in questions
        }
        if shipped_figures:
            priors = [shipped.shipped_prior()] * _FOLDS
        else:
            drawn = draw(recordings, seen, folds, dice, _PANELS // 3)
            priors = [_prior(fit_all(drawn, fold), recordings, seen) for fold in range(_FOLDS)]
        for dataset, questions in recordings.items():
            for voices in (3, 5):
                for _ in range(panels if voices < len(unseen[dataset]) else 1):
                    if voices <= len(unseen[dataset]):
                        panel = dice.sample(unseen[dataset], voices)
                        scored = _score(questions, panel, folds, priors, dice)
                        found[dataset, voices].append(scored)
    return [Held(dataset, voices, parts) for (dataset, voices), parts in sorted(found.items())]


def _score(
    questions: Sequence[RecordedQuestion],
    panel: Sequence[str],
    folds: Mapping[str, int],
    priors: Sequence[ConfidencePrior],
    dice: random.Random,
) -> Scored:
    found = cases(questions, panel, folds)
    labelled = {case.id for case in dice.sample(found, min(50, len(found) // 2))}
    sharper = {case.id: case for case in cases(questions, panel, folds, labelled)}
    ways: dict[str, list[tuple[float, float]]] = {way: [] for way in WAYS}
    said = []
    shifts: dict[tuple[int, PriorType], float] = {}
    for case in found:
        prior = priors[case.fold]
        if case.type_ not in prior.curves:  # nothing like it was fitted on
            continue
        alone = case.pattern._replace(odds=None)
        named = shipped.kind_name(prior, case.type_, case.kinds)
        where = (case.fold, case.type_)
        if where not in shifts:
            judged = [
                (one.pattern, one.right, shipped.kind_name(prior, one.type_, one.kinds))
                for one in sharper.values()
                if one.id in labelled and one.type_ == case.type_
            ]
            shifts[where] = sharpen(judged, case.type_, prior=prior)[0]
        bare = shipped.expected(prior, case.pattern, case.type_)
        odds = {
            PATTERN: shipped.expected(prior, alone, case.type_),
            KIND: shipped.expected(prior, alone, case.type_, named),
            PANEL: bare,
        }
        for way, at in odds.items():
            ways[way].append((logistic(at), case.right))
        if case.id not in labelled:
            few = shipped.expected(prior, sharper[case.id].pattern, case.type_) + shifts[where]
            ways[LABELS].append((logistic(few), case.right))
        chance = prior_chance(case.pattern, case.type_, prior=prior)
        if chance is not None:
            said.append((*chance, case.right))
    return Scored(ways, said, len(found))


def _models(questions: Sequence[RecordedQuestion]) -> list[str]:
    return sorted({model for question in questions for model in question.models})


def _mean(values: Iterable[float]) -> float:
    listed = list(values)
    return sum(listed) / max(1, len(listed))


def as_markdown(found: Sequence[Held]) -> str:
    """The measure, to be read."""
    rows = [
        [
            f"{one.dataset}, {one.voices} voices",
            str(len(one.panels)),
            *(f"{one.error(way):.3f}" for way in WAYS),
            f"{one.perfect(PANEL):.3f}",
            f"{one.beyond_chance(PANEL):.3f}",
            f"{one.pooled(PANEL):.3f}",
            f"{100 * one.share_said:.0f}",
            f"{100 * one.covered:.0f}",
        ]
        for one in found
    ]
    return table([*_HEAD, "says something, %", "bins within the interval, %"], rows) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the figures, or print the measure; give the exit code."""
    parser = argparse.ArgumentParser(
        prog="confidence_prior", description=(__doc__ or "").split("\n\n")[0]
    )
    parser.add_argument("folder", type=Path, help="recordings")
    parser.add_argument("--check", action="store_true", help="measure on held-out models instead")
    parser.add_argument("--shipped", action="store_true", help="measure the shipped figures")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="put the measure into a page")
    chosen = parser.parse_args(arguments)
    recordings = {
        name: tuple(read_recording(path)) for name, path in find_recordings(chosen.folder).items()
    }
    if chosen.check or chosen.shipped:
        text = as_markdown(measure(recordings, shipped_figures=chosen.shipped))
        sys.stdout.write(text)
        if chosen.write is not None:
            page = chosen.write.read_text(encoding="utf-8")
            chosen.write.write_text(with_tables(page, text), encoding="utf-8")
        return 0
    prior = make(recordings)
    path = Path(shipped.__file__).with_name("prior.json")
    path.write_text(json.dumps(prior.model_dump(mode="json"), indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(f"{path.name}: {prior.models} models, {prior.questions} questions\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
