"""`mom tune`: a council's members, weights, order, exit and fallback, by what was answered.

Several ways to use the recorded models are compared on questions that had no part in what each
learned (ten folds), and the cheapest is taken of those that lie within half a point of the best:

- one model alone;
- the vote of all, counted plainly, by agreement, by each one's record, or by the learned weights,
  the heaviest first, until nobody who is left can change the winner;
- cheap models first, and the strong one where they do not agree.

Without right answers it is a vote, by agreement weights from thirty questions on and plain with
fewer, and nothing is said of accuracy.

What is chosen is written as a council that stands by itself: it needs no ledger.
"""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mom_council.councils.coherence import model_pointers
from mom_council.councils.loader import load_council, to_yaml
from mom_council.councils.recording import RecordedQuestion, RecordingError, load_recording
from mom_council.councils.schema import Character, Council
from mom_council.councils.trust import load_trusted_council
from mom_council.evals.asking import from_traces
from mom_council.evals.cascades import (
    cascade_council,
    cascading,
    fit_cascade,
    recorded_column,
    recorded_council,
)
from mom_council.evals.intervals import wilson
from mom_council.evals.rules import COUNTING, WEIGHINGS, Fit, RuleDecision, best_single, exits_of
from mom_council.evals.scorecard import MeasuredValue
from mom_council.evals.sheet import Sheet, lay_out, leaders, recording_path, tally
from mom_council.records import Record
from mom_council.runs.words import counted
from mom_council.vendors import VENDORS
from mom_council.voting.agreement import LEAST
from mom_council.voting.early_exit import calls_until_stop, lossless_in_order

_FOLDS = 10
_WORTH = 0.005
"""Accuracy that a cheaper way may lie below the best one."""
_LEAST_LABELLED = 20
"""Questions with right answers below which nothing is chosen by them."""
ALONE, CASCADE = "one model alone", "cheap models first"


class TunedWay(Record):
    """One way to use the models, on questions that had no part in what it learned."""

    name: str
    accuracy: MeasuredValue | None = None
    """None: no right answers are known."""
    usd: float | None = None
    """Per question; None where a price is not known."""
    calls: float
    """Per question."""


class Tuning(Record):
    """What was chosen."""

    questions: int
    labelled: int
    chosen: str
    ways: tuple[TunedWay, ...]
    held_out: TunedWay
    """Of choosing in this manner: for each question, the way that the other folds chose."""
    members: dict[str, float]
    """Character -> its weight, in the order of asking."""
    left_out: tuple[str, ...]
    yaml: str


def tune(
    questions: Sequence[RecordedQuestion],
    council: Council,
    columns: Sequence[str],
    *,
    source: str,
) -> Tuning:
    """Choose how to use a council's models, and write it.

    Args:
        questions: of a recording.
        council: whose models and characters there are to choose from.
        columns: under what name each character of it was recorded.
        source: the recording's name, for the comments.

    Raises:
        RecordingError: there are too few questions, or fewer than two models.
    """
    names = [who.name for who in council.characters]
    labelled = [one for one in questions if one.gold is not None]
    by_labels = len(labelled) >= _LEAST_LABELLED
    used = labelled if by_labels else list(questions)
    _refuse_too_few(len(names), len(used))
    sheet = replace(lay_out(used, columns), models=tuple(names))
    if not by_labels:
        sheet = replace(
            sheet, lines=tuple(replace(line, right=frozenset()) for line in sheet.lines)
        )
    fits = _ways(sheet, by_labels=by_labels)
    folds = [zlib.crc32(line.id.encode()) % _FOLDS for line in sheet.lines]
    decided = {name: _decide_across_folds(fit, sheet, folds) for name, fit in fits.items()}
    places = range(len(folds))
    chosen = _choose(sheet, decided, places)
    held = []
    for at in places:
        others = [one for one in places if folds[one] != folds[at]]
        held.append(decided[_choose(sheet, decided, others)][at])
    ways = tuple(_measure_way(sheet, name, by, by_labels=by_labels) for name, by in decided.items())
    written = _written(sheet, council, chosen)
    tuning = Tuning(
        questions=len(questions),
        labelled=len(labelled) if by_labels else 0,
        chosen=chosen,
        ways=ways,
        held_out=_measure_way(sheet, chosen, held, by_labels=by_labels),
        members={who.name: who.weight for who in written.characters},
        left_out=tuple(name for name in names if name not in {w.name for w in written.characters}),
        yaml="",
    )
    text = _add_comments(written, tuning, sheet, source)
    return tuning.model_copy(update={"yaml": text})


