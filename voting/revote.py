"""Counting a finished round anew: other weights, another method or threshold, and nobody is asked.

A ballot says what its voter was asked, and no more. Some ballots answer another question too: who
ranked, or scored, also said whom it likes best. Where they do not, they abstain; where none does,
equal answers are counted, and that is said.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

from mom_council.councils.records import AnswerKind, Ballot, Proposal, Record, Verdict
from mom_council.councils.schema import Deliberation
from mom_council.voting.counting import agreed, count
from mom_council.voting.methods import METHODS
from mom_council.voting.stopping import explain

T = TypeVar("T", Proposal, Ballot)


class Revote(Record):
    """Another count of the same round, and how far the ballots answered it."""

    verdict: Verdict
    why: str
    """In one sentence."""
    agreed: bool
    """Whether the leader reaches the threshold."""
    notes: tuple[str, ...] = ()
    """What was not counted as asked, and why."""


def revote(
    proposals: Sequence[Proposal],
    ballots: Sequence[Ballot],
    *,
    method: str,
    deliberation: Deliberation,
    weights: Mapping[str, float] | None = None,
    threshold: float | None = None,
    kind: AnswerKind = "unknown",
) -> Revote:
    """Count a round anew.

    Args:
        proposals: of the round, in seat order.
        ballots: of the round, as they were cast.
        method: a key of `METHODS`, or `none`.
        deliberation: the council's rules.
        weights: of characters, as proposers and as voters; whom they leave out keeps its own.
        threshold: the share that counts as agreement; the council's when left out.
        kind: what sort of answer the question asked for.

    Raises:
        KeyError: there is no such method.
    """
    weights = weights or {}
    line = deliberation.threshold if threshold is None else threshold
    stood = [_weighed(one, weights.get(one.character)) for one in proposals]
    cast = [_weighed(one, weights.get(one.voter)) for one in ballots]
    read = [as_ballot_of(one, method) for one in cast]
    counted_by, notes = method, _notes(cast, read, method)
    if method != "none" and METHODS[method].ASKS and all(one.abstained for one in read):
        counted_by, read = "answers", []
    verdict = count(stood, read, method=counted_by, kind=kind)
    if counted_by == "none":
        verdict = verdict.model_copy(update={"stop_reason": "unvoted"})
    if sum(len(option.members) for option in verdict.options) == 1:
        verdict = verdict.model_copy(update={"stop_reason": "single"})
    rules = deliberation.model_copy(update={"threshold": line})
    return Revote(
        verdict=verdict, why=explain(verdict, rules), agreed=agreed(verdict, line), notes=notes
    )


def as_ballot_of(ballot: Ballot, method: str) -> Ballot:
    """What a ballot says where a method asks; empty where it says nothing about that."""
    blank = Ballot(voter=ballot.voter, round=ballot.round, weight=ballot.weight)
    first = ballot.choice or (ballot.ranking[0] if ballot.ranking else None) or _best(ballot)
    if method == "plurality":
        return blank.model_copy(update={"choice": first})
    if method in ("borda", "ranked_pairs"):
        return blank.model_copy(update={"ranking": ballot.ranking or _ranked(ballot)})
    if method == "approval":
        return blank.model_copy(update={"approved": ballot.approved})
    if method in ("score", "best_confidence"):
        return blank.model_copy(update={"scores": ballot.scores})
    return blank


def _best(ballot: Ballot) -> str | None:
    """The one with most points; nobody where two have them."""
    ranked = sorted(ballot.scores.items(), key=lambda pair: -pair[1])
    if not ranked or (len(ranked) > 1 and ranked[1][1] == ranked[0][1]):
        return None
    return ranked[0][0]


def _ranked(ballot: Ballot) -> tuple[str, ...]:
    """The order of the points; none where two are level, for whom no order was given."""
    if len({*ballot.scores.values()}) < len(ballot.scores):
        return ()
    return tuple(sorted(ballot.scores, key=lambda name: -ballot.scores[name]))


def _weighed(one: T, weight: float | None) -> T:
    return one if weight is None else one.model_copy(update={"weight": weight})


def _notes(cast: Sequence[Ballot], read: Sequence[Ballot], method: str) -> tuple[str, ...]:
    """What was not counted as it was cast, and why."""
    if method == "none":
        return ("Nothing is counted under this method: every proposal goes to the synthesizer.",)
    given = [pair for pair in zip(cast, read, strict=True) if not pair[0].abstained]
    if not METHODS[method].ASKS:
        return _notes_unasked(given, method)
    if not given:
        return ("Nobody cast a ballot in this round, so equal answers are counted.",)
    lost = sum(again.abstained for _, again in given)
    if lost == len(given):
        says = f"The ballots of this round do not say what {method!r} asks"
        return (f"{says}, and nobody is asked again; so equal answers are counted.",)
    clear = f"{_so_many(lost)} not clear enough for {method!r}, and counted as abstaining."
    return (*_translations(given), *((clear,) if lost else ()))


def _notes_unasked(given: Sequence[tuple[Ballot, Ballot]], method: str) -> tuple[str, ...]:
    judged = sum(not again.abstained for _, again in given)
    read = (f"{_so_many(judged)} read as how sure the voters are of each.",) if judged else ()
    aside = len(given) - judged
    left = f"{_so_many(aside)} left aside: this method counts {_COUNTS[method]}."
    return (*read, *((left,) if aside else ()))


_COUNTS = {
    "answers": "equal answers",
    "similarity": "texts that are alike",
    "best_confidence": "how sure each says it is",
}


def _translations(given: Sequence[tuple[Ballot, Ballot]]) -> tuple[str, ...]:
    if any(again.choice and not was.choice for was, again in given):
        return ("Each ballot counts for the one that it put first.",)
    if any(again.ranking and not was.ranking for was, again in given):
        return ("Each ballot's points are read as a ranking.",)
    return ()


def _so_many(number: int) -> str:
    return "1 ballot is" if number == 1 else f"{number} ballots are"
