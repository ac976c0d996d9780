"""Rules over recorded answers, and a recording decided by one of them (`mom revote`).

Every rule of `RULES` is a function from the sheet it may learn from to a function that decides a
line. `stopping(rule)` asks the strongest first and stops by a rule of `voting.early_exit`; answers
that end level fall to the stronger voter. `learned_exit` does the same with the learned weights, as
a fitted council does.

No model is asked again. A rule learns on the fold `cal` and is scored on the fold `eval`. A
recording with a single fold is scored as a whole; a rule that learns does so on one half of it at a
time, and is scored on the other.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from mom_council.councils.recording import RecordedQuestion, RecordingError
from mom_council.errors import CouncilError, UnknownNameError
from mom_council.evals.fitting import fit_panel
from mom_council.evals.intervals import bootstrap, paired
from mom_council.evals.sheet import Line, Sheet, lay_out, leaders, tally, voter_weights
from mom_council.records import Record
from mom_council.voting.agreement import Agreement, Row, measure_agreement
from mom_council.voting.early_exit import Exit, beta, calls_until_stop, dirichlet, lossless_in_order
from mom_council.voting.fitted import Fitted, corrected, places
from mom_council.voting.methods.base import Number, exact
from mom_council.voting.weights import LearnedVote, learn


class RuleDecision(NamedTuple):
    """What a rule makes of a line.

    Attributes:
        answers: the answer; several where they are level and only a coin could tell them apart;
            none where nobody answered.
        confidence: how likely it is right, where the rule can say.
        asked: how many voters had to be asked.
        usd: what their calls cost, in dollars.
    """

    answers: tuple[str, ...]
    asked: int
    usd: float
    confidence: float | None = None

    def score(self, line: Line) -> float:
        """1 where it is right, 0 where it is wrong; a coin that would decide is right in part."""
        return sum(each in line.right for each in self.answers) / max(1, len(self.answers))


Rule = Callable[[Line], RuleDecision]
Fit = Callable[[Sheet], Rule]


def best_single(cal: Sheet) -> Rule:
    """The one voter that was right most often."""
    best = cal.strongest_first()[0]

    def decide(line: Line) -> RuleDecision:
        answer = line.said[best]
        return RuleDecision(() if answer is None else (answer,), 1, line.usd[best])

    return decide


def plain_majority(_: Sheet) -> Rule:
    """One vote each; a coin decides between answers that are level."""

    def decide(line: Line) -> RuleDecision:
        return RuleDecision(
            leaders(Counter(filter(None, line.said))), len(line.said), sum(line.usd)
        )

    return decide


def weighted(cal: Sheet) -> Rule:
    """The vote with log-odds weights, corrected for K options, never below 0."""
    weights = voter_weights(cal)

    def decide(line: Line) -> RuleDecision:
        return RuleDecision(leaders(tally(line.said, weights)), len(line.said), sum(line.usd))

    return decide


def learned(cal: Sheet) -> Rule:
    """The learned vote, which knows how voters err together."""
    vote = learn(cal.cases, len(cal.models))

    def decide(line: Line) -> RuleDecision:
        chances = vote.probabilities(line.said)
        first = leaders(chances)
        sure = chances[first[0]] if first else 0.0
        return RuleDecision(first, len(line.said), sum(line.usd), sure)

    return decide


FITS: dict[str, Fit] = {
    "best single": best_single,
    "plain majority": plain_majority,
    "weighted": weighted,
    "learned": learned,
}


def scores(rule: Rule, sheet: Sheet) -> list[float]:
    """How right a rule is on each line, 0..1."""
    return [rule(line).score(line) for line in sheet.lines]


def confident(cal: Sheet, *, seed: int = 0) -> Rule:
    """The learned vote, whose probability is corrected; as a council has it from its ledger."""
    fitted = fit_panel(cal, seed=seed)
    order = panel_order(cal, fitted)
    vote = LearnedVote(fitted.joint, fitted.none)

    def decide(line: Line) -> RuleDecision:
        chances = vote.probabilities([line.said[voter] for voter in order])
        first = leaders(chances)
        sure = corrected(fitted, chances[first[0]]) if first else 0.0
        return RuleDecision(first, len(line.said), sum(line.usd), sure)

    return decide


def agreement(cal: Sheet) -> Rule:
    """The vote with weights from agreement alone: no gold answer of `cal` is looked at."""
    return _voting(_agreed(cal).vote.weights)


def blended(number: int, *, seed: int = 0) -> Fit:
    """The vote with agreement weights and the gold answers of so many questions of `cal`."""

    def fit(cal: Sheet) -> Rule:
        return _voting(
            few_label_weights(
                cal, random.Random(seed).sample(cal.lines, min(number, len(cal.lines)))
            )
        )

    return fit


def few_label_weights(cal: Sheet, labelled: Sequence[Line]) -> Sequence[float]:
    """Weights of a panel from how it agrees on `cal`, and from a few lines whose answer is known.

    The other lines' gold answers are not looked at.
    """
    judged = {line.id for line in labelled}
    rows: Counter[Row] = Counter(x.said for x in cal.lines if x.id not in judged)
    return measure_agreement(rows, Counter((x.said, x.right) for x in labelled)).vote.weights


def _agreed(cal: Sheet) -> Agreement:
    return measure_agreement(Counter(line.said for line in cal.lines))


def _voting(weights: Sequence[float]) -> Rule:
    def decide(line: Line) -> RuleDecision:
        return RuleDecision(leaders(tally(line.said, weights)), len(line.said), sum(line.usd))

    return decide


Weigh = Callable[[Sheet], tuple[Sequence[int], Sequence[float]]]
"""From what may be learned from to the order of asking, and the weights in that order.

