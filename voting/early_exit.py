"""When to stop asking: rules that end a vote before everybody has answered.

Ask in waves, the cheapest voters first, and after each wave ask a rule whether to go on. A rule
is a function of the weight behind each answer so far and of the weights still out; it returns
True to stop.

- `lossless`, `lossless_in_order` and `is_settled`: nothing that is out can change the leader. They
  cost no accuracy. `is_settled` knows how ties are broken, so it is the one that councils use.
- `beta` and `dirichlet`: the leader is probably the majority of an endless vote. They pay off in
  large panels only: at 95 % `beta` needs 4 to 0, so in a panel of seven it stops no earlier than
  `lossless`, and a panel of three can never stop by it.

Source of the last two: P. Aggarwal, A. Madaan, Y. Yang, Mausam, "Let's Sample Step by Step:
Adaptive-Consistency for Efficient Reasoning and Coding with LLMs", EMNLP 2023.

Whether enough have been asked: the stopping rules of a council, over what was said so far.

The rules stand by themselves first; then they meet a council's settings. Pure: the graph asks after
every wave, and while a wave is under way whenever somebody has answered.
"""

from __future__ import annotations

import functools
import math
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

from mom_council.records import AnswerKind, Ballot, Proposal
from mom_council.voting.counting import agreed, build_tally, count, group_answers
from mom_council.voting.methods import METHODS
from mom_council.voting.methods.base import AnswerGroup, Number, exact, total

if TYPE_CHECKING:
    from mom_council.councils.schema import Deliberation

Place = tuple[bool, int]
"""Whether the option's replies all broke off, and the place of the first voter behind it."""
Exit = Callable[[Mapping[Hashable, Number], Sequence[float]], bool]
"""(weight behind each answer so far, weights still out) -> whether to stop asking."""


def lossless(votes: Mapping[Hashable, Number], out: Sequence[float]) -> bool:
    """Whether the leader stays ahead if all who are out agree on another answer.

    A lead that could end level is not enough, since a tie may be broken either way.
    """
    if not out:
        return True
    first, second = _first_two(votes)
    return first - second > total(out)


def lossless_in_order(votes: Mapping[Hashable, Number], out: Sequence[float]) -> bool:
    """The same for a vote whose ties go to the answer that was given first, in the order of asking.

    Ending level is enough then against answers that came later, and against those yet to come.
    It stops a little earlier than `lossless`, and the winner is that of this vote, always.
    """
    if not out:
        return True
    if not votes:
        return False
    rest = total(out)
    most = max(votes.values())
    led = False
    for number in votes.values():
        if not led and number == most:
            led = True
        elif number + rest > most or (number + rest == most and not led):
            return False
    return rest <= most


def is_settled(
    votes: Mapping[Hashable, Number], places: Mapping[Hashable, Place], out: Mapping[int, float]
) -> bool:
    """Whether nobody who is out can change the leader, of a vote whose ties go by place.

    Of options that end level, the one with the first place leads; an option's place is that of the
    first voter behind it. Who is out may give any answer, or none.

    Args:
        votes: the weight behind each option so far.
        places: of each option.
        out: place of each voter that is out -> its weight.
    """
    if not out:
        return True
    if not votes:
        return False
    rest, first = total(out.values()), (False, min(out))
    leader = min(votes, key=lambda option: (-votes[option], places[option]))
    most, place = votes[leader], places[leader]
    if rest > most or (rest == most and first < place):
        return False
    for option, number in votes.items():
        if option == leader:
            continue
        best = min(first, places[option])
        if number + rest > most or (number + rest == most and best < place):
            return False
    return True


def beta(confidence: float = 0.95) -> Exit:
    """Stop when the first is probably more frequent than the second, by votes of weight 1 each.

    With v1 and v2 votes and a flat prior that is Pr[Bin(v1 + v2 + 1, 1/2) <= v1] >= confidence.
    """

    def stop(votes: Mapping[Hashable, Number], out: Sequence[float]) -> bool:
        first, second = (int(number) for number in _first_two(votes))
        tosses = first + second + 1
        ways = sum(math.comb(tosses, heads) for heads in range(first + 1))
        return not out or ways >= confidence * 2**tosses

    return stop


