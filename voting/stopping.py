"""When a council stops deliberating, and why, in one plain sentence.

Stopping early is worth having: stopping at 80 % agreement kept the accuracy of three rounds of
debate at half the calls, and agreement that more debate adds is agreement that means less.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from mom_council.records import AnswerKind, Proposal, StopReason, Verdict
from mom_council.voting.counting import agreed, answer_of, as_written
from mom_council.voting.methods import METHODS
from mom_council.voting.methods.base import VoteMethod
from mom_council.voting.prior import in_tenths

if TYPE_CHECKING:
    from mom_council.councils.schema import Deliberation


def why_stop(
    verdicts: Sequence[Verdict],
    deliberation: Deliberation,
    *,
    proposals: Sequence[Proposal] = (),
    previous: Sequence[Proposal] = (),
    kind: AnswerKind = "unknown",
    out: int = 0,
    budget_spent: bool = False,
    too_hot: bool = False,
) -> StopReason | None:
    """Why the council stops after this round; None if another round follows.

    The first that holds, in this order: `budget` and `heat`, at once; then, once `rounds.min` are
    over, `single`, `unvoted`, `sure`, `decided`, `agreed`, `no_ballots`, `stalled`, `rounds`.

    Args:
        verdicts: of the rounds so far, this one last.
        deliberation: the council's rules.
        proposals: of this round.
        previous: of the round before.
        kind: of the question's answer, for comparing the two.
        out: how many ballots of this round were not waited for.
        budget_spent: the question's budget is spent.
        too_hot: the thermal watch says stop.

    Raises:
        ValueError: there is no verdict yet.
    """
    if not verdicts:
        raise ValueError("verdicts is empty; count a round before asking whether to stop")
    if budget_spent or too_hot:
        return "budget" if budget_spent else "heat"
    if len(verdicts) < deliberation.rounds.min:
        return None
    verdict = verdicts[-1]
    if (alone := _needs_no_count(verdict)) is not None:
        return alone
    over = len(verdicts) >= deliberation.rounds.max
    reached = agreed(verdict, deliberation.threshold)
    if verdict.spared and deliberation.stop in ("beta", "dirichlet"):
        return "sure"
    # Ballots are left out only where they cannot matter: to the leader, or to the agreement too.
    if out and verdict.decided and (reached or over):
        return "decided"
    if reached:
        return "agreed"
    before = verdicts[-2] if len(verdicts) > 1 else None
    if _silent(verdict) and (over or (before is not None and _silent(before))):
        return "no_ballots"
    if over:
        return "rounds"
    again = before is not None and repeats(before, verdict, previous, proposals, kind=kind)
    return "stalled" if again else None


def _needs_no_count(verdict: Verdict) -> StopReason | None:
    if sum(len(option.members) for option in verdict.options) == 1:
        return "single"
    method = _method_of(verdict)
    return "unvoted" if method is not None and method.counts_nothing else None


def repeats(
    before: Verdict,
    now: Verdict,
    previous: Sequence[Proposal] = (),
    proposals: Sequence[Proposal] = (),
    *,
    kind: AnswerKind = "unknown",
) -> bool:
    """Whether a round only repeated the one before: same leader, same options, same tallies.

    Options are compared by what they say, or else by who stands behind them.
    """
    if before.method != now.method or _silent(now):
        return False
    by_members = _by_members(before) == _by_members(now)
    return by_members or _by_words(before, previous, kind) == _by_words(now, proposals, kind)


def explain(
    verdict: Verdict, deliberation: Deliberation, proposals: Sequence[Proposal] = ()
) -> str:
    """Why the council stopped where it did, as one sentence for people.

    For example: "2 of 3 chose '42' (67 %, needed 70 %); no rounds were left". Answers stand there
    as the `proposals` wrote them; without these as they were counted.
    """
    if verdict.stop_reason == "single":
        return "there was one proposal, so there was nothing to vote on"
    if verdict.stop_reason == "unvoted" or METHODS[verdict.method].counts_nothing:
        return "the council does not vote; every proposal went to the synthesizer"
    if not verdict.options:
        return f"there was nothing to count{_because(verdict)}"
    if verdict.leader is None:
        return f"every reply declines or does not know{_because(verdict)}"
    texts = {proposal.character: proposal.text for proposal in proposals}
    text = _against_line(_support(verdict, texts), verdict, deliberation.threshold)
    if verdict.tie:
        text += ", tied, and put first by the weight behind it, then by seat"
    if verdict.abstained:
        text += f"; {verdict.abstained} abstained"
    return text + _because(verdict) + _without(verdict)


def describe_confidence(verdict: Verdict) -> str:
    """How likely the leading answer is right, in words; empty where nothing is known.

    For example: "4 of 5 agree: right about 9 times in 10 on questions of this kind".
    """
    if verdict.confidence is None:
        return ""
    if verdict.interval is None:  # fitted to this panel
        learned = f" (learned from {verdict.basis})" if verdict.basis else ""
        return f"{100 * verdict.confidence:.0f} % likely to be right{learned}"
    voices = sum(len(option.members) for option in verdict.options)
    often = in_tenths(verdict.confidence)
    leading = len(verdict.options[0].members)
    agree = f"{leading} of {voices} agree" if leading > 1 else f"all {voices} differ"
    return f"{agree}: right {often} on questions of this kind"


_BECAUSE: dict[StopReason, str] = {
    "decided": "; no ballot still out could change that",
    "sure": "; that was sure enough to stop asking",
    "agreed": "",
    "stalled": "; another round would have repeated this one",
    "rounds": "; no rounds were left",
    "budget": "; the budget was spent",
    "heat": "; the hardware was too hot to go on",
    "no_ballots": "; nobody cast a ballot that could be counted",
}


def _without(verdict: Verdict) -> str:
    """How many were not needed, and how sure the leader is."""
    text = f"; {verdict.spared} did not have to answer" if verdict.spared else ""
    sure = describe_confidence(verdict)
    return f"{text}; {sure}" if sure else text


def _because(verdict: Verdict) -> str:
    if verdict.stop_reason == "decided" and verdict.spared:
        return "; whatever the others said, that would stay"
    return "" if verdict.stop_reason is None else _BECAUSE.get(verdict.stop_reason, "")


def _support(verdict: Verdict, texts: Mapping[str, str]) -> str:
    best, method = verdict.options[0], METHODS[verdict.method]
    name = verdict.leader or best.members[0]
    if best.answer is None:
        leader = f"{name}' answer" if name.endswith("s") else f"{name}'s answer"
    else:
        leader = repr(as_written(best.display_answer, texts.get(best.members[0])))
    if method.asks_voters and not verdict.ballots:
        return f"{leader} stands first without a ballot"
    return method.describe(verdict, leader)


def _against_line(support: str, verdict: Verdict, threshold: float) -> str:
    """How the leader stands, beside the share that it needed."""
    if agreed(verdict, threshold) or verdict.share < threshold:
        line = f"needed {100 * threshold:.0f} %"
        return f"{support[:-1]}, {line})" if support.endswith(")") else f"{support} ({line})"
    if verdict.asked > verdict.ballots:
        few = f"only {verdict.ballots} of the {verdict.asked} who were asked voted for anybody"
        return f"{support}, but {few}"
    return support


def _method_of(verdict: Verdict) -> VoteMethod | None:
    """How it was counted; None: by a package that is not installed any more."""
    try:
        return METHODS[verdict.method]
    except KeyError:
        return None


def _silent(verdict: Verdict) -> bool:
    method = _method_of(verdict)
    return method is not None and method.asks_voters and verdict.ballots == 0


def _by_members(verdict: Verdict) -> tuple[object, ...]:
    tallies = {(option.members, round(option.tally, 9)) for option in verdict.options}
    return verdict.leader, frozenset(tallies)


def _by_words(
    verdict: Verdict, proposals: Sequence[Proposal], kind: AnswerKind
) -> tuple[object, ...]:
    last = {proposal.character: proposal for proposal in proposals}

    def words(name: str) -> str:
        proposal = last.get(name, Proposal(character=name, text=name))
        return answer_of(proposal, kind).form or " ".join(proposal.text.split()).casefold()

    options = sorted(
        (option.answer or words(option.members[0]), round(option.tally, 9))
        for option in verdict.options
    )
    return (verdict.options[0].answer or words(verdict.options[0].members[0]), tuple(options))
