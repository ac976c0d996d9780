"""How much a voter's vote weighs, from how often it was right.

Of voters that err independently, the best decision gives each the weight ln(p / (1 - p)), p being
how often it is right; with K equally likely options it is ln(p / (1 - p)) + ln(K - 1). Leaving
out the second term makes voters below p = 0.5 count *against* what they say, which on hard
questions with many options costs 9 to 22 points of accuracy (measured): the floor at 0 and the K
are what makes these weights safe.

Sources: S. Nitzan and J. Paroush, "Optimal Decision Rules in Uncertain Dichotomous Choice
Situations", International Economic Review 23 (1982); R. Ben-Yashar and J. Paroush, "Optimal
decision rules for fixed-size committees in polychotomous choice situations", Social Choice and
Welfare 18 (2001); effective number: M. Laakso and R. Taagepera, Comparative Political Studies 12
(1979).

The learned vote: weights from outcomes that know how voters err *together*.

The probability that an option is right is a softmax over the options that were said and the
chance that none of them is:

    P(option) = exp(weights of those who said it) / (exp(none) + the same for every option)

Weights and `none` are fitted to outcomes at once. So two voters that make the same mistakes share
one voice, a voter that adds nothing to a stronger one gets weight 0 (never less), and the
probability is a calibrated confidence by itself. Nobody has to say whether the panel is one of
equals, where a vote pays, or has one voter that dominates, whose word is then the verdict.

The fit starts from log-odds weights of one effective number of options, tempered as a whole (two
numbers and K), and moves from there only as far as outcomes demand: of several strengths of the
pull back to the start, the strongest whose cross-validated loss is within one standard error of
the best is taken.

Sources: D. McFadden, "Conditional logit analysis of qualitative choice behavior" (1974); J. A.
Benediktsson and P. H. Swain, "Consensus theoretic classification methods", IEEE Transactions on
Systems, Man and Cybernetics 22 (1992), for logarithmic pools with learned weights; L. Breiman et
al., *Classification and Regression Trees* (1984), section 3.4.3, for the rule of one standard
error.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from mom_council.voting.calibration import Slopes, minimise
from mom_council.voting.early_exit import calls_until_stop, lossless_in_order


def log_odds(accuracy: float, options: float = 2.0) -> float:
    """The weight of a voter, at least 0.

    Args:
        accuracy: how often it is right, 0..1; the ends are moved in a little, so that nobody gets
            an infinite weight.
        options: the (effective) number of answers there are to choose from; below 2 it is 2.

    Raises:
        ValueError: the accuracy is not within 0..1, or one of them is not a number.
    """
    if not 0.0 <= accuracy <= 1.0 or not options >= 0:
        raise ValueError(
            f"accuracy {accuracy!r} must be within 0..1 and options {options!r} above 0"
        )
    p = min(max(accuracy, 1e-6), 1 - 1e-6)
    return max(0.0, math.log(p / (1 - p)) + math.log(max(options, 2.0) - 1))


def accuracy(right: int, number: int, options: float = 2.0) -> float:
    """How often a voter is right, from a record, smoothed towards guessing (1 in `options`).

    Two imagined questions are added (Laplace), so that a record of 3 out of 3 is not certainty.

    Raises:
        ValueError: `right` is not within 0..asked.
    """
    if not 0 <= right <= number:
        raise ValueError(f"{right!r} right of {number!r} asked cannot be; right is at most asked")
    return (right + 2 / max(options, 2.0)) / (number + 2)


AnswerT = TypeVar("AnswerT", bound=Hashable)

_OPTIONS = (2.0, 2.3, 2.7, 3.3, 4.0, 5.0, 7.0, 10.0)
"""Effective numbers of options to start from; errors are that often equal by chance."""
_PULLS = (300.0, 100.0, 30.0, 10.0, 3.0, 1.0)
_FOLDS = 5
_FLAT = 1e-2
"""Keeps `none` finite where one outcome never happens."""
_EXPECTED_PULL = 3.0
_USUAL, _HELD = (0.5, 1.0), (5.0, 0.5)
"""The scale and the `none` to expect, and how strongly they are held there: like few questions."""

Groups = tuple[tuple[int, ...], ...]
"""For each option that was said, the voters that said it, by number."""


class VoteCase(NamedTuple):
    """A question whose outcome is known.

    Attributes:
        groups: for each option that was said, the voters that said it, by number.
        right: which option is right; None where none of them is.
    """

    groups: Groups
    right: int | None


@dataclass(frozen=True, slots=True)
class LearnedVote:
    """A fitted vote.

    Attributes:
        weights: of the voters, 0 or more.
        none: the score of "nobody is right".
    """

    weights: tuple[float, ...]
    none: float

    def probabilities(self, answers: Sequence[AnswerT | None]) -> dict[AnswerT, float]:
        """How likely each option is to be right, in the order of first mention; None abstains.

        What is missing to 1 is the probability that nobody said the right one.
        """
        groups = grouped(answers)
        chances = _softmax(groups.values(), (*self.weights, self.none))
        return dict(zip(groups, chances, strict=False))

    def leader(self, case: VoteCase) -> tuple[float, float]:
        """The probability of the leading option of a case, and how right it is.

        Of options that are level, as far as a coin would choose the right one.
        """
        *chances, _ = _softmax(case.groups, (*self.weights, self.none))
        most = max(chances, default=0.0)
        first = [at for at, chance in enumerate(chances) if chance >= most - 1e-9]
        return most, (case.right in first) / max(1, len(first))


def grouped(answers: Sequence[AnswerT | None]) -> dict[AnswerT, tuple[int, ...]]:
    """Who said what: the voters behind each option, in the order of first mention."""
    groups: dict[AnswerT, tuple[int, ...]] = {}
    for voter, each in enumerate(answers):
        if each is not None:
            groups[each] = (*groups.get(each, ()), voter)
    return groups


def learn(
    cases: Sequence[VoteCase], voters: int, *, pull: float | None = None, seed: int = 0
) -> LearnedVote:
    """Fit a vote to outcomes.

    Args:
        cases: what was said and what was right; two dozen at least, hundreds for weights that
            differ from the start.
        voters: how many there are.
        pull: how strongly the weights are pulled back to the start; see `choose_pull`, which is
            asked when it is left out.
        seed: of the folds of the cross-validation.

    Raises:
        ValueError: there is no case.
    """
    if not cases:
        raise ValueError("cases is empty; a vote is learned from questions whose answer is known")
    start = _start(cases, voters)
    if pull is None:
        pull = choose_pull(cases, voters, start=start, seed=seed)
    return _vote(_fit(_counted(cases), start, start, pull))


def learn_expected(expected: Mapping[Groups, Sequence[float]], voters: int) -> LearnedVote:
    """Fit a vote to what is expected to be right, where no outcome is known.

    Args:
        expected: who said the same -> how often each option is right, and last nobody.
        voters: how many there are.
    """
    start = [_USUAL[0]] * voters + [_USUAL[1]]
    return _vote(_fit(expected, start, start, _EXPECTED_PULL))


def without_light(vote: LearnedVote, share: float, cases: Sequence[VoteCase]) -> LearnedVote:
    """A vote that needs fewer voices: each weight lower by a share of the greatest, 0 at least.

    Who weighs nothing can change nothing, so the lossless exit never waits for him. The weights
    that are left are tempered anew, so that probabilities stay calibrated.

    Source of the soft threshold: R. Tibshirani, "Regression Shrinkage and Selection via the
    Lasso", Journal of the Royal Statistical Society B 58 (1996).
    """
    floor = share * max(vote.weights, default=0.0)
    if floor <= 0:
        return vote
    return temper(cases, [max(0.0, weight - floor) for weight in vote.weights])


class FoldVote(NamedTuple):
    """A vote that was learned without a fold of the cases.

    Attributes:
        kept: what it was learned from.
        held: the cases of the fold.
    """

    vote: LearnedVote
    kept: Sequence[VoteCase]
    held: Sequence[VoteCase]


_SHARES = (0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5)
"""Of the greatest weight, by which all may be lowered."""
_DOUBT = 0.5
"""Standard errors by which the loss may be greater."""
_MANY, _SURE = 1000, 0.0045
"""Outcomes, and the standard error of a gain in accuracy, with which the gain says enough."""
_WORTH = 0.02
"""Of the calls, what a greater share has to save beyond a smaller one."""


def choose_share(vote: LearnedVote, cases: Sequence[VoteCase], folds: Sequence[FoldVote]) -> float:
    """By how much weights may be lowered so that fewer are asked and the vote is no worse.

    It is no worse where its cross-validated loss is not greater by more than half a standard
    error; or, where outcomes are many, where it is right as often. Of those shares it is the one
    that saves most calls, or a smaller one that saves nearly as many. On panels and questions drawn
    anew (`benchmarks.drawn_anew`) 58 % of calls were saved in place of 52, at the same accuracy.

    Args:
        vote: learned from all cases.
        cases: what calls are counted on.
        folds: the same vote learned without each fold.
    """
    if sum(len(each.held) for each in folds) < 2 * _FOLDS:
        return 0.0
    results = {share: _held_results(folds, share) for share in _SHARES}
    safe = [share for share in _SHARES if _is_no_worse(results[share], results[0.0])]
    calls = {share: _calls(without_light(vote, share, cases), cases) for share in safe}
    most = min(calls.values()) + _WORTH * len(vote.weights)
    return min(share for share in safe if calls[share] <= most)


def _held_results(folds: Sequence[FoldVote], share: float) -> list[tuple[float, float]]:
    """The loss and the rightness of the lowered vote on each case that it did not learn from."""
    results = []
    for each in folds:
        sparse = without_light(each.vote, share, each.kept)
        at = (*sparse.weights, sparse.none)
        results += [(_loss(case, at), sparse.leader(case)[1]) for case in each.held]
    return results


def _is_no_worse(
    results: Sequence[tuple[float, float]], others: Sequence[tuple[float, float]]
) -> bool:
    loss, doubt = _mean_and_error([a[0] - b[0] for a, b in zip(results, others, strict=True)])
    gain, error = _mean_and_error([a[1] - b[1] for a, b in zip(results, others, strict=True)])
    return loss <= _DOUBT * doubt or (gain >= 0 and error <= _SURE and len(results) >= _MANY)


def _mean_and_error(values: Sequence[float]) -> tuple[float, float]:
    mean = sum(values) / len(values)
    return mean, math.sqrt(sum((each - mean) ** 2 for each in values)) / len(values)


def _calls(vote: LearnedVote, cases: Sequence[VoteCase]) -> float:
    """How many are asked on average, the heaviest first, until the vote is settled."""
    order = sorted(range(len(vote.weights)), key=lambda voter: -vote.weights[voter])
    weights = [vote.weights[voter] for voter in order]
    counted = Counter(cases[:_MANY])
    calls = 0
    for case, number in counted.items():
        group = {voter: at for at, voters in enumerate(case.groups) for voter in voters}
        answers = [group.get(voter) for voter in order]
        calls += number * calls_until_stop(answers, lossless_in_order, weights=weights)
    return calls / max(1, counted.total())


def temper(cases: Sequence[VoteCase], weights: Sequence[float]) -> LearnedVote:
    """Scale given weights, as a whole, so that the probabilities are calibrated: two numbers."""
    scale, none, _ = _fit_temperature(Counter(cases), weights)
    return LearnedVote(tuple(scale * weight for weight in weights), none)


def _vote(at: Sequence[float]) -> LearnedVote:
    return LearnedVote(tuple(at[:-1]), at[-1])


def _start(cases: Sequence[VoteCase], voters: int) -> list[float]:
    """Log-odds weights of the number of options that explains the outcomes best, tempered."""
    right = [0] * voters
    for case in cases:
        for voter in case.groups[case.right] if case.right is not None else ():
            right[voter] += 1
    counted = Counter(cases)
    tries: list[tuple[float, list[float]]] = []
    scale, none = _USUAL
    for options in _OPTIONS:
        weights = [log_odds(accuracy(each, len(cases), options), options) for each in right]
        scale, none, loss = _fit_temperature(counted, weights, (scale, none))
        tries.append((loss, [*(scale * weight for weight in weights), none]))
    return min(tries)[1]


def _fit_temperature(
    counted: Mapping[VoteCase, int], weights: Sequence[float], near: Sequence[float] = _USUAL
) -> tuple[float, float, float]:
    """The scale of the weights and the `none` that make the loss least, and that loss."""
    sums = Counter[tuple[tuple[float, ...], float | None]]()
    for case, number in counted.items():
        scores = [round(sum(weights[voter] for voter in group), 9) for group in case.groups]
        right = None if case.right is None else scores[case.right]
        sums[tuple(sorted(scores)), right] += number

    def slopes(at: Sequence[float]) -> Slopes:
        scale, none = at
        g0, g1 = _HELD[0] * (scale - _USUAL[0]), _HELD[1] * (none - _USUAL[1])
        (h00, h11), h01 = _HELD, 0.0
        for (scores, right), number in sums.items():
            parts = [math.exp(scale * score - none) for score in scores]
            whole = 1.0 + sum(parts)
            mean = sum(p * x for p, x in zip(parts, scores, strict=True)) / whole
            square = sum(p * x * x for p, x in zip(parts, scores, strict=True)) / whole
            nobody = 1 / whole
            g0 += number * (mean - (right or 0.0))
            g1 += number * (nobody - (right is None))
            h00 += number * (square - mean * mean)
            h01 -= number * mean * nobody
            h11 += number * nobody * (1 - nobody)
        return [g0, g1], [[h00, h01], [h01, h11]]

    scale, none = minimise(slopes, near, floored={0}, longest=1.0)
    loss = 0.0
    for (group_scores, truth), number in sums.items():
        whole = 1.0 + sum(math.exp(scale * score - none) for score in group_scores)
        loss += number * (math.log(whole) - (0.0 if truth is None else scale * truth - none))
    return scale, none, loss


def choose_pull(
    cases: Sequence[VoteCase], voters: int, *, start: Sequence[float] | None = None, seed: int = 0
) -> float:
    """The strongest pull back to the start that outcomes do not speak against.

    With few cases it is the strongest of all.
    """
    if len(cases) < 4 * _FOLDS:
        return _PULLS[0]
    start = _start(cases, voters) if start is None else start
    order = list(range(len(cases)))
    random.Random(seed).shuffle(order)
    losses: dict[float, list[float]] = {pull: [] for pull in _PULLS}
    for fold in range(_FOLDS):
        training = _counted(cases[at] for place, at in enumerate(order) if place % _FOLDS != fold)
        at: Sequence[float] = start
        for pull in _PULLS:
            at = _fit(training, start, at, pull)
            losses[pull] += [_loss(cases[each], at) for each in order[fold::_FOLDS]]
    best = min(_PULLS, key=lambda pull: sum(losses[pull]))
    for pull in _PULLS:
        worse = [a - b for a, b in zip(losses[pull], losses[best], strict=True)]
        mean = sum(worse) / len(worse)
        spread = math.sqrt(sum((each - mean) ** 2 for each in worse)) / len(worse)
        if mean <= spread:
            return pull
    return best


def _fit(
    outcomes: Mapping[Groups, Sequence[float]],
    start: Sequence[float],
    at: Sequence[float],
    pull: float,
) -> list[float]:
    """The weights of least loss plus pull / 2 * (distance from the start) squared."""
    size = len(start)
    pulls = [pull] * (size - 1) + [_FLAT]

    def slopes(at: Sequence[float]) -> Slopes:
        gradient = [strength * (x - x0) for strength, x, x0 in zip(pulls, at, start, strict=True)]
        hessian = [[0.0] * size for _ in range(size)]
        for i, strength in enumerate(pulls):
            hessian[i][i] = strength
        for groups, right in outcomes.items():
            _add_slopes(groups, right, at, gradient, hessian)
        return gradient, hessian

    return minimise(slopes, at, floored=range(size - 1))


def _counted(cases: Iterable[VoteCase]) -> dict[Groups, list[float]]:
    """Who said the same -> how often each option was right, and last nobody."""
    outcomes: dict[Groups, list[float]] = {}
    for groups, right in cases:
        counts = outcomes.setdefault(groups, [0.0] * (len(groups) + 1))
        counts[-1 if right is None else right] += 1
    return outcomes


def _add_slopes(
    groups: Groups,
    right: Sequence[float],
    at: Sequence[float],
    gradient: list[float],
    hessian: list[list[float]],
) -> None:
    *chances, nobody = _softmax(groups, at)
    last, number = len(at) - 1, sum(right)
    # Every voter is in one group at most, so the mean of its mark is its group's probability.
    mean = [
        (voter, chance) for group, chance in zip(groups, chances, strict=True) for voter in group
    ]
    mean.append((last, nobody))
    for i, mine in mean:
        gradient[i] += number * mine
        row = hessian[i]
        for j, other in mean:
            row[j] -= number * mine * other
    for group, chance, times in zip((*groups, (last,)), (*chances, nobody), right, strict=True):
        for i in group:
            gradient[i] -= times
            for j in group:
                hessian[i][j] += number * chance


def _softmax(groups: Iterable[Sequence[int]], at: Sequence[float]) -> list[float]:
    """The probability of each group, and last that of nobody."""
    scores = [sum(at[voter] for voter in group) for group in groups] + [at[-1]]
    top = max(scores)
    parts = [math.exp(score - top) for score in scores]
    whole = sum(parts)
    return [part / whole for part in parts]


def _loss(case: VoteCase, at: Sequence[float]) -> float:
    """Minus the logarithm of the probability of what came true."""
    chances = _softmax(case.groups, at)
    return -math.log(max(1e-12, chances[-1 if case.right is None else case.right]))