def dirichlet(confidence: float = 0.95) -> Exit:
    """Stop when the first is probably the most frequent of all answers seen; see `most_likely`."""

    def stop(votes: Mapping[Hashable, Number], out: Sequence[float]) -> bool:
        if not out or not votes:
            return not out
        return most_likely([float(number) for number in votes.values()]) >= confidence

    return stop


def most_likely(votes: Sequence[float], steps: int = 2000) -> float:
    """The probability that the most frequent answer so far is the most frequent in truth.

    Args:
        votes: how often each answer was given; whole numbers, at least one. One answer alone is
            compared with another that nobody has given yet.
        steps: of the integral; a rule of the trapezium, good to three digits.

    Shares are drawn from Dirichlet(votes + 1), that is as gammas in proportion; the gamma of the
    leader has to be the greatest, which is one integral over its value.
    """
    ordered = sorted((int(number) for number in votes), reverse=True)
    return _most_likely(tuple([*ordered, 0] if len(ordered) == 1 else ordered), steps)


@functools.lru_cache(maxsize=4096)
def _most_likely(ordered: tuple[int, ...], steps: int) -> float:
    first, *others = ordered
    top = first + 1 + 12 * math.sqrt(first + 1) + 12
    width = top / steps
    total = 0.0
    for step in range(1, steps):
        at = step * width
        density = math.exp(first * math.log(at) - at - math.lgamma(first + 1))
        total += density * math.prod(_gamma_below(other, at) for other in others)
    return min(1.0, total * width + (width / 2 if first == 0 else 0.0))


def calls_until_stop(
    answers: Sequence[Hashable | None],
    stop: Exit = lossless,
    *,
    weights: Sequence[float] | None = None,
    waves: Iterable[int] | None = None,
) -> int:
    """How many voters are asked before a rule stops the vote, given what each would answer.

    Args:
        answers: in the order of asking, cheapest first; None is an abstention.
        stop: the rule, asked after every wave.
        weights: of the voters; 1 each if left out.
        waves: how many are asked at a time; one by one if left out, and after the last wave.
    """
    weights = [1.0] * len(answers) if weights is None else weights
    sizes = iter(waves or ())
    votes: dict[Hashable, Number] = {}
    done = 0
    while done < len(answers):
        end = min(len(answers), done + max(1, next(sizes, 1)))
        for answer, weight in zip(answers[done:end], weights[done:end], strict=True):
            if answer is not None:
                votes[answer] = votes.get(answer, 0) + exact(weight)
        done = end
        if stop(votes, weights[done:]):
            break
    return done


def _first_two(votes: Mapping[Hashable, Number]) -> tuple[Number, Number]:
    first, second, *_ = [*sorted(votes.values(), reverse=True), 0, 0]
    return first, second


def _gamma_below(shape: int, at: float) -> float:
    """The probability that a gamma variable of shape `shape` + 1 is below `at`."""
    term = total = 1.0
    for step in range(1, shape + 1):
        term *= at / step
        total += term
    return max(0.0, 1.0 - math.exp(-at) * total)


SURE = 0.95
EXACT = ("lossless", "calibrated")
"""Rules that never change the winner. `calibrated` is how older council files write `lossless`: it
stopped by plain odds, asked nearly everybody, and was worse than the leader of the learned vote."""


def enough(
    rules: Deliberation,
    spoken: Sequence[Proposal],
    *,
    weights: Mapping[str, float],
    out: Mapping[str, float],
    kind: AnswerKind = "unknown",
    order: Sequence[str] = (),
    last: bool = True,
) -> bool:
    """Whether the council's rule lets it do without those who are out.

    Args:
        rules: the council's.
        spoken: what was proposed.
        weights: of everybody who was asked, with or without an answer yet.
        out: everybody who has not answered, and may; and their weights.
        kind: of the question's answer.
        order: everybody, in the order that breaks ties; who spoke and then who is out, if left out.
        last: no round follows; otherwise `lossless` must not change whether one follows either.
    """
    if rules.stop == "all" or not out or not spoken:
        return False
    groups = [group for group in group_answers(spoken, kind=kind) if not group.silent]
    if not groups:
        return False
    votes: dict[Hashable, Number] = {at: group.weight for at, group in enumerate(groups)}
    rest = [*out.values()]
    if rules.stop in EXACT:
        place = _places(order, spoken, out)
        first: dict[Hashable, Place] = {
            at: _place_of(group, place) for at, group in enumerate(groups)
        }
        is_final = is_settled(votes, first, {place[name]: out[name] for name in out})
        return is_final and (last or _agreement_stays(votes, rest, rules.threshold))
    if rules.stop == "threshold":
        best = max(groups, key=lambda group: group.weight)
        line = exact(rules.threshold) * total(weights.values())
        return best.answer is not None and len(best.members) > 1 and best.weight >= line
    stating = [group for group in groups if group.answer is not None]
    if not stating:
        return False
    heads: dict[Hashable, Number] = {at: len(group.members) for at, group in enumerate(stating)}
    rule = beta if rules.stop == "beta" else dirichlet
    return rule(rules.sure or SURE)(heads, rest)


