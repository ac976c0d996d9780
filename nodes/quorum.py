"""The quorum: the fan-in of a layer, and whether there is enough to go on."""

from __future__ import annotations

from langgraph.runtime import Runtime

from mom_council.councils.schema import Council
from mom_council.deliberation import selectors
from mom_council.deliberation.context import CouncilContext
from mom_council.deliberation.events import Polled, emit
from mom_council.deliberation.schedule import has_another_turn, needs_ballots
from mom_council.deliberation.state import CouncilState, CouncilUpdate
from mom_council.errors import BudgetError, QuorumError
from mom_council.voting.counting import compare_off_the_loop


async def quorum(
    state: CouncilState, runtime: Runtime[CouncilContext], council: Council
) -> CouncilUpdate:
    """Go on with those who answered.

    One proposal is worth more than none, so a council answers with whoever is left, and its status
    says who is missing. `deliberation.minimum` raises that bar.

    Raises:
        BudgetError: nobody answered, because the question's time was over.
        QuorumError: fewer proposals than the council's minimum; it says who is missing and why.
    """
    standing = selectors.candidates(state, council)
    await compare_off_the_loop(standing, kind=state["annotation"].kind)
    answered = len(standing)
    needed = council.deliberation.minimum
    in_progress = has_another_turn(state, council)
    if answered < needed and not in_progress:
        missing = state["absences"]
        if not answered and missing and all(a.reason == "budget" for a in missing):
            raise BudgetError(
                "the question's budget was spent before anybody had answered",
                cure=(
                    "raise `budget` in the council, or in this run's settings, and resume "
                    "the thread"
                ),
            )
        reasons = "; ".join(f"{a.character!r}: {_short(a.detail or a.reason)}" for a in missing)
        size = len(council.characters)
        count = f"{answered} of {size} answered and {needed} must"
        raise QuorumError(
            f"{count if answered else f'none of the {size} models answered'} ({reasons})",
            cure="fix the cause and resume the thread, or ask another council",
            answered=answered,
            needed=needed,
            absences=missing,
        )
    if not in_progress and needs_ballots(state, council):
        emit(
            runtime,
            Polled(
                round=selectors.current_turn(state).round,
                voters=selectors.pending_voters(state, council),
            ),
        )
    return {}


def _short(detail: str) -> str:
    """The head of a reason; the absences hold the whole of it."""
    return detail if len(detail) <= 160 else detail[:157].rstrip() + "..."
