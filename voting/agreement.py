"""Who is to be believed where no right answer is known, from how the voters of a panel agree.

Every voter has an ability, every question a difficulty, both in log-odds: a voter is right with
probability logistic(ability - difficulty). Those who are wrong sometimes say the same: the more
often an answer was given by others, the likelier it is that the next one errs the same way. Which
answers were right, how difficult the questions were and how able the voters are is estimated
together. So a voter that disagrees with two weak ones is not simply in the minority, and questions
that all find hard make nobody look weak.

- Abilities are held to 0, so that few questions say little.
- A gold answer settles what was right at its question, and counts like `JUDGED` questions; all
  those without one count like `_MOST` at most.
- What comes of it is a vote in the form of the learned one (`weights.LearnedVote`): the weights,
  none below 0, that come nearest to the estimate. A further voice for an answer never makes it
  less likely.
- Voters that give the same answers far more often than their abilities explain are kin, such as
  two characters on one model. Together they count as less than two witnesses.

The estimate is too sure of itself, because voters err on the same questions for more reasons than
difficulty. It makes weights; a confidence comes of it only by `prior`, which corrects it.

Sources: G. Rasch, *Probabilistic Models for Some Intelligence and Attainment Tests* (1960), for
ability and difficulty; R. D. Bock and M. Aitkin, "Marginal Maximum Likelihood Estimation of Item
Parameters: Application of an EM Algorithm", Psychometrika 46 (1981); A. P. Dawid and A. M. Skene,
"Maximum Likelihood Estimation of Observer Error-Rates Using the EM Algorithm", Applied Statistics
28 (1979), and J. Whitehill et al., "Whose Vote Should Count More", NIPS 2009, for right answers
that nobody knows; W. J. Ewens, "The sampling theory of selectively neutral alleles", Theoretical
Population Biology 3 (1972), for how wrong answers coincide. crowd-kit's models stand beside it in
`benchmarks.label_free`.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Hashable, Mapping, Sequence
from itertools import combinations
from statistics import median
from typing import NamedTuple

from mom_council.voting.calibration import logistic
from mom_council.voting.weights import Groups, LearnedVote, grouped, learn_expected

Row = tuple[Hashable | None, ...]
"""What each voter of a panel answered to one question; None: it gave no answer."""
JudgedRow = tuple[Row, frozenset[Hashable]]
"""The same with the right answers."""

JUDGED = 2.0
"""Questions that one with a gold answer counts as."""
_MOST = 200.0
"""Questions that agreement counts as at most: beyond that it errs as it is, not by luck."""
LEAST = 29.5
"""Questions (thirty, a little faded) without which agreement says too little: plain votes hold."""
KIN = 0.5
"""Excess agreement from which two voters are kin; unrelated models stay below."""
_SPREAD = 2.0
"""Standard deviation of the questions' difficulty."""
_HELD = 1.0
"""Standard deviation of the voters' ability."""
_APART = 6.0
"""How rarely wrong answers coincide: two are the same with probability 1 / (1 + it)."""
_STEPS, _CLOSE, _LONGEST = 25, 2e-3, 1.0
_FASTER = 1.5
"""Times the step of Newton's method: the expectation moves on while the abilities do."""
# Nodes and weights of Gauss and Hermite for a normal variable (M. Abramowitz and I. Stegun,
# *Handbook of Mathematical Functions*, table 25.10).
_HALF = (1.023255663789, 2.076847978677, 3.205429002856, 4.512745863399)
_HALF_WEIGHTS = (0.244097502895, 0.049916406765, 0.002789141321, 0.000022345844)
_DIFFICULTIES = tuple(_SPREAD * x for x in (*(-x for x in reversed(_HALF)), 0.0, *_HALF))
_SHARES = (*reversed(_HALF_WEIGHTS), 0.406349206349, *_HALF_WEIGHTS)


class Agreement(NamedTuple):
    """What answers without labels, or with few, say of the voters of a panel."""

    vote: LearnedVote
    """Its weights are those of the voters; its probabilities are too sure, see `prior`."""
    rates: tuple[float, ...]
    """How often each is expected to be right; 0..1."""
    witnesses: tuple[float, ...]
    """As how much of a witness each counts: 1, or less where others are its kin."""
    questions: float
    """That this stands on, faded."""