def _ways(sheet: Sheet, *, by_labels: bool) -> dict[str, Fit]:
    """What can be chosen from, the simplest first."""
    if by_labels:
        strong = sheet.strongest_first()[0]
        cascade: dict[str, Fit] = {}
        if fit_cascade(sheet, strong).saves:
            cascade[CASCADE] = lambda cal: cascading(fit_cascade(cal, strong).cascade)
        return {
            ALONE: best_single,
            **{f"{name} votes": exits_of(name) for name in COUNTING},
            **cascade,
        }
    counted = "agreement" if len(sheet.lines) >= LEAST else "seats"
    return {f"{counted} votes": exits_of(counted)}


def _decide_across_folds(fit: Fit, sheet: Sheet, folds: Sequence[int]) -> list[RuleDecision]:
    """What a way decides on each line, having learned from the lines of other folds."""
    decided: dict[int, RuleDecision] = {}
    for fold in set(folds):
        others = tuple(x for x, one in zip(sheet.lines, folds, strict=True) if one != fold)
        rule = fit(replace(sheet, lines=others or sheet.lines))
        for at, line in enumerate(sheet.lines):
            if folds[at] == fold:
                decided[at] = rule(line)
    return [decided[at] for at in range(len(folds))]


def _choose(
    sheet: Sheet, decided: Mapping[str, Sequence[RuleDecision]], places: Sequence[int]
) -> str:
    """The cheapest of the ways within half a point of the best; the vote, if nobody knows that."""
    right = {
        name: sum(by[at].score(sheet.lines[at]) for at in places) / max(1, len(places))
        for name, by in decided.items()
    }
    best = max(right.values())
    if not best:
        return next(iter(decided))
    near = [name for name in decided if right[name] >= best - _WORTH]

    def cost(name: str) -> float:
        some = [decided[name][at] for at in places]
        return sum(one.asked if sheet.unpriced else one.usd for one in some)

    return min(near, key=cost)


def _measure_way(
    sheet: Sheet, name: str, decided: Sequence[RuleDecision], *, by_labels: bool
) -> TunedWay:
    number = len(decided)
    accuracy = None
    if by_labels:
        right = [by.score(line) for by, line in zip(decided, sheet.lines, strict=True)]
        interval = wilson(round(sum(right)), number)
        accuracy = MeasuredValue(value=sum(right) / number, low=interval.low, high=interval.high)
    is_priced = not sheet.unpriced and any(sum(line.usd) for line in sheet.lines)
    usd = sum(one.usd for one in decided) / number if is_priced else None
    return TunedWay(
        name=name, accuracy=accuracy, usd=usd, calls=sum(one.asked for one in decided) / number
    )


def _written(sheet: Sheet, council: Council, chosen: str) -> Council:
    """The council that does what was chosen, learned from all the lines."""
    names = sheet.models
    if chosen == CASCADE:
        strong = sheet.strongest_first()[0]
        cascade = cascade_council(council, names, fit_cascade(sheet, strong).cascade)
        return _without_unused(cascade)
    if chosen == ALONE:
        first, second, *_ = sheet.strongest_first()
        return _alone(council, names[first], names[second])
    order, weights = WEIGHINGS[chosen.removesuffix(" votes")](sheet)
    heavy = {
        names[voter]: round(weight, 3)
        for voter, weight in zip(order, weights, strict=True)
        if round(weight, 3) > 0
    }
    return _build_voting_council(council, heavy)


def _alone(council: Council, first: str, second: str) -> Council:
    """One model, and the next best where it does not answer."""
    values = council.model_dump(mode="json", exclude_defaults=True)
    who, stand_in = council.character(first), council.character(second)
    values["characters"] = [
        who.model_copy(update={"weight": 1.0}).model_dump(mode="json", exclude_defaults=True)
    ]
    values["layers"] = []
    if who.model != stand_in.model and not values["models"][who.model].get("fallbacks"):
        values["models"][who.model]["fallbacks"] = [stand_in.model]
    values["synthesizer"] = {"model": who.model}
    values["deliberation"] = {"method": "answers", "rounds": {"min": 1, "max": 1}}
    return _without_unused(load_council(values))


