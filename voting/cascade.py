"""Cascades: cheap voters first, and a strong one where they do not agree.

`choose_cascade` looks at what a panel answered, and chooses which cheap voters are asked, how many
of them have to agree, and whether the strong one then decides or only joins their vote; or that
nothing can be saved, so that the strong one is asked at once.

- Cheap voters weigh 1 each. Weights and thresholds fitted to the same few hundred questions lost
  more on held-out ones than they saved.
- A question is *lost* where the cascade's answer is wrong and the strong one's would have been
  right. Outcomes are few, so they are blended with what the shipped prior expects of such
  agreement, as if that were `PRIOR` questions. Where no gold answer is known, agreement says how
  likely either is to be right.
- The cascade of least price is taken; every point of accuracy at risk counts like 35 % of the
  strong one's price. It must lose no more than `MOST_LOSS` on balance and `MOST_RISK` in all, and
  save at least `LEAST_SAVING`.
- A voter whose price nobody knows is never a cheap one.

Sources: L. Chen, M. Zaharia, J. Zou, "FrugalGPT: How to Use Large Language Models While Reducing
Cost and Improving Performance" (2023); agreement as the signal: M. Yue et al., "Large Language
Model Cascades with Mixture of Thoughts Representations", ICLR 2024.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

from mom_council.voting.agreement import Row, measure_agreement
from mom_council.voting.calibration import logistic
from mom_council.voting.prior import Pattern, PriorType, expected, shipped_prior

MOST_LOSS = 0.005
"""Share of questions that may be lost on balance, by what is expected."""
MOST_RISK = 0.015
"""Share of questions that may be lost, whatever is won elsewhere."""
LEAST_SAVING = 0.15
"""Share of the strong one's price below which a cascade is not worth its waiting."""
_RISK_PRICE = 35.0
"""What losing every question would cost, in prices of the strong one."""
PRIOR = 30.0
"""Questions that the prior's expectation is worth against outcomes."""
_CAUTION = 0.5
_LEAST = 30
"""Questions without which nothing is chosen."""
_MOST_CHEAP = 6
"""Cheap voters that are tried, the cheapest ones, in groups of two to `_LARGEST`."""
_LARGEST = 4
_STRONG_WHERE_WRONG, _AGREEMENT_ALONE = 0.5, 0.35
"""For every agreement that is wrong: how many the strong one has right, and on how many other
questions the agreement alone is right. Means over the recordings of `benchmarks.measure`."""


class CascadeRow(NamedTuple):
    """Questions that were answered alike."""

    answers: tuple[Hashable | None, ...]
    """Of each voter, the strong one among them; None: it gave no answer."""
    right: frozenset[Hashable] | None = None
    """The right answers; None: not known."""
    usd: tuple[float, ...] = ()
    """What each call cost; empty: the average price of each."""
    times: float = 1.0
    """How many such questions there were."""


class Cascade(NamedTuple):
    """Whom to ask, and when to stop. Voters by number."""

    strong: int
    cheap: tuple[int, ...] = ()
    """In the order of asking; empty: the strong one is asked at once."""
    agreeing: int = 0
    """How many of them must give one answer, so that the strong one is not asked."""
    joins: float = 0.0
    """What the strong one's answer weighs beside those of the cheap, 1 each; 0: it decides."""

    @property
    def threshold(self) -> float:
        """The same as a share of the cheap voters, for a council's `threshold`.

        It is a little less than the exact share, so that rounding excludes nobody.
        """
        return round((self.agreeing - 0.05) / len(self.cheap), 3) if self.cheap else 1.0


