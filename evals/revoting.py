"""Another rule over the same answers: nobody is asked again.

A rule is one of those that `rules.RULES` lists by name, or a vote with weights of yours. What it
has to learn it learns on the fold `cal`, and it is scored on the fold `eval`; a recording with one
fold alone is scored as a whole, by rules that need not learn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mom_council.councils.recording import RecordedQuestion, RecordingError
from mom_council.errors import CouncilError, UnknownNameError
from mom_council.evals.intervals import bootstrap, paired
from mom_council.evals.rules import RULES, Fit, Rule, RuleDecision
from mom_council.evals.sheet import Line, Sheet, lay_out, leaders, tally
from mom_council.records import Record

UNTAUGHT = ("plain majority", "lossless exit", "wave 3, 2, 2", "beta 95 %", "dirichlet 95 %")
"""Rules that learn nothing but, at most, who is cheapest."""

_DRAWS = 1000


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
    if not (cal.lines and scored.lines):
        if weights is None and rule_name not in UNTAUGHT:
            raise RecordingError(
                f"{rule_name!r} learns on questions of fold 'cal' and is scored on those of "
                "'eval'; the recording has one fold alone"
            )
        cal = scored = sheet
    plain = _fit("plain majority")(cal)
    return _compared(rule_name, sheet.models, cal, scored, fit(cal), plain)


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
    cal: Sheet,
    scored: Sheet,
    rule: Rule,
    plain: Rule,
) -> Recount:
    ours = [rule(line) for line in scored.lines]
    theirs = [plain(line) for line in scored.lines]
    right = [one.score(line) for one, line in zip(ours, scored.lines, strict=True)]
    before = [one.score(line) for one, line in zip(theirs, scored.lines, strict=True)]
    accuracy, gain = bootstrap(right, draws=_DRAWS), paired(right, before, draws=_DRAWS)
    number = len(scored.lines)
    return Recount(
        method=method,
        models=models,
        fitted=0 if cal is scored else len(cal.lines),
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
