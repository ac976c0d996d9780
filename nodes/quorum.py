"""The quorum: joins the answers of a layer, and counts whether there are enough."""

from __future__ import annotations

from langgraph.runtime import Runtime

from mom_council.councils.schema import Council
from mom_council.deliberation import selectors
from mom_council.deliberation.context import CouncilContext
from mom_council.deliberation.events import Polled, emit
from mom_council.deliberation.schedule import has_another_turn, needs_ballots, next_voters
from mom_council.deliberation.state import CouncilState, CouncilUpdate
from mom_council.errors import BudgetError, QuorumError
from mom_council.voting.counting import compare_off_the_loop


async def quorum(
    state: CouncilState, runtime: Runtime[CouncilContext], council: Council
) -> CouncilUpdate:
    """Go on with those who answered.

    One proposal is worth more than none, so a council answers with whoever is left, and its status
    says who is missing. `deliberation.minimum` raises that bar.

    Where fewer answered than must, the question waits for a choice: to ask the missing again, to go
    on with who is there, or to give up.

    Raises:
        BudgetError: nobody answered, because the question's time was over; nothing is kept.
        QuorumError: fewer proposals than the council's minimum; nothing is kept.
    """
    standing = selectors.candidates(state, council)
    await compare_off_the_loop(standing, kind=state["annotation"].kind)
    answered = len(standing)
    in_progress = has_another_turn(state, council)
    if answered < council.deliberation.minimum and not in_progress:
        from mom_council.deliberation.interrupts import pause_short_of_quorum

        error = _error(state, council, answered)
        return await pause_short_of_quorum(error, state, council, answered)
    if not in_progress and needs_ballots(state, council):
        number = selectors.current_turn(state).round
        emit(runtime, Polled(round=number, voters=next_voters(state, council)))
    return {"step": f"{answered} answered, {council.deliberation.minimum} must"}


def _error(state: CouncilState, council: Council, answered: int) -> BudgetError | QuorumError:
    missing, needed = state["absences"], council.deliberation.minimum
    if not answered and missing and all(a.reason == "budget" for a in missing):
        return BudgetError(
            "the question's budget was spent before anybody had answered",
            cure="raise `budget` in the council, or in this run's settings, and resume the thread",
        )
    by_reason: dict[str, list[str]] = {}
    for one in missing:
        by_reason.setdefault(_short(one.detail or one.reason), []).append(repr(one.character))
    reasons = "; ".join(f"{', '.join(names)}: {why}" for why, names in by_reason.items())
    size = len(council.characters)
    count = f"{answered} of {size} answered and {needed} must"
    nobody = "the one model did not answer" if size == 1 else f"none of the {size} models answered"
    return QuorumError(
        f"{count if answered else nobody} ({reasons})",
        cure="fix the cause and resume the thread, or ask another council",
        answered=answered,
        needed=needed,
        absences=missing,
    )


def _short(detail: str) -> str:
    """The head of a reason; the absences hold the whole of it."""
    return detail if len(detail) <= 160 else detail[:157].rstrip() + "..."
