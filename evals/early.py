"""Asking one voter after the other, and stopping before everybody was asked.

`stopping(rule)` asks the cheapest first and stops by a rule of `councils.voting.exits`.
`calibrated_stop` asks the strongest first and stops when the leader is likely enough to be right,
by a probability that was calibrated for just those who have been asked.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from mixture_of_models.councils.voting.exits import Exit, asked
from mixture_of_models.councils.voting.learned import LearnedVote, temper
from mixture_of_models.evals.rules import Decision, Fit, Rule, leaders, voter_weights
from mixture_of_models.evals.sheet import Line, Sheet


class _Step(NamedTuple):
    number: int
    sure: float
    answers: tuple[str, ...]


LEAST_SURE = 0.9
"""The threshold that the calibrated stop starts from; outcomes may raise it, never lower it."""
TOLERATED = 0.0025
"""How much accuracy it may lose on the fold it is fitted on; half of what it may lose at all."""


def stopping(rule: Exit, waves: Sequence[int] | None = None) -> Fit:
    """Plain votes, cheapest voter first, until `rule` stops; in waves where they are given."""

    def fit(cal: Sheet) -> Rule:
        order = cal.cheapest_first()

        def decide(line: Line) -> Decision:
            said = [line.said[voter] for voter in order]
            number = asked(said, rule, waves=waves)
            votes = Counter(each for each in said[:number] if each is not None)
            return Decision(leaders(votes), number, _usd(line, order[:number]))

        return decide

    return fit


def calibrated_stop(cal: Sheet) -> Rule:
    """Stop when the leader is right with a calibrated probability above a fitted threshold.

    The weights are those of the weighted vote; for each number of voters asked they are tempered
    anew, so that the probability counts what that many voters are worth together. The threshold is
    the least one, from 90 % up, that loses no more than a quarter of a point where it was fitted.
    """
    order = cal.strongest_first()
    ranked = cal.of(order)
    weights = voter_weights(ranked)
    steps = [
        temper(ranked.of(range(number)).cases, weights[:number])
        for number in range(1, len(order) + 1)
    ]
    paths = [(line, _path(line.said, steps)) for line in ranked.lines]
    whole = sum(_score(line, path[-1]) for line, path in paths)
    allowed = TOLERATED * len(paths) + 1e-9
    threshold = next(
        (
            percent / 100
            for percent in range(round(100 * LEAST_SURE), 100)
            if whole - sum(_score(line, _stop(path, percent / 100)) for line, path in paths)
            <= allowed
        ),
        math.inf,
    )

    def decide(line: Line) -> Decision:
        path = _path([line.said[voter] for voter in order], steps)
        number, sure, answers = _stop(path, threshold)
        return Decision(answers, number, _usd(line, order[:number]), sure)

    return decide


def _path(said: Sequence[str | None], steps: Sequence[LearnedVote]) -> list[_Step]:
    """What is known after each voter."""
    path = []
    for number, vote in enumerate(steps, 1):
        chances = vote.probabilities(said[:number])
        path.append(_Step(number, max(chances.values(), default=0.0), leaders(chances)))
    return path


def _stop(path: Sequence[_Step], threshold: float) -> _Step:
    return next((step for step in path if step.sure >= threshold), path[-1])


def _score(line: Line, step: _Step) -> float:
    return Decision(step.answers, step.number, 0.0).score(line)


def _usd(line: Line, voters: Sequence[int]) -> float:
    return sum(line.usd[voter] for voter in voters)
