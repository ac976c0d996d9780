"""Make the shipped confidence prior from recordings, and measure it on models it has not seen.

    python -m mom_council.benchmarks.confidence_prior FOLDER            # writes voting/prior.json
    python -m mom_council.benchmarks.confidence_prior FOLDER --check    # measures, writes nothing

The measure fits on half of the models and one fold, and scores panels of the other half of the
models on the other fold, over several random halves. The shipped figures use everything.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, get_args

from mom_council.councils.recording import Fold, RecordedQuestion, find_recordings, read_recording
from mom_council.evals.reports import table
from mom_council.voting import prior as shipped
from mom_council.voting.calibration import (
    calibration_error,
    error_by_chance,
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
    score,
    sharpen,
)
from mom_council.voting.reading import read_value

FEWEST, MOST = 3, 7
_PANELS = 24
"""Random panels of each size and data set that a fit stands on."""
_MOST_QUESTIONS = 1200
_HELD = 0.5
"""How far kinds are expected to lie from their type's curve, in log-odds."""
_PERFECT = "a perfect confidence"
_LEAST_SPREAD, _LEAST_SPREAD_OF_KINDS = 0.4, 0.9

Cells = dict[tuple[PriorType, str], dict[Pattern, list[float]]]
"""(type, kind) -> pattern -> how often the leading answer was right, and how often it was seen."""


class Case(NamedTuple):
    """A question that a panel answered."""

    type_: PriorType
    kinds: tuple[str, ...]
    pattern: Pattern
    right: float


def cases(questions: Sequence[RecordedQuestion], panel: Sequence[str]) -> Iterator[Case]:
    """What a panel's answers look like, question by question; level answers share the point."""
    for question in questions:
        recorded = [question.models.get(model) for model in panel]
        answers = [None if one is None else one.ans for one in recorded]
        right = {one.ans for one in recorded if one is not None and one.ok}
        stated = [one for one in answers if one is not None]
        if not stated:
            continue
        most = max(map(stated.count, stated))
        first = sorted({one for one in stated if stated.count(one) == most})
        type_ = type_of(question, first[0])
        if type_ is not None:
            kinds = tuple(filter(None, (question.category, question.dataset)))
            share = sum(one in right for one in first) / len(first)
            yield Case(type_, kinds, pattern_of(answers, first[0]), share)


def type_of(question: RecordedQuestion, answer: str) -> PriorType | None:
    """The type of an answer as the prior names it."""
    if question.options:
        return "choice"
    read = read_value(answer)
    return shipped.prior_type(read.type) if read else None


def collect(
    recordings: Mapping[str, Sequence[RecordedQuestion]],
    models: Mapping[str, Sequence[str]],
    fold: Fold | None,
    dice: random.Random,
) -> Cells:
    """Count patterns over random panels of these models."""
    cells: Cells = defaultdict(lambda: defaultdict(lambda: [0.0, 0.0]))
    for dataset, questions in recordings.items():
        chosen = [one for one in questions if fold in (None, one.fold)]
        for size in range(FEWEST, min(MOST, len(models[dataset])) + 1):
            for _ in range(_PANELS):
                panel = dice.sample(list(models[dataset]), size)
                some = dice.sample(chosen, min(_MOST_QUESTIONS, len(chosen)))
                for case in cases(some, panel):
                    counts = cells[case.type_, case.kinds[0]][case.pattern]
                    counts[0] += case.right
                    counts[1] += 1
    return cells


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
    curves, kinds = fit(collect(recordings, models, None, random.Random(seed)))
    return _prior(curves, kinds, recordings, models)


def _prior(
    curves: Mapping[PriorType, Curve],
    kinds: Mapping[str, Kind],
    recordings: Mapping[str, Sequence[RecordedQuestion]],
    models: Mapping[str, Sequence[str]],
) -> ConfidencePrior:
    return ConfidencePrior(
        models=len({name for names in models.values() for name in names}),
        questions=sum(map(len, recordings.values())),
        voices=(FEWEST, MOST),
        curves=dict(curves),
        kinds=dict(kinds),
    )


class Held(NamedTuple):
    """How the prior does on panels of models that it has not seen."""

    dataset: str
    voices: int
    panels: int
    errors: dict[str, float]
    """Calibration error by what was known: the kind, nothing, fifty labels; and what a perfect
    confidence would show on as many questions, on average."""
    covered: float
    """Share of bins (of 20 questions or more) whose accuracy the mean interval holds."""
    said: float
    """Share of the questions of which it says something, the kind being unknown."""


_Judged = tuple[dict[str, float], list[bool], float]


