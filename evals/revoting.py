"""Another rule over the same answers: nobody is asked again.

A rule is one of those that `rules.RULES` lists by name, or a vote with weights of yours. What it
has to learn it learns on the fold `cal`, and it is scored on the fold `eval`. A recording with one
fold alone is scored as a whole; a rule that learns does so on one half of it at a time, and is
scored on the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from mom_council.councils.recording import RecordedQuestion, RecordingError
from mom_council.errors import CouncilError, UnknownNameError
from mom_council.evals.intervals import bootstrap, paired
from mom_council.evals.rules import RULES, Fit, Rule, RuleDecision
from mom_council.evals.sheet import Line, Sheet, lay_out, leaders, tally
from mom_council.records import Record

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
            splits = _crossed(rule_name, sheet)
    return _compared(rule_name, sheet.models, splits, fit)


def _crossed(rule_name: str, sheet: Sheet) -> list[tuple[Sheet, Sheet]]:
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
            sums = {said: weight for said, weight in tally(line.said, heavy).items() if weight > 0}
            return RuleDecision(leaders(sums), len(line.said), sum(line.usd))

        return decide

    return fit


def _fit(name: str) -> Fit:
    if name not in RULES:
        raise UnknownNameError(
            f"there is no rule {name!r}; there are 'all', {', '.join(map(repr, RULES))}"
        )
    return RULES[name]


def _compared(
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