class CascadeChoice(NamedTuple):
    """What was chosen, and what it stands on."""

    cascade: Cascade
    questions: float
    """That were looked at."""
    labelled: float
    """Of which the right answer was known."""
    gain: float
    """Accuracy above that of the strong one alone, as expected; 0..1, below 0 where it loses."""
    price: float
    """Of the strong one's price; 1 where it is asked at once."""
    escalated: float
    """Share of questions that the strong one is asked."""
    reason: str
    """Why nothing can be saved; empty where something is."""

    @property
    def saves(self) -> bool:
        """Whether a cascade is worth it."""
        return bool(self.cascade.cheap)

    def in_words(self, names: Sequence[str]) -> str:
        """What was chosen, in one sentence.

        Args:
            names: of the cheap voters in the order of asking, and last of the strong one.
        """
        *cheap, strong = names
        based = f"{self.questions:.0f} questions, {self.labelled:.0f} with a known answer"
        if not cheap:
            return f"Ask {strong} alone: {self.reason} ({based})."
        then = f"its answer counts {self.cascade.joins:g}" if self.cascade.joins else "it decides"
        return (
            f"Ask {', '.join(cheap)} first, in this order; unless {self.cascade.agreeing} of them "
            f"agree, {strong} is asked and {then}. Expected: {100 * self.price:.0f} % of the price "
            f"of {strong} alone, {100 * self.gain:+.1f} points ({based})."
        )


class CascadeRun(NamedTuple):
    """What a cascade does with a question."""

    answer: Hashable | None
    asked: tuple[int, ...]
    """Voters, in the order of asking."""
    overruled: bool
    """Whether the answer stands without the strong one's word, or against it."""


def run_cascade(cascade: Cascade, answers: Sequence[Hashable | None]) -> CascadeRun:
    """Play a cascade over the answers of all voters.

    The cheap ones are asked as few at a time as can settle whether enough agree; nobody is asked
    whose answer cannot change that. Where the strong one gives no answer, the vote of those who
    were asked stands.
    """
    votes: Counter[Hashable] = Counter()
    voters: list[int] = []
    while len(voters) < len(cascade.cheap):
        left = cascade.cheap[len(voters) :]
        size = settling_size([*votes.values()], [1.0] * len(left), cascade.agreeing)
        for voter in left[:size]:
            voters.append(voter)
            if (answer := answers[voter]) is not None:
                votes[answer] += 1
        leader, most = _leader(votes)
        if most >= cascade.agreeing:
            return CascadeRun(leader, tuple(voters), overruled=True)
        if most + len(cascade.cheap) - len(voters) < cascade.agreeing:
            break
    last = answers[cascade.strong]
    voters.append(cascade.strong)
    leader, most = _leader(votes)
    if last is None or (cascade.joins and most > cascade.joins + votes[last]):
        return CascadeRun(leader, tuple(voters), overruled=True)
    return CascadeRun(last, tuple(voters), overruled=False)


def settling_size(behind: Sequence[float], out: Sequence[float], line: float) -> int:
    """How many to ask next, so that nobody is asked in vain: fewer could settle nothing.

    It is settled whether cheap voters agree once an answer has enough weight behind it, or once no
    answer can have it any more.

    Args:
        behind: the weight behind each answer so far.
        out: the weights of those who have not been asked, in the order of asking.
        line: the weight that is enough.
    """
    most = max(behind, default=0.0)
    for size in range(1, len(out)):
        more, rest = out[:size], sum(out[size:])
        if most + sum(more) >= line or max(most, *more) + rest < line:
            return size
    return max(1, len(out))


