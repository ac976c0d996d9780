"""From proposals and ballots to the table that methods count.

Proposals of equal answer become one option, so that clones neither split a vote nor win one by
number; a refusal joins refusals only, and texts that are word for word the same are always one
option. Methods that read more than answers prepare the options further first. A ballot for
any member counts for the option. Nobody votes for itself: a ballot that names only its voter is an
abstention.

The count of a round: from proposals and ballots to a verdict. Code counts, no model counts.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from mom_council.councils.records import AnswerKind, Ballot, Option, Proposal, Verdict
from mom_council.voting.answers import canonical, is_refusal
from mom_council.voting.likeness import Measure
from mom_council.voting.methods import METHODS, best_confidence, similarity
from mom_council.voting.methods.base import Group, Standing, Table, exact


def lay(
    proposals: Sequence[Proposal],
    ballots: Sequence[Ballot],
    *,
    kind: AnswerKind = "unknown",
    method: str = "",
    measure: Measure | None = None,
) -> tuple[Table, int]:
    """The table, and how many ballots abstained.

    Args:
        proposals: in seat order; of several by one character the last counts, in its first seat.
        ballots: of this round; of several by one voter the last counts.
        kind: `open` questions have no equal answers; only refusals and the same words are merged.
        method: that will count; some of them need more than answers.
        measure: how `similarity` compares texts; by their words if left out.
    """
    options = merge(proposals, kind=kind)
    last = {each.character: each for each in proposals}
    if method == "similarity":
        options = similarity.prepare(options, last, measure)
    elif method == "best_confidence":
        options = best_confidence.prepare(options, last)
    option_of = {name: at for at, group in enumerate(options) for name in group.members}
    cast = list({ballot.voter: ballot for ballot in ballots}.values())
    valid = [kept for ballot in cast if not (kept := _valid(ballot, option_of)).abstained]
    return Table(tuple(options), tuple(valid), option_of), len(cast) - len(valid)


def merge(proposals: Sequence[Proposal], *, kind: AnswerKind = "unknown") -> list[Group]:
    """The options of a vote, in the seat order of their first members."""
    together: dict[tuple[str, str], list[Proposal]] = {}
    for proposal in {each.character: each for each in proposals}.values():
        answer = canonical(proposal.text, kind=kind)
        if answer is not None:
            key = ("answer", answer)
        elif is_refusal(proposal.text):
            key = ("refusal", "")
        else:
            key = ("words", " ".join(proposal.text.split()).casefold())
        together.setdefault(key, []).append(proposal)
    return [
        Group(
            members=tuple(each.character for each in members),
            weight=sum(exact(each.weight) for each in members),
            answer=said if sort == "answer" else None,
        )
        for (sort, said), members in together.items()
    ]


def _valid(ballot: Ballot, option_of: dict[str, int]) -> Ballot:
    """The ballot without its voter's own name, without strangers, without impossible scores."""

    def fine(name: str | None) -> bool:
        return name in option_of and name != ballot.voter

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