def measure_agreement(
    rows: Mapping[Row, float],
    judged: Mapping[JudgedRow, float] = {},
    outcomes: Sequence[tuple[float, float]] = (),
) -> Agreement:
    """Measure how the voters of a panel agree.

    Args:
        rows: what was answered, and how often. Where nobody answered together with another, and
            nothing was judged, all voters are equals.
        judged: the same of other questions, whose right answers are known.
        outcomes: for each voter how often it was right, and of how many, on questions of which
            nothing else is known.

    Raises:
        ValueError: there is no row.
    """
    if not rows and not judged:
        raise ValueError("rows is empty; agreement needs questions that a panel answered")
    voters = len(next(iter(rows), None) or next(iter(judged))[0])
    observed: dict[JudgedRow | tuple[Row, None], float] = {}
    scale = min(1.0, _MOST / max(1.0, sum(rows.values())))
    for row, times in rows.items():
        if sum(one is not None for one in row) > 1:
            observed[row, None] = scale * times
    observed |= {one: JUDGED * times for one, times in judged.items()}
    plain = (1.0,) * voters
    if not observed and not any(number for _, number in outcomes):
        return Agreement(LearnedVote(plain, 0.0), (0.5,) * voters, plain, 0.0)
    questions = sum(rows.values()) + sum(judged.values())
    estimate = _Estimate(observed, plain, outcomes)
    witnesses = _witnesses(rows, judged, estimate)
    if witnesses != plain:
        estimate = _Estimate(observed, witnesses, outcomes)
    vote = learn_expected(estimate.expected, voters)
    if not any(vote.weights):
        vote = LearnedVote(plain, vote.none)
    return Agreement(vote, estimate.rates, witnesses, questions)


def witnesses_by_model(models: Sequence[Hashable]) -> tuple[float, ...]:
    """As how much of a witness each voter counts where it is not known who agrees with whom.

    Voters on one model are kin: together they count as less than two.
    """
    return tuple(1 / (1 + KIN * (models.count(model) - 1)) for model in models)


class _Alike(NamedTuple):
    """Questions that were answered alike, up to the words."""

    groups: Groups
    """Who said the same, by number."""
    likely: tuple[float, ...]
    """For each group, and last for nobody: the log-probability that the others say what they say
    if it is right; minus infinity where the gold answer says that it is not."""
    sizes: tuple[float, ...]
    """Of the groups, as witnesses; and 0 for nobody."""
    times: float


class _Estimate:
    """Abilities, difficulties and right answers, estimated together."""

    def __init__(
        self,
        observed: Mapping[JudgedRow | tuple[Row, None], float],
        witnesses: Sequence[float],
        outcomes: Sequence[tuple[float, float]],
    ) -> None:
        self._counts = tuple(witnesses)
        self._outcomes = outcomes or [(0.0, 0.0)] * len(witnesses)
        self._cases = _put_together(observed, self._counts)
        self.abilities = [0.0] * len(witnesses)
        for _ in range(_STEPS):
            if self._improve() < _CLOSE:
                break
        self._difficulty = self._shares()

    @property
    def expected(self) -> dict[Groups, list[float]]:
        """Who said the same -> how often each group is expected to be right, and last nobody."""
        expected_sums: dict[Groups, list[float]] = {}
        nobody = self._nobody()
        for case in self._cases:
            sums = expected_sums.setdefault(case.groups, [0.0] * len(case.likely))
            for at, chances in enumerate(self._posterior(case, nobody)):
                sums[at] += case.times * sum(chances)
        return expected_sums

    @property
    def rates(self) -> tuple[float, ...]:
        """How often each voter is expected to be right."""
        return tuple(
            sum(
                share * logistic(ability - d)
                for share, d in zip(self._difficulty, _DIFFICULTIES, strict=True)
            )
            for ability in self.abilities
        )

    def chance_to_agree(self, one: int, other: int) -> float:
        """How often two voters are expected to say the same."""
        whole = 0.0
        for share, d in zip(self._difficulty, _DIFFICULTIES, strict=True):
            p, q = (logistic(self.abilities[at] - d) for at in (one, other))
            whole += share * (p * q + (1 - p) * (1 - q) / (1 + _APART))
        return whole

    def _nobody(self) -> list[float]:
        """For each difficulty the log-probability of it, and that nobody is right."""
        return [
            math.log(share)
            - sum(
                count * math.log1p(math.exp(min(50.0, ability - d)))
                for count, ability in zip(self._counts, self.abilities, strict=True)
            )
            for share, d in zip(_SHARES, _DIFFICULTIES, strict=True)
        ]

    def _posterior(self, case: _Alike, nobody: Sequence[float]) -> list[list[float]]:
        """For each group, and nobody, and each difficulty: how likely it is; 1 in all."""
        scores = []
        for group, likely, size in zip((*case.groups, ()), case.likely, case.sizes, strict=True):
            own = likely + sum(self._counts[at] * self.abilities[at] for at in group)
            scores.append([own - size * d + n for d, n in zip(_DIFFICULTIES, nobody, strict=True)])
        top = max(map(max, scores))
        parts = [[math.exp(one - top) for one in row] for row in scores]
        whole = sum(map(sum, parts))
        return [[one / whole for one in row] for row in parts]

    def _shares(self) -> list[float]:
        """Shares of the questions that are as difficult as each node."""
        nobody, sums = self._nobody(), [0.0] * len(_SHARES)
        for case in self._cases:
            for row in self._posterior(case, nobody):
                for at, chance in enumerate(row):
                    sums[at] += case.times * chance
        whole = sum(sums)
        return [one / whole for one in sums] if whole else [*_SHARES]

    def _improve(self) -> float:
        """One step of the EM algorithm; how far the abilities went."""
        nobody, number = self._nobody(), [0.0] * len(_SHARES)
        right = [0.0] * len(self.abilities)
        for case in self._cases:
            for group, row in zip((*case.groups, ()), self._posterior(case, nobody), strict=True):
                sure = case.times * sum(row)
                for voter in group:
                    right[voter] += sure
                for at, chance in enumerate(row):
                    number[at] += case.times * chance
        furthest = 0.0
        for voter, ability in enumerate(self.abilities):
            slope, bend = right[voter] - ability / _HELD**2, 1 / _HELD**2
            chances = [logistic(ability - d) for d in _DIFFICULTIES]
            hits, outcomes = self._outcomes[voter]
            mean = sum(p * share for p, share in zip(chances, _SHARES, strict=True))
            hit, miss = hits / mean, (outcomes - hits) / (1 - mean)
            for p, share, times in zip(chances, _SHARES, number, strict=True):
                # How often the outcomes were of this difficulty.
                was = share * (hit * p + miss * (1 - p))
                slope += share * hit * p - (times + was) * p
                bend += (times + was) * p * (1 - p)
            step = max(-_LONGEST, min(_LONGEST, _FASTER * slope / bend))
            self.abilities[voter] = ability + step
            furthest = max(furthest, abs(step))
        return furthest


