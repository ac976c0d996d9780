"""Whether enough have been asked: the stopping rules of a council, over what was said so far.

`exits` has the rules by themselves; here they meet a council's settings. Pure: the graph asks after
every wave, and while a wave is under way whenever somebody has answered.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from fractions import Fraction

from mom_council.councils.records import AnswerKind, Ballot, Proposal
from mom_council.councils.schema import Deliberation
from mom_council.councils.voting.base import Group, Number, exact
from mom_council.councils.voting.counting import agreed, count
from mom_council.councils.voting.exits import beta, dirichlet, lossless, lossless_in_order
from mom_council.councils.voting.fitted import Trust, confidence
from mom_council.councils.voting.table import lay, merge

SURE = 0.95


def enough(
    rules: Deliberation,
    spoken: Sequence[Proposal],
    *,
    asked: Mapping[str, float],
    out: Mapping[str, float],
    kind: AnswerKind = "unknown",
    trust: Trust | None = None,
    in_order: bool = True,
    last: bool = True,
) -> bool:
    """Whether the council's rule lets it do without those who are out.

    Args:
        rules: the council's.
        spoken: what was proposed, in the order of asking.
        asked: everybody who was asked, with or without an answer yet, and their weights.
        out: everybody who has not answered, and may; and their weights.
        kind: of the question's answer.
        trust: what is known of the voices, for the rule `calibrated`.
        in_order: those who are out come after all who spoke in the order of asking, so that ties
            go against them.
        last: no round follows; otherwise `lossless` must not change whether one follows either.
    """
    if rules.stop == "all" or not out or not spoken:
        return False
    groups = merge(spoken, kind=kind)
    votes: dict[Hashable, Number] = {at: group.weight for at, group in enumerate(groups)}
    rest = [*out.values()]
    if rules.stop == "lossless":
        exit_ = lossless_in_order if in_order else lossless
        return exit_(votes, rest) and (last or _agreement_stays(votes, rest, rules.threshold))
    if rules.stop == "threshold":
        best = max(groups, key=lambda group: group.weight)
        line = exact(rules.threshold) * sum(exact(weight) for weight in asked.values())
        return best.answer is not None and len(best.members) > 1 and best.weight >= line
    told = [group for group in groups if group.answer is not None]
    if not told:
        return False
    if rules.stop == "calibrated":
        done: dict[str, str | None] = {name: None for name in asked if name not in out}
        return trust is not None and _sure_enough(rules, told, done, trust)
    heads: dict[Hashable, Number] = {at: len(group.members) for at, group in enumerate(told)}
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
        weight = sum(exact(ballot.weight) for ballot in ballots)
        verdict = count(proposals, ballots, method=rules.method, kind=kind)
        whole = weight + sum(exact(one) for one in out.values())
        return agreed(verdict, rules.threshold) and bool(
            whole and verdict.share * float(weight) >= rules.threshold * float(whole) - 1e-9
        )
    if rules.stop in ("beta", "dirichlet") and rules.method == "plurality":
        table, _ = lay(proposals, ballots, kind=kind, method=rules.method)
        heads: Counter[Hashable] = Counter(
            table.option_of[ballot.choice] for ballot in table.ballots if ballot.choice
        )
        rule = beta if rules.stop == "beta" else dirichlet
        return bool(heads and out) and rule(rules.sure or SURE)(heads, [*out.values()])
    return False


def sure_at(rules: Deliberation, trust: Trust) -> float | None:
    """The probability that the rule `calibrated` stops at; None where it never does."""
    if rules.sure is not None:
        return rules.sure
    return trust.fitted.threshold if trust.fitted is not None else SURE


def _sure_enough(
    rules: Deliberation, told: Sequence[Group], done: Mapping[str, str | None], trust: Trust
) -> bool:
    line = sure_at(rules, trust)
    said = {**done} | {name: group.answer for group in told for name in group.members}
    best = max(told, key=lambda group: group.weight)
    chance, _ = confidence(trust, said, str(best.answer))
    return line is not None and chance is not None and chance >= line


def _agreement_stays(
    votes: Mapping[Hashable, Number], out: Sequence[float], threshold: float
) -> bool:
    """Whether those who are out cannot change whether the leader's share reaches the threshold."""
    first, *others = sorted(votes.values(), reverse=True)
    rest, line = sum(exact(weight) for weight in out), exact(threshold)
    whole = sum(votes.values()) + rest
    if not whole:
        return False
    stays = Fraction(first) / whole >= line and first - max(others, default=0) > rest
    return stays or Fraction(first + rest) / whole < line
