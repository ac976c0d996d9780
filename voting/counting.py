"""From proposals and ballots to the tally that methods count, and to the verdict of a round.

Proposals of equal answer become one option, so that clones neither split a vote nor win one by
number; texts that are word for word the same are always one option. A reply that broke off has no
answer that could be counted, and what answers nothing never leads. Methods that read more than
answers prepare the options further first. A ballot for any member counts for the option. Nobody
votes for itself: a ballot that names only its voter is an abstention.

Code counts, no model counts.
"""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Iterable, Mapping, Sequence, Set

from mom_council.records import AnswerKind, Ballot, Option, Proposal, Verdict
from mom_council.voting.likeness import Measure
from mom_council.voting.methods import METHODS
from mom_council.voting.methods.base import AnswerGroup, Standing, Tally, VoteMethod, exact, total
from mom_council.voting.reading import Answer, group_equal, is_refusal, read_answer
from mom_council.voting.reading.answer import NO_ANSWER, equality_takes_long


def build_tally(
    proposals: Sequence[Proposal],
    ballots: Sequence[Ballot],
    *,
    kind: AnswerKind = "unknown",
    method: VoteMethod | None = None,
    measure: Measure | None = None,
) -> tuple[Tally, int]:
    """The tally, and how many ballots abstained.

    Args:
        proposals: in seat order; of several by one character the last counts, in its first seat.
        ballots: of this round; of several by one voter the last counts.
        kind: `open` questions have no equal answers; only refusals and the same words are merged.
        method: that will count; some of them need more than answers.
        measure: how `similarity` compares texts; by their words if left out.
    """
    options = group_answers(proposals, kind=kind)
    last = {each.character: each for each in proposals}
    if method is not None:
        options = method.prepare(options, last, measure)
    option_of = {name: at for at, group in enumerate(options) for name in group.members}
    silent = {name for group in options if group.silent for name in group.members}
    cast = list({ballot.voter: ballot for ballot in ballots}.values())
    valid = [_valid(ballot, option_of.keys() - silent) for ballot in cast]
    valid = [ballot for ballot in valid if not ballot.abstained]
    return Tally(tuple(options), tuple(valid), option_of), len(cast) - len(valid)


def group_answers(
    proposals: Sequence[Proposal], *, kind: AnswerKind = "unknown"
) -> list[AnswerGroup]:
    """The options of a vote, in the seat order of their first members."""
    standing = list({each.character: each for each in proposals}.values())
    answers = [answer_of(each, kind) for each in standing]
    together = [(places, answers[places[0]].form) for places in group_equal(answers)]
    others: dict[tuple[str, str], list[int]] = {}
    for at, proposal in enumerate(standing):
        if not answers[at]:
            others.setdefault(_kind_of(proposal, kind), []).append(at)
    together += [(places, None) for places in others.values()]
    silent = set(others.get(_SILENT, ()))
    return [
        AnswerGroup(
            members=tuple(standing[at].character for at in places),
            weight=total(standing[at].weight for at in places),
            answer=form,
            silent=places[0] in silent,
            broken_off=standing[places[0]].truncated,
        )
        for places, form in sorted(together, key=lambda group: group[0])
    ]


async def compare_off_the_loop(
    proposals: Sequence[Proposal], *, kind: AnswerKind = "unknown"
) -> None:
    """Compare answers in a thread where a computer algebra system is needed for it.

    What it says is remembered, so the count that follows on the event loop knows it.
    """
    if equality_takes_long([answer_of(each, kind) for each in proposals]):
        await asyncio.to_thread(group_answers, proposals, kind=kind)


_SILENT = ("silent", "")


def answer_of(proposal: Proposal, kind: AnswerKind = "unknown") -> Answer:
    """The answer of a proposal; none of one that broke off: its last words are not its answer."""
    if proposal.truncated:
        return NO_ANSWER
    return read_answer(proposal.counts_as or proposal.text, kind=kind, options=proposal.options)


def _kind_of(proposal: Proposal, kind: AnswerKind) -> tuple[str, str]:
    """What a proposal without a short answer is counted with."""
    if proposal.truncated:
        return "broken off", proposal.character
    if is_refusal(proposal.text) or answer_of(proposal, kind).type == "no answer":
        return _SILENT
    return "words", " ".join((proposal.counts_as or proposal.text).split()).casefold()


