"""The consensus: code counts the round, and decides whether it is the last."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import time
from typing import Any

from langgraph.runtime import Runtime

from mom_council.councils.schema import Council
from mom_council.deliberation import selectors
from mom_council.deliberation.context import CouncilContext, context_of
from mom_council.deliberation.events import Counted, Missed, Noted, Polled, emit
from mom_council.deliberation.schedule import (
    cuts_by_budget,
    first_layer,
    independent_answers,
    needs_more_ballots,
    next_speakers,
    next_voters,
    unasked_members,
)
from mom_council.deliberation.state import CouncilState, CouncilUpdate
from mom_council.deliberation.status import find_confidence
from mom_council.errors import CouncilError, ModelError, StorageError
from mom_council.models.embeddings import cosine, embed
from mom_council.models.ledger import Ledger, name_of
from mom_council.models.prices import take_counted
from mom_council.records import Absence, Note, Proposal, Segment, Usage, Verdict
from mom_council.vendors import vendor_of
from mom_council.voting.counting import compare_off_the_loop, count
from mom_council.voting.early_exit import EXACT
from mom_council.voting.likeness import Measure
from mom_council.voting.methods import EQUAL_ANSWERS, METHODS
from mom_council.voting.reading import plain_text
from mom_council.voting.stopping import explain, why_stop


async def consensus(
    state: CouncilState, runtime: Runtime[CouncilContext], council: Council
) -> CouncilUpdate:
    """Count the round and decide whether another one can gain anything.

    A further wave of ballots comes first, where it can change something. Where nobody was asked for
    a ballot (equal answers, two proposers, a spent budget), equal answers are counted instead.
    """
    turn = selectors.current_turn(state)
    if needs_more_ballots(state, council):
        emit(runtime, Polled(round=turn.round, voters=next_voters(state, council)))
        return {"step": "the vote is open yet; a further wave of ballots is asked"}
    standing = selectors.candidates(state, council)
    ballots = [b for b in state["ballots"] if b.round == turn.round]
    method = council.deliberation.method
    if council.deliberation.asks_voters and not _was_anybody_asked(state, turn.round):
        method = EQUAL_ANSWERS
    kind, rules = state["annotation"].kind, council.deliberation
    await compare_off_the_loop(standing, kind=kind)
    unasked = unasked_members(state, council)
    names = (*_let_go(state, turn.round), *(one.character for one in unasked))
    out = {name: council.character(name).weight for name in names}
    update: CouncilUpdate = {}
    if _silent(state, turn.round):
        verdict = state["verdicts"][-1]  # nobody spoke, so what was voted before still holds
    else:
        measure, update = await _measure(standing, method, state, runtime, council)
        options: dict[str, Any] = {"threshold": rules.threshold, "measure": measure, "out": out}
        verdict = count(standing, ballots, method=method, kind=kind, **options)
    spared = _count_spared([*state["absences"], *unasked], turn.round)
    changes: dict[str, Any] = {"round": turn.round, "stop_reason": None, "spared": spared}
    changes["asked"] = _voters_asked(state, verdict, turn.round)
    if spared and rules.stop in EXACT:
        changes["decided"] = True  # that is why nobody else was asked
    faults: list[str] = []
    changes |= find_confidence(verdict, state, council, faults)
    verdict = verdict.model_copy(update=changes)
    why = functools.partial(
        why_stop,
        (*state["verdicts"], verdict),
        rules,
        proposals=standing,
        previous=selectors.latest_proposals(state, council, before=turn.round),
        kind=kind,
        out=len(out),
    )
    stop = why()
    if stop not in _FINAL_REASONS:
        stop = why(budget_spent=_spent(state, runtime, council))
    voted = _was_anybody_asked(state, turn.round) or _silent(state, turn.round)
    left_out = cuts_by_budget(state, council, stop, voted=voted)
    if stop is None and first_layer(state, council, turn.round + 1) is None:
        stop = "stalled"  # nobody is left whose model could be asked again
    verdict = verdict.model_copy(update={"stop_reason": stop})
    for event in (*(Noted(text=one) for one in left_out), *(Missed(absence=a) for a in unasked)):
        emit(runtime, event)
    faults += await _learn_agreement(state, council)
    emit(runtime, Counted(verdict=verdict, why=explain(verdict, rules, standing)))
    notes = [*update.get("notes", []), *(Note(text=one) for one in (*faults, *left_out))]
    return {**update, "verdicts": [verdict], "absences": unasked, "notes": notes}


async def _measure(
    standing: list[Proposal],
    method: str,
    state: CouncilState,
    runtime: Runtime[CouncilContext],
    council: Council,
) -> tuple[Measure | None, CouncilUpdate]:
    """How texts are compared, and what there is to say about it.

    Vectors where the council names a model for them; where that fails, their words, and it is said.
    """
    likeness = council.deliberation.likeness
    if not METHODS[method].compares_texts or likeness is None or len(standing) < 2:
        return None, {}
    texts = list(dict.fromkeys(plain_text(proposal.text) for proposal in standing))
    began = time.monotonic()
    vectors, fault = [], ""
    try:
        async with asyncio.timeout(selectors.reader_seconds(state, council, context_of(runtime))):
            vectors = await embed(council.models[likeness.model], texts, prices=council.prices)
    except TimeoutError:
        fault = "Likeness was told by words alone: half of the question's time was over"
    except (ModelError, CouncilError) as error:
        fault = f"Likeness was told by words alone: {error}"
    usage = take_counted() + Usage(seconds=time.monotonic() - began)
    segment = Segment(node="consensus", name="likeness", model=likeness.model, usage=usage)
    if fault:
        emit(runtime, Noted(text=fault))
        return None, {"notes": [Note(text=fault, kind="step_failed")], "segments": [segment]}
    of = dict(zip(texts, vectors, strict=True))
    measure = Measure(lambda one, other: cosine(of[one], of[other]), likeness.threshold)
    return measure, {"segments": [segment]}


def _voters_asked(state: CouncilState, verdict: Verdict, round_: int) -> int:
    """How many were asked for a ballot, without those let go because nothing could change."""
    if not METHODS[verdict.method].asks_voters:
        return 0
    let_go = ("settled", "budget", *(("late",) if verdict.decided else ()))
    missed = sum(
        one.stage == "vote" and one.round == round_ and one.reason not in let_go
        for one in state["absences"]
    )
    return missed + sum(ballot.round == round_ for ballot in state["ballots"])


def _let_go(state: CouncilState, round_: int) -> list[str]:
    """Who was not waited for this round, and might have changed the count."""
    return [
        a.character for a in state["absences"] if a.round == round_ and (a.stage, a.reason) in _CUT
    ]


def _count_spared(absences: list[Absence], round_: int) -> int:
    """How many were cut short, or not asked, this round because the rest was settled."""
    return sum(a.round == round_ and a.reason == "settled" for a in absences)


async def _learn_agreement(state: CouncilState, council: Council) -> list[str]:
    """Have the ledger learn of the question; a fault there may not cost the answer, and is said."""
    try:
        await _observe_agreement(state, council)
    except Exception as error:  # whatever it is
        return [f"Agreement was not kept ({type(error).__name__}: {error})."]
    return []


async def _observe_agreement(state: CouncilState, council: Council) -> None:
    """Have the ledger learn who answered the same as whom, where everybody was asked.

    Where somebody was not asked, the question was an easy one for the others: it would teach that
    whoever is asked late rarely agrees. Recorded answers teach nothing new.
    """
    if selectors.current_turn(state).round > 1:
        return
    answers, first = independent_answers(state, council), council.seats[0]
    models = [council.models[council.character(name).model] for name in first]
    replayed = any(vendor_of(model.provider).is_recording for model in models)
    stated = sum(answers.get(name) is not None for name in first)
    if replayed or answers.keys() != {*first} or stated < 2 or state["annotation"].kind == "open":
        return
    kind = council.deliberation.topic or state["annotation"].topic
    in_order = [answers[name] for name in first]
    with contextlib.suppress(StorageError):  # seating has said that the ledger cannot be read
        await asyncio.to_thread(Ledger().observe, [*map(name_of, models)], in_order, kind)


_CUT = {("vote", "late"), ("character", "settled")}

_FINAL_REASONS = ("single", "unvoted", "decided", "sure", "agreed")
"""Reasons to stop that hold, whatever is left of the budget."""


def _silent(state: CouncilState, round_: int) -> bool:
    """Whether nobody spoke in a round, and an earlier one was counted."""
    return bool(state["verdicts"]) and all(p.round != round_ for p in state["proposals"])


def _was_anybody_asked(state: CouncilState, round_: int) -> bool:
    """Whether anybody was asked for a ballot this round."""
    votes = [b.round for b in state["ballots"]]
    misses = [a.round for a in state["absences"] if a.stage == "vote" and a.reason != "budget"]
    return round_ in (*votes, *misses)


def _spent(state: CouncilState, runtime: Runtime[CouncilContext], council: Council) -> bool:
    """Whether another round would cost more than the question may."""
    left = selectors.remaining_seconds(state, council, context_of(runtime))
    speakers = max(1, len(next_speakers(state, council)))
    return left == 0 or selectors.exceeded_budget(state, council, more_calls=speakers) is not None