def _build_voting_council(council: Council, weights: Mapping[str, float]) -> Council:
    """A vote by written weights, the heaviest first, until nobody can change the winner."""
    values = council.model_dump(mode="json", exclude_defaults=True)
    seats = [
        council.character(name).model_copy(update={"weight": weight})
        for name, weight in weights.items()
    ]
    values["characters"] = [who.model_dump(mode="json", exclude_defaults=True) for who in seats]
    values["layers"] = []
    values["synthesizer"] = {"model": seats[0].model}
    rules: dict[str, Any] = {
        "method": "answers",
        "rounds": {"min": 1, "max": 1},
        "quorum": 1,
        "weights": "written",
        "order": "seats",
        "stop": "lossless",
    }
    waves = _waves([*weights.values()])
    if waves:
        rules["waves"] = waves
    values["deliberation"] = rules
    return _without_unused(load_council(values))


def _plain(seats: Sequence[Character]) -> list[dict[str, Any]]:
    return [who.model_dump(mode="json", exclude_defaults=True) for who in seats]


def _waves(weights: Sequence[float]) -> list[int]:
    """As many at first as can settle the vote together, then one at a time."""
    first = next(
        (at for at in range(1, len(weights)) if sum(weights[:at]) >= sum(weights[at:])),
        len(weights),
    )
    return list(range(first, len(weights)))


def _without_unused(council: Council) -> Council:
    """The council without models that nobody of it asks any more."""
    used = {key for path, key in model_pointers(council) if path[0] != "models"}
    while more := {key for one in used for key in council.models[one].fallbacks} - used:
        used |= more
    models = {key: model for key, model in council.models.items() if key in used}
    return load_council(council.model_copy(update={"models": models}))


def _add_comments(council: Council, tuning: Tuning, sheet: Sheet, source: str) -> str:
    """The council as YAML, with what was measured beside each choice."""
    above = {
        "characters:": _about_members(tuning),
        "deliberation:": _about_rules(council, tuning, sheet),
    }
    lines = [f"# {line}" for line in _about_all(tuning, source)]
    about = _about_each(sheet, council)
    for line in to_yaml(council).splitlines():
        key = line.partition(" ")[0]
        lines += [f"# {comment}" for comment in above.get(key, ())]
        name = _NAME.match(line)
        note = about.get(name[1].strip("'\"")) if name else None
        lines.append(f"{line}  # {note}" if note else line)
    return "\n".join(lines) + "\n"


_NAME = re.compile(r"""\s*- \{?name: ("[^"]*"|'[^']*'|[^,}]+?)\s*(?:,|\}|$)""")


def _about_all(tuning: Tuning, source: str) -> list[str]:
    lines = [f"Written by `mom tune` from {counted(tuning.questions, 'question')} of {source}."]
    if tuning.labelled:
        lines += [
            f"{tuning.labelled} have a right answer. What is said of accuracy and price is of",
            "questions that had no part in the choice (ten folds), in brackets with its interval",
            "of 95 %; prices are those of the members' own answers.",
            f"Chosen in this manner: {_way_in_words(tuning.held_out)}.",
        ]
    else:
        lines += [
            "They have no right answers, so what is chosen rests on how the answers agree, and",
            f"nothing is said of accuracy. It takes {_price_in_words(tuning.held_out)}.",
        ]
    return lines


def _about_members(tuning: Tuning) -> list[str]:
    lines = [f"Members: {tuning.chosen}. What else there was to choose:"]
    lines += [f"  {one.name}: {_way_in_words(one)}" for one in tuning.ways]
    if tuning.left_out:
        lines.append(
            f"Left out, because nothing is gained by asking: {', '.join(tuning.left_out)}."
        )
    return lines


def _about_each(sheet: Sheet, council: Council) -> dict[str, str]:
    """What is said beside each member: how often it is right alone, and its price."""
    number, labelled = len(sheet.lines), any(line.right for line in sheet.lines)
    about = {}
    for who in council.characters:
        voter = sheet.models.index(who.name)
        price = sheet.prices[voter]
        parts = [f"{100 * sheet.right[voter] / number:.1f} % right alone"] if labelled else []
        if price:
            parts.append(f"{100 * price:.4f} US cents")
        if parts:
            about[who.name] = ", ".join(parts)
    return about