def choose_cascade(
    rows: Iterable[CascadeRow],
    prices: Sequence[float | None],
    strong: int,
    *,
    type_: PriorType | None = None,
    kind: str = "",
) -> CascadeChoice:
    """Choose a cascade, or that the strong voter is asked at once.

    Args:
        rows: what all voters answered to the same questions, with or without gold answers.
        prices: the average price of a call of each; None: not known.
        strong: the number of the strong voter.
        type_: of the answers; choices are assumed where it is not known, of which agreement says
            least.
        kind: of question, a name of `prior.kind_name`.
    """
    listed = list(rows)
    number = sum(row.times for row in listed)
    labelled = sum(row.times for row in listed if row.right is not None)

    def ask_strong(reason: str) -> CascadeChoice:
        return CascadeChoice(Cascade(strong), number, labelled, 0.0, 1.0, 1.0, reason)

    dear = prices[strong]
    if not dear:
        return ask_strong("the strong model has no price, so nothing is known to be saved")
    priced = [(price, voter) for voter, price in enumerate(prices) if price is not None]
    cheap = [voter for price, voter in sorted(priced) if voter != strong and price < dear]
    if len(cheap) < 2:
        return ask_strong("fewer than two other models are known to be cheaper")
    if number < _LEAST:
        return ask_strong(f"{number:.0f} questions are too few to choose by; it takes {_LEAST}")
    beliefs = _beliefs(listed, strong, type_ or "choice", kind)
    least = 3 if labelled < _LEAST else 2
    tried = [
        (panel.estimate(cascade, beliefs), cascade)
        for size in range(2, _LARGEST + 1)
        for voters in combinations(cheap[:_MOST_CHEAP], size)
        for panel in [_Panel(listed, prices, voters, strong)]
        for cascade in _cascades(voters, strong, least)
    ]
    best = _best(tried)
    if isinstance(best, str):
        return ask_strong(best)
    expected_, cascade = best
    gain = expected_.won - expected_.lost
    return CascadeChoice(
        cascade, number, labelled, gain, expected_.price, expected_.escalated, reason=""
    )


def _best(tried: Sequence[tuple[_Estimate, Cascade]]) -> tuple[_Estimate, Cascade] | str:
    """The cascade of least price with its risk, or why there is none."""
    saving = [one for one in tried if one[0].price <= 1 - LEAST_SAVING]
    if not saving:
        return "asking cheaper models first saves too little"
    safe = [one for one in saving if one[0].is_safe]
    if not safe:
        return "whatever costs less is expected to lose more than half a point"
    best = min(safe, key=lambda one: one[0].with_risk)
    if best[0].with_risk >= 1:
        return "what could be saved is not worth what is expected to be lost"
    return best


class _Beliefs(NamedTuple):
    """What is expected where no gold answer says it."""

    strong: float
    """How often the strong voter is right."""
    type_: PriorType
    kind: str

    def agreement(self, answers: Sequence[Hashable | None], answer: Hashable) -> float:
        """How likely an answer is to be right, by how many of the cheap gave it."""
        counts = Counter(one for one in answers if one is not None)
        others = [number for one, number in counts.items() if one != answer]
        pattern = Pattern(len(answers), counts[answer], max(others, default=0), len(counts))
        return logistic(expected(shipped_prior(), pattern, self.type_, self.kind))


class _Estimate(NamedTuple):
    """What is expected of a cascade. Shares of the questions, and of the strong one's price."""

    lost: float
    won: float
    price: float
    escalated: float
    doubt: float
    """How much more may be lost than expected: `_CAUTION` standard deviations of the count."""

    @property
    def with_risk(self) -> float:
        """The price, with what may be lost priced in; 1: that of the strong one alone."""
        return self.price + _RISK_PRICE * self.lost

    @property
    def is_safe(self) -> bool:
        return self.lost + self.doubt - self.won <= MOST_LOSS and self.lost <= MOST_RISK