def _put_together(
    observed: Mapping[JudgedRow | tuple[Row, None], float], counts: Sequence[float]
) -> list[_Alike]:
    alike: dict[tuple[Groups, frozenset[int] | None], float] = {}
    for (row, right), times in observed.items():
        groups = grouped(row)
        golds = None
        if right is not None:
            golds = frozenset(at for at, answer in enumerate(groups) if answer in right)
        key = tuple(groups.values()), golds
        alike[key] = alike.get(key, 0.0) + times
    cases = []
    for (sets, golds), times in alike.items():
        sizes = [sum(counts[voter] for voter in group) for group in sets]
        likely = [
            _coincidence([size for other, size in enumerate(sizes) if other != at])
            if golds is None or (at in golds if golds else at == len(sets))
            else -math.inf
            for at in range(len(sets) + 1)
        ]
        cases.append(_Alike(sets, tuple(likely), (*sizes, 0.0), times))
    return cases


def _coincidence(sizes: Collection[float]) -> float:
    """The log-probability that wrong answers are the same in groups of these sizes (Ewens)."""
    likely = math.lgamma(_APART) - math.lgamma(_APART + sum(max(1.0, one) for one in sizes))
    return likely + sum(math.log(_APART) + math.lgamma(max(1.0, one)) for one in sizes)


def _witnesses(
    rows: Mapping[Row, float],
    judged: Mapping[JudgedRow, float],
    estimate: _Estimate,
) -> tuple[float, ...]:
    """As how much of a witness each voter counts, by whom it agrees with beyond its ability."""
    times = {**rows}
    for (row, _), number in judged.items():
        times[row] = times.get(row, 0.0) + number
    voters = len(estimate.abilities)
    beyond = {
        (one, other): _agreement_beyond(times, one, other, estimate.chance_to_agree(one, other))
        for one, other in combinations(range(voters), 2)
    }
    usual = median(beyond.values()) if len(beyond) > 2 else 0.5
    kin = [0.0] * voters
    for pair, value in beyond.items():
        excess = (value - usual) / max(1e-9, 1 - usual)
        if excess >= KIN:
            for voter in pair:
                kin[voter] += min(1.0, excess)
    return tuple(1 / (1 + each) for each in kin)


def _agreement_beyond(rows: Mapping[Row, float], one: int, other: int, expected: float) -> float:
    """How much two voters agree beyond what is expected: 0 not at all, 1 always."""
    same = both = 0.0
    for row, times in rows.items():
        if row[one] is not None and row[other] is not None:
            both += times
            same += times * (row[one] == row[other])
    return (same / both - expected) / max(1e-9, 1 - expected) if both else 0.0