_FIELD = {
    "plurality": "choice",
    "approval": "approved",
    "borda": "ranking",
    "ranked_pairs": "ranking",
    "score": "scores",
    "best_confidence": "scores",
}


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
        method: a key of `METHODS`, or `none`: then nobody leads.
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
    if method == "none":
        table, _ = lay(proposals, (), kind=kind)
        options = tuple(Option(members=each.members, answer=each.answer) for each in table.options)
        return Verdict(method=method, round=number, options=options)
    read = _readable(ballots, method)
    table, abstained = lay(proposals, read, kind=kind, method=method, measure=measure)
    if not table.options:
        return Verdict(method=method, round=number, abstained=abstained)
    standings = METHODS[method].standings(table)
    order = ranked(table, standings)
    best = order[0]
    return Verdict(
        method=method,
        round=number,
        options=tuple(_option(table.options[at], standings[at]) for at in order),
        leader=_spokesman(table, best, proposals),
        share=float(standings[best].share),
        decided=_settled(table, standings, order, method, out, threshold),
        tie=len(order) > 1 and standings[order[1]].value == standings[best].value,
        ballots=len(table.ballots),
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
    """Whether the leader's share reaches the threshold, alone: a broken tie is no agreement."""
    return bool(verdict.leader) and not verdict.tie and verdict.share >= threshold - 1e-12


def missing(ballots: Iterable[Ballot], voters: Iterable[str]) -> tuple[str, ...]:
    """The voters of whom there is no ballot, in their order."""
    cast = {ballot.voter for ballot in ballots}
    return tuple(voter for voter in voters if voter not in cast)


def ranked(table: Table, standings: Sequence[Standing]) -> list[int]:
    """The options, best first: by standing, then by the weight behind them, then by seat."""
    keys = [
        (-standing.value, -group.weight)
        for standing, group in zip(standings, table.options, strict=True)
    ]
    return sorted(range(len(keys)), key=lambda at: keys[at])


def _settled(
    table: Table,
    standings: Sequence[Standing],
    order: Sequence[int],
    method: str,
    out: Mapping[str, float],
    threshold: float | None,
) -> bool:
    counting = METHODS[method]
    if not out:
        return True
    if not counting.ASKS:
        # Those who are out may say what nobody has said yet.
        table = Table((*table.options, Group((), 0)), table.ballots, table.option_of)
        order = [*order, len(table.options) - 1]
    best = order[0]
    leads = [counting.lead(table, best, rival, out) for rival in order[1:]]
    # Level with a rival, the weight behind the options and their seats decide, as they do now.
    if any(
        lead < 0 or (lead == 0 and _outranks(table, rival, best))
        for lead, rival in zip(leads, order[1:], strict=True)
    ):
        return False
    if threshold is None:
        return True
    low, high = counting.shares(table, best, out)
    line = exact(threshold)
    return high < line or (low >= line and all(lead > 0 for lead in leads))


def _outranks(table: Table, rival: int, leader: int) -> bool:
    one, other = table.options[rival], table.options[leader]
    return (-one.weight, rival) < (-other.weight, leader)


def _readable(ballots: Sequence[Ballot], method: str) -> list[Ballot]:
    """Ballots in another method's shape say nothing here: they abstain.

    Where nobody is asked, a ballot is no voter's answer to this method, and cannot abstain either.
    """
    field = _FIELD.get(method)
    if field is None:
        return []
    if not METHODS[method].ASKS:
        return [ballot for ballot in ballots if getattr(ballot, field)]
    return [
        ballot if getattr(ballot, field) else Ballot(voter=ballot.voter, weight=ballot.weight)
        for ballot in ballots
    ]


def _option(group: Group, standing: Standing) -> Option:
    return Option(
        members=group.members,
        answer=group.answer,
        tally=float(standing.tally),
        share=float(standing.share),
    )


def _spokesman(table: Table, option: int, proposals: Sequence[Proposal]) -> str:
    """The member of the leading option that stands for it.

    The one that the method chose; else whole texts before truncated ones, then the one that most
    ballots name, then weight, then seat.
    """
    if chosen := table.options[option].speaker:
        return chosen
    named = dict.fromkeys(table.options[option].members, 0.0)
    for ballot in table.ballots:
        first = ballot.choice or (ballot.ranking[:1] or (None,))[0]
        for name in (first,) if first else ballot.approved:
            named[name] = named.get(name, 0.0) + ballot.weight
        for name, points in ballot.scores.items():
            named[name] = named.get(name, 0.0) + ballot.weight * points
    last = {proposal.character: proposal for proposal in proposals}
    members = table.options[option].members
    return min(
        members,
        key=lambda name: (
            last[name].truncated,
            -named[name],
            -last[name].weight,
            members.index(name),
        ),
    )
