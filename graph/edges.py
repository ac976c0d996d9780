"""Every decision of the graph, as pure functions of the state and the council's rules.

`to_<node>` names the nodes of a fan-out, `after_<node>` chooses one way.
"""

from __future__ import annotations

from typing import Literal

from mom_council.councils.names import voter_node
from mom_council.councils.schema import Council
from mom_council.errors import DeliberationError
from mom_council.graph.asking import next_layer
from mom_council.graph.context import UNASKED
from mom_council.graph.state import CouncilState
from mom_council.graph.table import candidates, overspent, pending, same_answer, unvoted
from mom_council.graph.talk import images


def after_classifier(
    state: CouncilState, council: Council
) -> Literal["painter", "image_reader", "annotator"]:
    """Draw, or answer in words; pictures that came along are looked at first."""
    if state["route"] == "image":
        return "painter"
    return "image_reader" if images(state) else "annotator"


def to_speakers(state: CouncilState, council: Council) -> list[str]:
    """The characters whose turn it is; when they have spoken, the voters.

    Raises:
        DeliberationError: there is nobody, which would end the run without a word.
    """
    speakers = list(pending(state)) or [voter_node(name) for name in unvoted(state, council)]
    if not speakers:
        raise DeliberationError("nobody is left to ask; put the question again in a new thread")
    return speakers


def after_quorum(
    state: CouncilState, council: Council
) -> Literal["seating", "thermal_wait", "consensus"]:
    """A further turn of this round, the vote, or straight to the count."""
    if another_turn(state, council):
        return "seating"
    return "thermal_wait" if ballots_wanted(state, council) else "consensus"


def after_consensus(state: CouncilState, council: Council) -> Literal["seating", "synthesizer"]:
    """Another round, or the answer."""
    return "seating" if state["verdicts"][-1].stop_reason is None else "synthesizer"


def another_turn(state: CouncilState, council: Council) -> bool:
    """Whether somebody is still to speak in this round, and can be paid for."""
    return (
        next_layer(state, council) is not None and overspent(state, council, more_calls=1) is None
    )


def ballots_wanted(state: CouncilState, council: Council) -> bool:
    """Whether it pays to ask the voters: there is a choice, a method that asks, and money left."""
    rules = council.deliberation
    voters = unvoted(state, council)
    if rules.method in UNASKED or not voters:
        return False
    if rules.ballots == "auto" and same_answer(candidates(state, council), state):
        return False
    return overspent(state, council, more_calls=len(voters)) is None