def _valid(ballot: Ballot, candidates: Set[str]) -> Ballot:
    """The ballot without its voter's own name, without strangers, without impossible scores."""

    def fine(name: str | None) -> bool:
        return name in candidates and name != ballot.voter

    return ballot.model_copy(
        update={
            "choice": ballot.choice if fine(ballot.choice) else None,
            "ranking": tuple(filter(fine, ballot.ranking)),
            "approved": tuple(filter(fine, ballot.approved)),
            "scores": {
                name: points
                for name, points in ballot.scores.items()
                if fine(name) and math.isfinite(points) and 0 <= points <= 10
            },
        }
    )


def count(
    proposals: Sequence[Proposal],
    ballots: Sequence[Ballot] = (),
    *,
    method: str,
    kind: AnswerKind = "unknown",
    out: Mapping[str, float] | None = None,
    threshold: float | None = None,
    measure: Measure | None = None,
) -> Verdict:
    """Count a round.

    Options of equal standing are ordered by the weight of the proposals behind them, then by
    seat; where that settled the lead, `tie` says so. With no ballot at all, the lead is therefore
    that of the answer with most weight behind it, with share 0.

    Args:
        proposals: of the round, in seat order.
        ballots: those that are in. Abstentions count neither for nor against.
        method: a key of `METHODS`; under `none` nobody leads.
        kind: what sort of answer the question asks for.
        out: voters (under `answers`: characters) that may still come in, and their weights.
        threshold: if given, `decided` also demands that what is out cannot change whether the
            leader has agreement; without it, only that the leader stays.
        measure: how `similarity` compares texts; by their words if left out.

    Raises:
        KeyError: there is no such method.
    """
    out = out or {}
    number = max((proposal.round for proposal in proposals), default=1)
    counting = METHODS[method]
    if counting.counts_nothing:
        tally, _ = build_tally(proposals, (), kind=kind)
        options = tuple(Option(members=each.members, answer=each.answer) for each in tally.options)
        return Verdict(method=method, round=number, options=options)
    countable = _countable(ballots, counting)
    tally, abstained = build_tally(
        proposals, countable, kind=kind, method=counting, measure=measure
    )
    if not tally.options:
        return Verdict(method=method, round=number, abstained=abstained)
    standings = counting.standings(tally)
    order = ranked(tally, standings)
    best = order[0]
    if tally.options[best].silent:
        options = tuple(_option(group, Standing(0, 0, 0), proposals) for group in tally.options)
        return Verdict(method=method, round=number, options=options, abstained=abstained)
    rival = next((at for at in order[1:] if not tally.options[at].silent), None)
    return Verdict(
        method=method,
        round=number,
        options=tuple(_option(tally.options[at], standings[at], proposals) for at in order),
        leader=_spokesman(tally, best, proposals),
        share=float(standings[best].share),
        decided=_is_settled(tally, standings, order, counting, out, threshold),
        tie=rival is not None and standings[rival].value == standings[best].value,
        ballots=len(tally.ballots),
        abstained=abstained,
    )


def is_decided(
    proposals: Sequence[Proposal],
    ballots: Sequence[Ballot] = (),
    *,
    method: str,
    out: Mapping[str, float],
    kind: AnswerKind = "unknown",
    threshold: float | None = None,
) -> bool:
    """Whether no completion of what is out can change the leading option (lossless).

    Those who are out may vote in any way, or not at all. Exact for plurality and approval; for
    `answers` exact but for ties, which a late proposal may win by its seat; for the others never
    wrongly True. With `threshold`, the agreement must be beyond change as well: that is the test
    for cancelling voters while further rounds are left.

    Raises:
        KeyError: there is no such method.
    """
    verdict = count(proposals, ballots, method=method, kind=kind, out=out, threshold=threshold)
    return verdict.decided


def agreed(verdict: Verdict, threshold: float) -> bool:
    """Whether the leader's share of all who were asked reaches the threshold.

    A broken tie is no agreement, and neither is one ballot of three: who was asked for a ballot
    and cast none that counts does not agree.
    """
    share = verdict.share
    if verdict.asked > verdict.ballots:
        share *= verdict.ballots / verdict.asked
    return bool(verdict.leader) and not verdict.tie and share >= threshold - 1e-12


def missing(ballots: Iterable[Ballot], voters: Iterable[str]) -> tuple[str, ...]:
    """The voters of whom there is no ballot, in their order."""
    cast = {ballot.voter for ballot in ballots}
    return tuple(voter for voter in voters if voter not in cast)


def ranked(tally: Tally, standings: Sequence[Standing]) -> list[int]:
    """The options, best first: by standing, then by the weight behind them, then by seat.

    Those that answer nothing come last.
    """
    keys = [
        (group.silent, -standing.value, group.broken_off, -group.weight)
        for standing, group in zip(standings, tally.options, strict=True)
    ]
    return sorted(range(len(keys)), key=lambda at: keys[at])


