"""Every decision of the graph, as pure functions of the state and the council's rules.

`to_<node>` names the nodes of a fan-out, `after_<node>` chooses one way.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Literal

from mom_council.councils.schema import Council, voter_node
from mom_council.deliberation.conversation import pictures_to_read
from mom_council.deliberation.schedule import (
    has_another_turn,
    needs_ballots,
    needs_more_ballots,
    next_voters,
)
from mom_council.deliberation.selectors import pending_speakers
from mom_council.deliberation.state import CouncilState
from mom_council.errors import DeliberationError


def after_classifier(
    state: CouncilState, council: Council
) -> Literal["painter", "image_reader", "annotator"]:
    """Draw, or answer in words; pictures that came along are looked at first."""
    if state["route"] == "image":
        return "painter"
    return "image_reader" if pictures_to_read(state, council) else "annotator"


def to_speakers(state: CouncilState, council: Council) -> list[str]:
    """The characters whose turn it is; when they have spoken, the voters.

    Raises:
        DeliberationError: there is nobody, which would end the run without a word.
    """
    speakers = list(pending_speakers(state)) or [
        voter_node(name) for name in next_voters(state, council)
    ]
    if not speakers:
        raise DeliberationError(
            "nobody is left to ask", cure="put the question again in a new thread"
        )
    return speakers


def after_quorum(
    state: CouncilState, council: Council
) -> Literal["seating", "thermal_wait", "consensus"]:
    """A further turn of this round, the vote, or straight to the count."""
    if has_another_turn(state, council):
        return "seating"
    return "thermal_wait" if needs_ballots(state, council) else "consensus"


def after_consensus(
    state: CouncilState, council: Council
) -> Literal["thermal_wait", "seating", "synthesizer"]:
    """A further wave of ballots, another round, or the answer."""
    if needs_more_ballots(state, council):
        return "thermal_wait"
    return "seating" if state["verdicts"][-1].stop_reason is None else "synthesizer"


def after_image_reader(state: CouncilState, council: Council) -> Literal["annotator"]:
    """Who reads the question knows what its pictures show."""
    return "annotator"


def after_seating(state: CouncilState, council: Council) -> Literal["thermal_wait"]:
    """The hardware cools before anybody speaks."""
    return "thermal_wait"


def is_idle(node: str, council: Council) -> bool:
    """Whether a node would do nothing under the council's rules."""
    if node == "annotator":
        return council.annotator is None
    if node == "thermal_wait":
        has_lanes = any(model.lane is not None for model in council.models.values())
        return council.thermal is None and not has_lanes
    return False


_Decision = Callable[[CouncilState, Council], str | list[str]]


def skip_idle(decision: _Decision) -> _Decision:
    """The same decision, but past nodes that would do nothing: a superstep costs milliseconds."""

    @wraps(decision)
    def past_idle(state: CouncilState, council: Council) -> str | list[str]:
        chosen = decision(state, council)
        if chosen == "annotator" and is_idle("annotator", council):
            return "seating"
        if chosen == "thermal_wait" and is_idle("thermal_wait", council):
            return to_speakers(state, council)
        return chosen

    return past_idle
