"""Seating: which characters answer next."""

from __future__ import annotations

import asyncio

from langgraph.runtime import Runtime

from mom_council.councils.schema import Council
from mom_council.deliberation import selectors
from mom_council.deliberation.ask_model import make_absence
from mom_council.deliberation.context import CouncilContext
from mom_council.deliberation.events import Missed, Noted, Seated, Speaker, emit
from mom_council.deliberation.schedule import first_layer, next_layer, next_wave
from mom_council.deliberation.state import CouncilState, CouncilUpdate, Seating
from mom_council.errors import BudgetError, StorageError
from mom_council.models.ledger import Ledger
from mom_council.models.resolved import member_models
from mom_council.records import Absence, Note


async def seating(
    state: CouncilState, runtime: Runtime[CouncilContext], council: Council
) -> CouncilUpdate:
    """Seat the next layer: this round's next one, or the first one of another round.

    Left out are the characters whose models are gone for this question, a seeded few by dropout
    (never everyone), and, when the budget does not reach for all, the last in line.

    Where the budget allows nobody at all, the question waits for a choice: its budget once more, or
    to give up.

    Raises:
        BudgetError: nothing has been proposed, and the budget allows no proposal; nothing is kept.
    """
    turn = selectors.current_turn(state)
    learned: CouncilUpdate = {}
    if not turn.round:
        learned = await _recall_outcomes(state, runtime, council)
        state = {**state, **learned}
        council = selectors.with_learned_weights(state, selectors.with_fitted_rules(state, council))
    layer, round_ = next_layer(state, council), turn.round
    if layer is None:
        round_ = turn.round + 1
        layer = first_layer(state, council, round_) or 1
    ready = selectors.waiting_characters(state, council, round_, layer)
    if council.deliberation.mode == "sequential":
        ready = ready[:1]
    ready = next_wave(ready, round_, layer, state, council)
    seated = _affordable(ready, state, council)
    if not seated:
        from mom_council.deliberation.interrupts import pause, renewed_budget

        spent = selectors.exceeded_budget(state, council, more_calls=1)
        error = BudgetError(
            f"the budget is spent ({spent}) and leaves nothing for a proposal and its answer",
            cure="raise `budget` in the council",
        )
        await pause(error, ("ask_again",))
        learned.update(renewed_budget(state, council, len(ready)))
        seated = ready
    missed = [_unaffordable(name, round_, layer) for name in ready[len(seated) :]]
    for one in missed:
        emit(runtime, Missed(absence=one))
    out = selectors.dropout_names(state, council, round_, layer)
    emit(
        runtime,
        Seated(
            round=round_,
            rounds=council.deliberation.rounds.max,
            layer=layer,
            layers=len(council.seats),
            seated=seated,
            dropped=out,
        ),
    )
    return {
        **learned,
        "seating": Seating(round=round_, layer=layer, seated=seated, dropped=out),
        "absences": missed,
    }


async def _recall_outcomes(
    state: CouncilState, runtime: Runtime[CouncilContext], council: Council
) -> CouncilUpdate:
    """What the ledger knows of the council's voices on such questions: looked up once a question.

    A ledger that cannot be read costs the question nothing but that knowledge, and is said.
    """
    kind = council.deliberation.topic or state["annotation"].topic
    notes: list[str] = []
    trust = None
    try:
        lookup = (member_models(council), council.seats[0], kind)
        trust = Ledger().recent_trust(*lookup)
        if trust is None:
            trust = await asyncio.to_thread(lambda: Ledger().trust(*lookup))
    except StorageError as error:
        notes.append(f"What is known of the models could not be read: {error}.")
    rules = council.deliberation
    if rules.weights == "learned" and (trust is None or not trust.weights):
        notes.append("Nothing is known of these models yet, so the written weights hold.")
    if rules.stop == "calibrated":
        notes.append(
            "`stop: calibrated` is an older name of `lossless`, by which this was decided."
        )
    for note in notes:
        emit(runtime, Noted(text=note))
    return {"trust": trust, "notes": [Note(text=note) for note in notes]}


def _affordable(ready: tuple[str, ...], state: CouncilState, council: Council) -> tuple[str, ...]:
    for count in range(len(ready), 0, -1):
        if selectors.exceeded_budget(state, council, more_calls=count) is None:
            return ready[:count]
    return ()


def _unaffordable(name: str, round_: int, layer: int) -> Absence:
    speaker = Speaker(node="character", name=name, round=round_, layer=layer)
    return make_absence(speaker, "budget", "the budget does not reach for everyone")