def measure(
    recordings: Mapping[str, Sequence[RecordedQuestion]], *, splits: int = 4, panels: int = 6
) -> list[Held]:
    """Measure on held-out models and questions."""
    sums: dict[tuple[str, int], list[_Judged]] = defaultdict(list)
    folds: tuple[Fold, Fold] = ("cal", "eval")
    for split in range(splits):
        dice = random.Random(split)
        seen, unseen = {}, {}
        for dataset, questions in recordings.items():
            models = _models(questions)
            dice.shuffle(models)
            half = (len(models) + 1) // 2
            seen[dataset], unseen[dataset] = models[:half], models[half:]
        fitted_on, scored_on = folds[split % 2], folds[1 - split % 2]
        curves, kinds = fit(collect(recordings, seen, fitted_on, dice))
        prior = _prior(curves, kinds, recordings, seen)
        for dataset, questions in recordings.items():
            held = [one for one in questions if one.fold == scored_on]
            for voices in (3, 5):
                if voices > len(unseen[dataset]):
                    continue
                for _ in range(panels):
                    panel = dice.sample(unseen[dataset], voices)
                    found = [*cases(held, panel)]
                    sums[dataset, voices].append(_judge(found, prior, dice))
    return [
        Held(
            dataset,
            voices,
            len(parts),
            {way: _mean(errors[way] for errors, _, _ in parts) for way in parts[0][0]},
            _mean(float(one) for _, inside, _ in parts for one in inside),
            _mean(said for _, _, said in parts),
        )
        for (dataset, voices), parts in sums.items()
    ]


def _judge(found: Sequence[Case], prior: ConfidencePrior, dice: random.Random) -> _Judged:
    mixed = dice.sample(found, len(found))
    labelled, rest = mixed[:50], mixed[50:] or mixed
    kind = shipped.kind_name
    shifts = {
        type_: sharpen(
            [
                (case.pattern, case.right, kind(prior, case.type_, case.kinds))
                for case in labelled
                if case.type_ == type_
            ],
            type_,
            prior=prior,
        )
        for type_ in {case.type_ for case in found}
    }
    ways: dict[str, tuple[list[float], list[float]]] = {}
    bins: dict[int, list[tuple[float, float, float]]] = defaultdict(list)
    said = 0
    for case in found:
        named = kind(prior, case.type_, case.kinds)
        known = logistic(shipped.expected(prior, case.pattern, case.type_, named))
        blind = logistic(score(case.pattern, prior.curves[case.type_]))
        for way, value in (("kind known", known), ("kind unknown", blind)):
            pair = ways.setdefault(way, ([], []))
            pair[0].append(value)
            pair[1].append(case.right)
        chance = prior_chance(case.pattern, case.type_, prior=prior)
        if chance is not None:
            said += 1
            bins[min(9, int(10 * chance.value))].append((chance.low, chance.high, case.right))
    for case in rest:
        named = kind(prior, case.type_, case.kinds)
        at = shipped.expected(prior, case.pattern, case.type_, named) + shifts[case.type_][0]
        pair = ways.setdefault("50 labels", ([], []))
        pair[0].append(logistic(at))
        pair[1].append(case.right)
    inside = [
        _mean(x[0] for x in each) <= _mean(x[2] for x in each) <= _mean(x[1] for x in each)
        for each in bins.values()
        if len(each) >= 20
    ]
    errors = {way: calibration_error(*pair) for way, pair in ways.items()}
    errors[_PERFECT] = error_by_chance(ways["kind known"][0], draws=20)
    return errors, inside, said / max(1, len(found))


def _models(questions: Sequence[RecordedQuestion]) -> list[str]:
    return sorted({model for question in questions for model in question.models})


def _mean(values: Iterable[float]) -> float:
    listed = list(values)
    return sum(listed) / max(1, len(listed))


def as_markdown(found: Sequence[Held]) -> str:
    """The measure, to be read."""
    ways = ("kind unknown", "kind known", "50 labels", _PERFECT)
    rows = [
        [
            f"{one.dataset}, {one.voices} voices",
            str(one.panels),
            *(f"{one.errors[way]:.3f}" for way in ways),
            f"{100 * one.said:.0f}",
            f"{100 * one.covered:.0f}",
        ]
        for one in found
    ]
    head = ["calibration error on unseen models", "panels", *ways]
    return table([*head, "says something, %", "bins within the interval, %"], rows) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the figures, or print the measure; give the exit code."""
    parser = argparse.ArgumentParser(
        prog="confidence_prior", description=(__doc__ or "").split("\n\n")[0]
    )
    parser.add_argument("folder", type=Path, help="recordings")
    parser.add_argument("--check", action="store_true", help="measure on held-out models instead")
    chosen = parser.parse_args(arguments)
    recordings = {
        name: tuple(read_recording(path)) for name, path in find_recordings(chosen.folder).items()
    }
    if chosen.check:
        sys.stdout.write(as_markdown(measure(recordings)))
        return 0
    prior = make(recordings)
    path = Path(shipped.__file__).with_name("prior.json")
    path.write_text(json.dumps(prior.model_dump(mode="json"), indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(f"{path.name}: {prior.models} models, {prior.questions} questions\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