The heaviest are asked first: whom the others outweigh can settle nothing."""


def _plain(cal: Sheet) -> tuple[Sequence[int], Sequence[float]]:
    return cal.strongest_first(), [1.0] * len(cal.models)


def _weighted(cal: Sheet) -> tuple[Sequence[int], Sequence[float]]:
    order = cal.strongest_first()
    weights = voter_weights(cal)
    return order, [weights[voter] for voter in order]


def _learned(cal: Sheet) -> tuple[Sequence[int], Sequence[float]]:
    fitted = fit_panel(cal)
    columns = panel_order(cal, fitted)
    heaviest = sorted(range(len(columns)), key=lambda at: -fitted.joint[at])
    return [columns[at] for at in heaviest], [fitted.joint[at] for at in heaviest]


def panel_order(cal: Sheet, fitted: Fitted) -> list[int]:
    """The columns of a sheet in the order of a panel that was fitted on it."""
    place = places(fitted.models, {str(at): model for at, model in enumerate(cal.models)})
    assert place is not None  # noqa: S101 - it was fitted on these columns
    return sorted(range(len(cal.models)), key=lambda voter: place[str(voter)])


def stopping(rule: Exit, waves: Sequence[int] | None = None, weigh: Weigh = _plain) -> Fit:
    """A vote, strongest voter first, until `rule` stops; in waves where they are given.

    Answers that end level fall to the one that was given first, that is to the stronger voter's.
    """

    def fit(cal: Sheet) -> Rule:
        order, weights = weigh(cal)

        def decide(line: Line) -> RuleDecision:
            in_order = [line.said[voter] for voter in order]
            number = calls_until_stop(in_order, rule, weights=weights, waves=waves)
            votes = exact_tally(in_order[:number], weights[:number])
            most = max(votes.values(), default=0)
            first = next((each for each, weight in votes.items() if weight == most), None)
            answers = () if first is None else (first,)
            return RuleDecision(answers, number, _usd(line, order[:number]))

        return decide

    return fit


def asking_all(weigh: Weigh = _plain) -> Fit:
    """The same vote with everybody asked: what an exit must not change."""
    return stopping(lambda _, out: not out, weigh=weigh)


def exact_tally(answers: Sequence[str | None], weights: Sequence[float]) -> dict[str, Number]:
    """The exact weight behind each answer, in the order of first mention."""
    votes: dict[str, Number] = {}
    for each, weight in zip(answers, weights, strict=True):
        if each is not None:
            votes[each] = votes.get(each, 0) + exact(weight)
    return votes


learned_exit = stopping(lossless_in_order, weigh=_learned)
"""What a fitted council does: learned weights, the strongest first, the lossless exit."""
WEIGHTED: dict[str, Weigh] = {"plain": _plain, "weighted": _weighted, "learned": _learned}
"""Votes that the lossless exit is measured for."""


RULES: dict[str, Fit] = FITS | {
    "learned": confident,
    "agreement": agreement,
    "20 labels": blended(20),
    "lossless exit": stopping(lossless_in_order),
    "weighted, lossless": stopping(lossless_in_order, weigh=_weighted),
    "learned, lossless": learned_exit,
    "wave 3, 2, 2": stopping(lossless_in_order, (3, 2, 2)),
    "beta 95 %": stopping(beta()),
    "dirichlet 95 %": stopping(dirichlet()),
    "calibrated stop": learned_exit,
}
"""Every rule that a recording can be counted with, by the name that a command takes.