def _about_rules(council: Council, tuning: Tuning, sheet: Sheet) -> list[str]:
    """Weights, order, exit and fallback, each with what it comes to."""
    if tuning.chosen == ALONE:
        at = sheet.strongest_first()[1]
        share = f"{100 * sheet.right[at] / len(sheet.lines):.1f} % right alone"
        return [f"Fallback: where it does not answer, {sheet.models[at]} is asked ({share})."]
    if tuning.chosen == CASCADE:
        return [
            "Order: the cheapest first. Exit: the strong one is asked only where fewer agree than",
            "`threshold` says. Fallback: where it does not answer, the vote of the others stands.",
        ]
    seats = [who.name for who in council.characters]
    weights = [who.weight for who in council.characters]
    voters = [sheet.models.index(name) for name in seats]
    answers = [[line.said[voter] for voter in voters] for line in sheet.lines]
    calls = sum(
        calls_until_stop(one, lossless_in_order, weights=weights, waves=_sizes(weights))
        for one in answers
    ) / len(answers)
    lines = [
        f"Weights: {tuning.chosen}. Order: the heaviest first; a tie falls to the earlier.",
        f"Exit: {calls:.1f} of {len(seats)} members are asked on average; the winner is that of",
        "asking all of them.",
    ]
    if len(seats) > 1:
        others = _without_first(sheet, voters, weights)
        lines.append(f"Fallback: without {seats[0]} the others decide{others}.")
    return lines


def _sizes(weights: Sequence[float]) -> list[int]:
    waves = _waves(weights)
    return [size - before for before, size in zip([0, *waves], waves, strict=False)]


def _without_first(sheet: Sheet, voters: Sequence[int], weights: Sequence[float]) -> str:
    """How often the others are right, where that is known."""
    if not any(line.right for line in sheet.lines):
        return ""
    right = 0.0
    for line in sheet.lines:
        first = leaders(tally([line.said[voter] for voter in voters[1:]], weights[1:]))
        right += sum(one in line.right for one in first) / max(1, len(first))
    return f" ({100 * right / len(sheet.lines):.1f} % right, weights not held out)"


def _way_in_words(way: TunedWay) -> str:
    price = _price_in_words(way)
    if way.accuracy is None:
        return price
    share = way.accuracy
    span = f"{100 * share.low:.1f} to {100 * share.high:.1f}"
    return f"{100 * share.value:.1f} % right ({span}), {price}"


def _price_in_words(way: TunedWay) -> str:
    price = "" if way.usd is None else f", {100 * way.usd:.4f} US cents"
    return f"{way.calls:.1f} calls{price} a question"


def _refuse_too_few(models: int, questions: int) -> None:
    if models < 2 or questions < _LEAST_LABELLED:
        raise RecordingError(
            f"a council is tuned from two models and {_LEAST_LABELLED} questions at least; there "
            f"are {models} and {questions}"
        )


def tune_recording(file: Path, council: str | None = None) -> Tuning:
    """Tune from a recording, or from what was asked on this machine.

    Args:
        file: the recording; `traces` stands for the local traces.
        council: a council's name or file, whose characters there are to choose from; left out, all
            that were recorded.

    Raises:
        RecordingError: it cannot be read, or holds too little.
        UnknownNameError: a character of the council was not recorded.
    """
    if str(file) == "traces":
        questions: Sequence[RecordedQuestion] = from_traces(limit=500)
    else:
        questions = load_recording(recording_path(file))
    number = Counter(name for one in questions for name in one.models)
    models = [name for name, times in number.items() if 2 * times >= len(questions)]
    if council is not None:
        loaded = load_trusted_council(council)
        seats = [recorded_column(loaded, who.name, models) for who in loaded.characters]
        return tune(questions, loaded, seats, source=file.name)
    _refuse_too_few(len(models), len(questions))  # before there is a council of nobody
    loaded = council_of_recorded(file, questions, models)
    return tune(questions, loaded, models, source=file.name)


def council_of_recorded(
    file: Path, questions: Sequence[RecordedQuestion], recorded_names: Sequence[str]
) -> Council:
    """A council of recorded models: asked anew where it is known which they are, else replayed."""
    replayed = recorded_council(recording_path(file).absolute(), recorded_names)
    values = replayed.model_dump(mode="json", exclude_defaults=True)
    for at, name in enumerate(recorded_names, 1):
        full_names = (one.models[name].model for one in questions if name in one.models)
        provider, _, model = (next(filter(None, full_names), None) or "").partition("/")
        if model and provider in VENDORS and not VENDORS[provider].is_recording:
            values["models"][f"model-{at}"] = {"provider": provider, "model": model}
    return load_council(values)
