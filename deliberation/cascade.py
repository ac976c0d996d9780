"""Whether a cascade goes on to its next layer, and whom of a layer it asks next. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from mom_council.councils.schema import Council
from mom_council.deliberation.selectors import current_turn, dropout_names, proposals_at
from mom_council.deliberation.state import CouncilState
from mom_council.voting.cascade import settling_size
from mom_council.voting.counting import answer_of
from mom_council.voting.reading import group_equal


def escalates(
    layer: int, waiting: Sequence[str], state: CouncilState, council: Council
) -> bool | None:
    """Whether a layer of a cascade is asked: True, it is; False, the round is over; None, the next.

    Args:
        layer: the one that has just spoken, or a further one.
        waiting: who of it has not been asked.
        state: the table.
        council: its rules.
    """
    if layer > current_turn(state).layer:
        return not layer_agrees(state, council)
    if not asks_until_agreed(layer, council):
        return True
    if layer_agrees(state, council):
        return False
    return True if layer_can_agree(waiting, state, council) else None


def cheap_wave(
    ready: tuple[str, ...], round_: int, layer: int, state: CouncilState, council: Council
) -> tuple[str, ...]:
    """Those of a layer's line who are asked now: as few as can settle whether it agrees."""
    behind = [sum(weights) for weights in _behind(state, round_, layer)]
    out = [council.character(name).weight for name in ready]
    line = _agreement_line(state, council, round_, layer)
    return ready[: settling_size(behind, out, line)]


def layer_agrees(state: CouncilState, council: Council) -> bool:
    """Whether a cascade can stop: the layer that has just spoken agrees on one final answer.

    Two must have given it, and the threshold is a share of all who were seated: silence is no
    agreement. Open questions have no final answer, so they always go on to the next layer.
    """
    turn = current_turn(state)
    line = _agreement_line(state, council, turn.round, turn.layer)
    behind = _behind(state, turn.round, turn.layer)
    return any(len(weights) > 1 and sum(weights) >= line for weights in behind)


def layer_can_agree(waiting: Sequence[str], state: CouncilState, council: Council) -> bool:
    """Whether those of a cascade's layer who have not been asked could make it agree."""
    turn = current_turn(state)
    rest = sum(council.character(name).weight for name in waiting)
    most = max(map(sum, _behind(state, turn.round, turn.layer)), default=0.0)
    return most + rest >= _agreement_line(state, council, turn.round, turn.layer)


def _behind(state: CouncilState, round_: int, layer: int) -> list[list[float]]:
    """The weights of those behind each final answer of a layer."""
    spoken = proposals_at(state, round_, layer)
    groups = group_equal([answer_of(proposal, state["annotation"].kind) for proposal in spoken])
    return [[spoken[at].weight for at in places] for places in groups]


def _agreement_line(state: CouncilState, council: Council, round_: int, layer: int) -> float:
    """The weight that must stand behind one answer of a cascade's layer."""
    dropped_out = dropout_names(state, council, round_, layer)
    seated = [name for name in council.seats[layer - 1] if name not in dropped_out]
    whole = sum(council.character(name).weight for name in seated)
    return council.deliberation.threshold * whole - 1e-9


def asks_until_agreed(layer: int, council: Council) -> bool:
    """Whether a layer of a cascade is asked as few at a time as can settle whether it agrees."""
    rules = council.deliberation
    return (
        rules.cascade
        and layer < len(council.seats)
        and rules.order != "seats"
        and rules.mode != "sequential"
    )