`calibrated stop` is an older name of `learned, lossless`."""


def _agreed_weights(cal: Sheet) -> tuple[Sequence[int], Sequence[float]]:
    weights = _agreed(cal).vote.weights
    order = sorted(range(len(weights)), key=lambda voter: -weights[voter])
    return order, [weights[voter] for voter in order]


def _by_seat(cal: Sheet) -> tuple[Sequence[int], Sequence[float]]:
    return range(len(cal.models)), [1.0] * len(cal.models)


WEIGHINGS: dict[str, Weigh] = WEIGHTED | {"agreement": _agreed_weights, "seats": _by_seat}
"""Votes by name, for `exits_of`; `seats` knows nothing of anybody."""


def exits_of(name: str) -> Fit:
    """A vote of `WEIGHINGS`, the heaviest first, as few at a time as can settle it."""
    return stopping(lossless_in_order, weigh=WEIGHINGS[name])


COUNTING: dict[str, Fit] = {
    "plain": asking_all(),
    "agreement": agreement,
    "weighted": asking_all(_weighted),
    "learned": asking_all(_learned),
}
"""Ways to count everybody's answers, the simplest first; `cross_fitted` compares them."""


def cross_fitted(fit: Fit, sheet: Sheet, folds: Sequence[int]) -> list[bool]:
    """Whether a rule is right on each line, which had no part in what the rule learned.

    Args:
        fit: the rule.
        sheet: the lines; their own folds are not looked at.
        folds: of each line.
    """
    right = [False] * len(sheet.lines)
    for fold in set(folds):
        others = [line for line, one in zip(sheet.lines, folds, strict=True) if one != fold]
        rule = (fit if others else COUNTING["plain"])(replace(sheet, lines=tuple(others)))
        for at, line in enumerate(sheet.lines):
            if folds[at] == fold:
                right[at] = rule(line).score(line) > 0.5
    return right


def most_right(marks: Mapping[str, Sequence[bool]], places: Iterable[int]) -> str:
    """The rule that was right most often there; of equals the first."""
    at_places = [*places]
    return max(marks, key=lambda rule: sum(marks[rule][at] for at in at_places))


def _usd(line: Line, voters: Sequence[int]) -> float:
    return sum(line.usd[voter] for voter in voters)


UNTAUGHT = ("plain majority", "lossless exit", "wave 3, 2, 2", "beta 95 %", "dirichlet 95 %")
"""Rules that learn nothing but, at most, who is cheapest."""

_DRAWS = 1000
_LEAST = 10
"""Questions of each half without which no rule is taught."""


class Recount(Record):
    """What a rule makes of a recording."""

    method: str
    models: tuple[str, ...]
    fitted: int
    """Questions it learned from."""
    questions: int
    """Questions it is scored on."""
    accuracy: float
    low: float
    high: float
    gain: float
    """Over the plain majority, on the same questions; with its interval of 95 %."""
    gain_low: float
    gain_high: float
    changed: int
    """Questions on which it gives another answer than the plain majority."""
    saved: float
    """Share of the calls that it did without."""
    usd: float
    """Per question, as it was recorded."""


def methods() -> tuple[str, ...]:
    """The names of the rules."""
    return tuple(RULES)


