"""Count a finished round again, by other weights, another method or threshold; no model is asked.

A ballot says what its voter was asked, and no more. Some ballots answer another question too: who
ranked, or scored, also said whom it likes best. Where they do not, they abstain; where none does,
equal answers are counted, and that is said.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

from mom_council.records import AnswerKind, Ballot, Proposal, Record, Verdict
from mom_council.voting.ballot_forms import BallotForm
from mom_council.voting.counting import agreed, count
from mom_council.voting.dissent import overturned
from mom_council.voting.methods import EQUAL_ANSWERS, METHODS, VoteMethod
from mom_council.voting.stopping import explain

if TYPE_CHECKING:
    from mom_council.councils.schema import Deliberation

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
        method: a key of `METHODS`.
        deliberation: the council's rules.
        weights: of characters, as proposers and as voters; whom they leave out keeps its own.
        threshold: the share that counts as agreement; the council's when left out.
        kind: what sort of answer the question asked for.

    Raises:
        KeyError: there is no such method.
    """
    weights = weights or {}
    line = deliberation.threshold if threshold is None else threshold
    standing = [_with_weight(one, weights.get(one.character)) for one in proposals]
    cast = [_with_weight(one, weights.get(one.voter)) for one in ballots]
    counting = METHODS[method]
    translated = [as_ballot_of(one, method) for one in cast]
    notes = _notes(cast, translated, counting)
    if counting.asks_voters and all(one.abstained for one in translated):
        counting, translated = METHODS[EQUAL_ANSWERS], []
    verdict = count(standing, translated, method=counting.name, kind=kind)
    if counting.counts_nothing:
        verdict = verdict.model_copy(update={"stop_reason": "unvoted"})
    if sum(len(option.members) for option in verdict.options) == 1:
        verdict = verdict.model_copy(update={"stop_reason": "single"})
    rules = deliberation.model_copy(update={"threshold": line})
    return Revote(
        verdict=verdict,
        why=explain(verdict, rules, standing),
        agreed=agreed(verdict, line),
        notes=(*notes, *filter(None, (overturned(standing, verdict, kind=kind),))),
    )


def as_ballot_of(ballot: Ballot, method: str) -> Ballot:
    """What a ballot says in a method's form; empty where it says nothing about that."""
    form = METHODS[method].form
    if form is None:
        return Ballot(voter=ballot.voter, round=ballot.round, weight=ballot.weight)
    return form.translate(ballot)


def _with_weight(one: T, weight: float | None) -> T:
    return one if weight is None else one.model_copy(update={"weight": weight})


def _notes(
    cast: Sequence[Ballot], translated: Sequence[Ballot], method: VoteMethod
) -> tuple[str, ...]:
    """What was not counted as it was cast, and why."""
    if method.counts_nothing:
        return ("Nothing is counted under this method: every proposal goes to the synthesizer.",)
    pairs = [pair for pair in zip(cast, translated, strict=True) if not pair[0].abstained]
    if not method.asks_voters:
        return _notes_unasked(pairs, method)
    if not pairs:
        return ("Nobody cast a ballot in this round, so equal answers are counted.",)
    lost = sum(after.abstained for _, after in pairs)
    if lost == len(pairs):
        says = f"The ballots of this round do not say what {method.name!r} asks"
        return (f"{says}, and nobody is asked again; so equal answers are counted.",)
    clear = f"{_so_many(lost)} not clear enough for {method.name!r}, and counted as abstaining."
    form = method.form
    translation = (form.translation,) if form and _is_translated(pairs, form) else ()
    return (*translation, *((clear,) if lost else ()))


def _is_translated(pairs: Sequence[tuple[Ballot, Ballot]], form: BallotForm) -> bool:
    """Whether a ballot of another form was read as one of this form, and that is to be said."""
    translated = (form.is_filled(after) and not form.is_filled(before) for before, after in pairs)
    return bool(form.translation) and any(translated)


def _notes_unasked(pairs: Sequence[tuple[Ballot, Ballot]], method: VoteMethod) -> tuple[str, ...]:
    judged = sum(not after.abstained for _, after in pairs)
    read = (f"{_so_many(judged)} read as how sure the voters are of each.",) if judged else ()
    aside = len(pairs) - judged
    left = f"{_so_many(aside)} left aside: this method counts {method.counts}."
    return (*read, *((left,) if aside else ()))


def _so_many(number: int) -> str:
    return "1 ballot is" if number == 1 else f"{number} ballots are"