def _is_settled(
    tally: Tally,
    standings: Sequence[Standing],
    order: Sequence[int],
    method: VoteMethod,
    out: Mapping[str, float],
    threshold: float | None,
) -> bool:
    if not out:
        return True
    if not method.asks_voters:
        # Those who are out may say what nobody has said yet.
        tally = Tally((*tally.options, AnswerGroup((), 0)), tally.ballots, tally.option_of)
        order = [*order, len(tally.options) - 1]
    order = [at for at in order if not tally.options[at].silent]
    best = order[0]
    leads = [method.lead(tally, best, rival, out) for rival in order[1:]]
    # Level with a rival, the weight behind the options and their seats decide, as they do now.
    if any(
        lead < 0 or (lead == 0 and _outranks(tally, rival, best))
        for lead, rival in zip(leads, order[1:], strict=True)
    ):
        return False
    if threshold is None:
        return True
    low, high = method.shares(tally, best, out)
    line = exact(threshold)
    return high < line or (low >= line and all(lead > 0 for lead in leads))


def _outranks(tally: Tally, rival: int, leader: int) -> bool:
    one, other = tally.options[rival], tally.options[leader]
    first, second = (one.broken_off, -one.weight, rival), (other.broken_off, -other.weight, leader)
    return first < second


def _countable(ballots: Sequence[Ballot], method: VoteMethod) -> list[Ballot]:
    """Ballots in another method's form say nothing here: they abstain.

    Where nobody is asked, a ballot is no voter's answer to this method, and cannot abstain either.
    """
    form = method.form
    if form is None:
        return []
    if not method.asks_voters:
        return [ballot for ballot in ballots if form.is_filled(ballot)]
    return [
        ballot if form.is_filled(ballot) else Ballot(voter=ballot.voter, weight=ballot.weight)
        for ballot in ballots
    ]


_WINDOW = 6
"""Words of an answer that stands in a text in other words than it is counted in."""
_LAST_WORDS = 40
"""Words of a text's end in which it is looked for."""


def as_written(answer: str, text: str | None) -> str:
    """A counted answer as its text wrote it; else as it was counted.

    `Canberra` for `canberra`, `one application` for `1 application`, `1,000 km` for `1000 km`.
    """
    matches = re.findall(rf"(?<!\w){re.escape(answer)}(?!\w)", text or "", flags=re.IGNORECASE)
    if matches or not text:
        return str(matches[-1]) if matches else answer
    words = text.split()[-_LAST_WORDS:]
    for length in range(1, min(_WINDOW, len(words)) + 1):
        for start in range(len(words) - length, -1, -1):
            span = " ".join(words[start : start + length]).strip("*_`\"'.,;:!?()")
            if span and read_answer(span).form == answer:
                return span
    return answer


def _written(group: AnswerGroup, proposals: Sequence[Proposal]) -> str:
    """An answer as the first of its members wrote it; empty where it is as it was counted."""
    first = next((one for one in reversed(proposals) if one.character == group.members[0]), None)
    if first is None or group.answer is None:
        return ""
    written = as_written(group.answer, first.text)
    return "" if written.casefold() == group.answer.casefold() else written


def _option(group: AnswerGroup, standing: Standing, proposals: Sequence[Proposal]) -> Option:
    return Option(
        members=group.members,
        answer=group.answer,
        written=_written(group, proposals),
        tally=float(standing.tally),
        share=float(standing.share),
    )


def _spokesman(tally: Tally, option: int, proposals: Sequence[Proposal]) -> str:
    """The member of the leading option that stands for it.

    The one that the method chose; else whole texts before truncated ones, then the one that most
    ballots name, then weight, then seat.
    """
    if chosen := tally.options[option].speaker:
        return chosen
    named = dict.fromkeys(tally.options[option].members, 0.0)
    for ballot in tally.ballots:
        first = ballot.choice or (ballot.ranking[:1] or (None,))[0]
        for name in (first,) if first else ballot.approved:
            named[name] = named.get(name, 0.0) + ballot.weight
        for name, points in ballot.scores.items():
            named[name] = named.get(name, 0.0) + ballot.weight * points
    last = {proposal.character: proposal for proposal in proposals}
    members = tally.options[option].members
    return min(
        members,
        key=lambda name: (
            last[name].truncated,
            -named[name],
            -last[name].weight,
            members.index(name),
        ),
    )
