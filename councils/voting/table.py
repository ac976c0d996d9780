"""From proposals and ballots to the table that methods count.

Proposals of equal answer become one option, so that clones neither split a vote nor win one by
number; a refusal joins refusals only, and texts that are word for word the same are always one
option. Methods that read more than answers prepare the options further first. A ballot for
any member counts for the option. Nobody votes for itself: a ballot that names only its voter is an
abstention.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from mom_council.councils.records import AnswerKind, Ballot, Proposal
from mom_council.councils.voting import best_confidence, similarity
from mom_council.councils.voting.answers import canonical, is_refusal
from mom_council.councils.voting.base import Group, Table, exact
from mom_council.councils.voting.likeness import Measure


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