class _Panel:
    """Some cheap voters and the strong one, with the rows that look alike to them put together."""

    def __init__(
        self,
        rows: Sequence[CascadeRow],
        prices: Sequence[float | None],
        cheap: Sequence[int],
        strong: int,
    ) -> None:
        voters = (*cheap, strong)
        usual = [prices[voter] or 0.0 for voter in voters]
        self.voters = voters
        self.times: defaultdict[_Alike, float] = defaultdict(float)
        self.usd: dict[_Alike, list[float]] = {}
        for row in rows:
            key = _alike(row, voters)
            self.times[key] += row.times
            sums = self.usd.setdefault(key, [0.0] * len(voters))
            for at, voter in enumerate(voters):
                sums[at] += row.times * (row.usd[voter] if row.usd else usual[at])

    def estimate(self, cascade: Cascade, beliefs: _Beliefs) -> _Estimate:
        """What to expect of a cascade of these voters."""
        place = {voter: at for at, voter in enumerate(self.voters)}
        local = cascade._replace(
            strong=place[cascade.strong], cheap=tuple(place[one] for one in cascade.cheap)
        )
        cost = whole = escalated = standing = wrong = lost = won = 0.0
        for key, times in self.times.items():
            answers, right = key
            run = run_cascade(local, answers)
            cost += sum(self.usd[key][voter] for voter in run.asked)
            whole += self.usd[key][local.strong]
            escalated += times * (local.strong in run.asked)
            if not run.overruled or run.answer is None:
                continue
            chance = beliefs.agreement(answers[:-1], run.answer)
            worse, better = _compare(run.answer, answers[-1], right, chance, beliefs.strong)
            standing += times
            wrong += times * (1 - chance)
            lost += times * worse
            won += times * better
        number = sum(self.times.values())
        share = standing / (standing + PRIOR) / number
        likely = share * (lost + PRIOR * _STRONG_WHERE_WRONG * wrong / max(1e-9, standing))
        return _Estimate(
            lost=likely,
            won=share * (won + PRIOR * _AGREEMENT_ALONE * wrong / max(1e-9, standing)),
            price=cost / whole if whole else 1.0,
            escalated=escalated / number,
            doubt=_CAUTION * math.sqrt(likely / number),
        )


_Alike = tuple[tuple[int | None, ...], frozenset[int] | None]
"""Who of some voters gave the same answer, and which of the answers are right."""


def _alike(row: CascadeRow, voters: Sequence[int]) -> _Alike:
    names: dict[Hashable, int] = {}
    answers = [row.answers[voter] for voter in voters]
    numbered = tuple(None if one is None else names.setdefault(one, len(names)) for one in answers)
    if row.right is None:
        return numbered, None
    return numbered, frozenset(names[one] for one in row.right if one in names)


def _compare(
    answer: Hashable,
    strong: Hashable | None,
    right: frozenset[int] | None,
    chance: float,
    strong_rate: float,
) -> tuple[float, float]:
    """How likely the strong one alone is right and the answer wrong, and the other way round."""
    if right is not None:
        return float(strong in right and answer not in right), float(
            answer in right and strong not in right
        )
    if strong is None:
        return 0.0, chance
    if strong == answer:
        return 0.0, 0.0
    worse, better = strong_rate * (1 - chance), chance * (1 - strong_rate)
    return worse / (worse + better + (1 - chance) * (1 - strong_rate)), 0.0


def _beliefs(rows: Sequence[CascadeRow], strong: int, type_: PriorType, kind: str) -> _Beliefs:
    counts: Counter[Row] = Counter()
    right = outcomes = 0.0
    for row in rows:
        counts[row.answers] += row.times  # type: ignore[assignment]  # faded counts are fractions
        if row.right is not None:
            outcomes += row.times
            right += row.times * (row.answers[strong] in row.right)
    rate = measure_agreement(counts).rates[strong]
    return _Beliefs((PRIOR * rate + right) / (PRIOR + outcomes), type_, kind)


def _cascades(cheap: tuple[int, ...], strong: int, least: int) -> Iterator[Cascade]:
    """Every cascade of these cheap voters in which more than half of them must agree.

    A strong one that joins is outvoted by two answers, or three, that agree against it.

    Args:
        cheap: in the order of asking.
        strong: the strong voter.
        least: how many must agree at least.
    """
    for agreeing in range(max(least, len(cheap) // 2 + 1), len(cheap) + 1):
        yield Cascade(strong, cheap, agreeing)
        for outvoting in range(2, agreeing):
            yield Cascade(strong, cheap, agreeing, joins=outvoting - 0.5)


def _leader(votes: Mapping[Hashable, int]) -> tuple[Hashable | None, int]:
    """The answer of most voters, and how many they are; of several the first."""
    most = max(votes.values(), default=0)
    return next((one for one, number in votes.items() if number == most), None), most