def recount(
    questions: Sequence[RecordedQuestion],
    rule_name: str = "plain majority",
    *,
    models: Sequence[str] = (),
    weights: Mapping[str, float] | None = None,
) -> Recount:
    """Apply a rule to recorded answers.

    Args:
        questions: the recording.
        rule_name: a name of `methods`; with `weights` it is not looked at.
        models: whose answers count, in seat order; all that were recorded if left out.
        weights: of models; whom they leave out weighs 1.

    Raises:
        UnknownNameError: there is no such rule, or nobody of that name was recorded.
        RecordingError: nothing was judged, or the rule has no `cal` fold to learn from.
        CouncilError: a weight is below 0.
    """
    recorded = dict.fromkeys(name for one in questions for name in one.models)
    for name in (*models, *(weights or ())):
        if name not in recorded:
            raise UnknownNameError(f"nobody was recorded as {name!r}; there are {[*recorded]}")
    judged = [one for one in questions if one.gold is not None]
    if not judged:
        raise RecordingError("the recording has no gold answers, so no rule can be scored on it")
    sheet = lay_out(judged, tuple(models) or tuple(recorded))
    cal, scored = sheet.fold("cal"), sheet.fold("eval")
    if weights is not None:
        rule_name, fit = "given weights", vote_weighted_by(weights)
    else:
        fit = _fit(rule_name)
    splits = [(cal, scored)]
    if not (cal.lines and scored.lines):
        splits = [(sheet, sheet)]
        if weights is None and rule_name not in UNTAUGHT:
            splits = _split_in_halves(rule_name, sheet)
    return _compare_rules(rule_name, sheet.models, splits, fit)


def _split_in_halves(rule_name: str, sheet: Sheet) -> list[tuple[Sheet, Sheet]]:
    """A sheet of one fold in two halves, so that each is scored by what the other teaches."""
    if len(sheet.lines) < 2 * _LEAST:
        raise RecordingError(
            f"{rule_name!r} learns on one half of the questions and is scored on the other; "
            f"{len(sheet.lines)} are too few, it takes {2 * _LEAST}"
        )
    halves = [replace(sheet, lines=sheet.lines[at::2]) for at in range(2)]
    return [(halves[0], halves[1]), (halves[1], halves[0])]


def vote_weighted_by(weights: Mapping[str, float]) -> Fit:
    """The vote with these weights.

    Raises:
        CouncilError: one is below 0.
    """
    if below := [name for name, weight in weights.items() if not weight >= 0]:
        raise CouncilError(f"the weight of {below[0]!r} must be 0 or more")

    def fit(cal: Sheet) -> Rule:
        heavy = [weights.get(model, 1.0) for model in cal.models]

        def decide(line: Line) -> RuleDecision:
            sums = {one: weight for one, weight in tally(line.said, heavy).items() if weight > 0}
            return RuleDecision(leaders(sums), len(line.said), sum(line.usd))

        return decide

    return fit


def _fit(name: str) -> Fit:
    if name not in RULES:
        raise UnknownNameError(
            f"there is no rule {name!r}; there are 'all', {', '.join(map(repr, RULES))}"
        )
    return RULES[name]


def _compare_rules(
    method: str,
    models: tuple[str, ...],
    splits: Sequence[tuple[Sheet, Sheet]],
    fit: Fit,
) -> Recount:
    """How a rule does on the second sheet of each split, having learned from the first."""
    ours: list[RuleDecision] = []
    theirs: list[RuleDecision] = []
    lines: list[Line] = []
    for cal, scored in splits:
        rule, plain = fit(cal), _fit("plain majority")(cal)
        lines += scored.lines
        ours += map(rule, scored.lines)
        theirs += map(plain, scored.lines)
    right = [one.score(line) for one, line in zip(ours, lines, strict=True)]
    before = [one.score(line) for one, line in zip(theirs, lines, strict=True)]
    accuracy, gain = bootstrap(right, draws=_DRAWS), paired(right, before, draws=_DRAWS)
    number = len(lines)
    learned_from = [len(cal.lines) for cal, scored in splits if cal is not scored]
    return Recount(
        method=method,
        models=models,
        fitted=max(learned_from, default=0),
        questions=number,
        accuracy=accuracy.value,
        low=accuracy.low,
        high=accuracy.high,
        gain=gain.value,
        gain_low=gain.low,
        gain_high=gain.high,
        changed=sum(
            one.answers[:1] != other.answers[:1] for one, other in zip(ours, theirs, strict=True)
        ),
        saved=1 - sum(one.asked for one in ours) / (number * len(models)),
        usd=sum(one.usd for one in ours) / number,
    )