def enough_ballots(
    rules: Deliberation,
    proposals: Sequence[Proposal],
    ballots: Sequence[Ballot],
    *,
    out: Mapping[str, float],
    kind: AnswerKind = "unknown",
) -> bool:
    """Whether the ballots that are in are enough by a rule that may stop before it is decided.

    Args:
        rules: the council's; `lossless` is `counting.is_decided`, and never True here.
        proposals: what was voted on.
        ballots: that are in.
        out: voters whose ballots are not, and their weights.
        kind: of the question's answer.
    """
    if rules.stop == "threshold":
        # Of all who were asked: silence is no agreement.
        weight = total(ballot.weight for ballot in ballots)
        verdict = count(proposals, ballots, method=rules.method, kind=kind)
        whole = weight + total(out.values())
        return agreed(verdict, rules.threshold) and bool(
            whole and verdict.share * float(weight) >= rules.threshold * float(whole) - 1e-9
        )
    if rules.stop in ("beta", "dirichlet"):
        tally, _ = build_tally(proposals, ballots, kind=kind, method=METHODS[rules.method])
        heads: Counter[Hashable] = Counter(
            tally.option_of[ballot.choice] for ballot in tally.ballots if ballot.choice
        )
        rule = beta if rules.stop == "beta" else dirichlet
        return bool(heads and out) and rule(rules.sure or SURE)(heads, [*out.values()])
    return False


def next_size(
    spoken: Sequence[Proposal], out: Sequence[tuple[str, float]], *, kind: AnswerKind = "unknown"
) -> int:
    """How many to ask next so that nobody is asked in vain: fewer could settle nothing.

    That is the least number whose agreement with one of the answers so far (or with each other)
    would settle the vote. Asking so many at a time does without as many calls as asking one by one.

    Args:
        spoken: what was proposed so far, in the order that breaks ties.
        out: who has not been asked, in the order of asking, and their weights.
        kind: of the question's answer.
    """
    groups = [group for group in group_answers(spoken, kind=kind) if not group.silent]
    votes: dict[Hashable, Number] = {at: group.weight for at, group in enumerate(groups)}
    places: dict[Hashable, Place] = {at: (group.broken_off, at) for at, group in enumerate(groups)}
    new, behind = len(groups), len(spoken)
    for size in range(1, len(out)):
        more = total(weight for _, weight in out[:size])
        rest = {behind + at: weight for at, (_, weight) in enumerate(out) if at >= size}
        for option in (*range(len(groups)), new):
            joined = {**votes, option: votes.get(option, 0) + more}
            if is_settled(joined, {**places, new: (False, behind)}, rest):
                return size
    return max(1, len(out))


def _places(
    order: Sequence[str], spoken: Sequence[Proposal], out: Mapping[str, float]
) -> dict[str, int]:
    """Character -> its place among those who break ties."""
    names = dict.fromkeys([*order, *(each.character for each in spoken), *out])
    return {name: at for at, name in enumerate(names)}


def _place_of(group: AnswerGroup, place: Mapping[str, int]) -> Place:
    return group.broken_off, min(place[name] for name in group.members)


def _agreement_stays(
    votes: Mapping[Hashable, Number], out: Sequence[float], threshold: float
) -> bool:
    """Whether those who are out cannot change whether the leader's share reaches the threshold."""
    first, *others = sorted(votes.values(), reverse=True)
    rest, line = total(out), exact(threshold)
    whole = sum(votes.values()) + rest
    if not whole:
        return False
    stays = Fraction(first) / whole >= line and first - max(others, default=0) > rest
    return stays or Fraction(first + rest) / whole < line
