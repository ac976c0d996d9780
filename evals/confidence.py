"""The confidence that a verdict reports, fitted so that it means what it says."""

from __future__ import annotations

import random
from dataclasses import replace

from mixture_of_models.councils.voting.calibration import platt
from mixture_of_models.councils.voting.learned import LearnedVote, choose_pull, learn
from mixture_of_models.evals.rules import Decision, Rule, leaders
from mixture_of_models.evals.sheet import Line, Sheet

_FOLDS = 5


def confident(cal: Sheet, *, seed: int = 0) -> Rule:
    """The learned vote, whose probability is corrected by Platt scaling.

    The correction is fitted to lines that the vote had not learned from: on those that it had,
    every vote looks better than it is.
    """
    pull = choose_pull(cal.cases, len(cal.models))
    order = list(cal.lines)
    random.Random(seed).shuffle(order)
    pairs: list[tuple[float, float]] = []
    for fold in range(_FOLDS):
        kept = replace(cal, lines=tuple(x for at, x in enumerate(order) if at % _FOLDS != fold))
        vote = learn(kept.cases, len(cal.models), pull=pull)
        for line in order[fold::_FOLDS]:
            decision = _decide(vote, line)
            if decision.answers:
                pairs.append((decision.confidence or 0.0, decision.score(line)))
    vote = learn(cal.cases, len(cal.models), pull=pull)
    curve = platt([each[0] for each in pairs], [each[1] for each in pairs]) if pairs else None

    def decide(line: Line) -> Decision:
        decision = _decide(vote, line)
        if curve is None or not decision.answers:
            return decision._replace(confidence=0.0)
        return decision._replace(confidence=curve(decision.confidence or 0.0))

    return decide


def _decide(vote: LearnedVote, line: Line) -> Decision:
    chances = vote.probabilities(line.said)
    first = leaders(chances)
    return Decision(first, len(line.said), sum(line.usd), chances[first[0]] if first else 0.0)
