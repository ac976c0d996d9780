"""Who is asked next, also in a cascade, and who need not be asked any more. Pure."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from mom_council.councils.schema import Council
from mom_council.deliberation.selectors import (
    as_judged,
    asking_order,
    candidates,
    current_turn,
    doubtful_pairs,
    dropout_names,
    exceeded_budget,
    finished_in,
    pending_speakers,
    pending_voters,
    proposals_at,
    sort_by_seat,
    tie_order,
    unclustered_proposals,
    voters_this_round,
    waiting_characters,
)
from mom_council.deliberation.state import CouncilState, CouncilUpdate
from mom_council.errors import CouncilError
from mom_council.records import Absence, Ballot, Proposal
from mom_council.voting.cascade import settling_size
from mom_council.voting.counting import answer_of, group_answers, is_decided
from mom_council.voting.dissent import is_settled_by_answers
from mom_council.voting.early_exit import EXACT, enough, enough_ballots, lossless, next_size
from mom_council.voting.methods import METHODS
from mom_council.voting.methods.base import Number, exact, total
from mom_council.voting.reading import group_equal


def next_layer(state: CouncilState, council: Council) -> int | None:
    """The layer of this round that has somebody to seat, None when the round has been heard."""
    turn = current_turn(state)
    for layer in range(max(turn.layer, 1), len(council.seats) + 1) if turn.round else ():
        waiting = waiting_characters(state, council, turn.round, layer)
        if not waiting:
            continue
        if layer == turn.layer and stops_early(state, council):
            return None
        if not council.deliberation.cascade:
            return layer
        if (decided := escalates(layer, waiting, state, council)) is not None:
            return layer if decided else None
    return None


def first_layer(state: CouncilState, council: Council, round_: int) -> int | None:
    """The first layer with somebody to seat in a round to come; None when nobody is left."""
    for layer in range(1, len(council.seats) + 1):
        if waiting_characters(state, council, round_, layer):
            return layer
    return None


def next_wave(
    ready: tuple[str, ...], round_: int, layer: int, state: CouncilState, council: Council
) -> tuple[str, ...]:
    """Those of a layer's line who are asked now: up to the next of the council's waves."""
    rules, waves = council.deliberation, council.deliberation.waves
    if rules.cascade and asks_until_agreed(layer, council):
        return cheap_wave(ready, round_, layer, state, council)
    if layer != len(council.seats) or rules.mode == "sequential" or rules.asks_voters:
        return ready
    if not waves:
        return _settling_wave(ready, round_, layer, state, council)
    done = len(finished_in(state, round_, layer))
    return ready[: next((size - done for size in waves if size > done), len(ready))]


def _settling_wave(
    ready: tuple[str, ...], round_: int, layer: int, state: CouncilState, council: Council
) -> tuple[str, ...]:
    """As few as can settle the vote, where the council says whom to ask first; else all."""
    rules = council.deliberation
    counts_answers = METHODS[rules.method].counts_answers
    if rules.order == "seats" or rules.stop not in EXACT or not counts_answers:
        return ready
    weight = {who.name: who.weight for who in council.characters}
    spoken = sort_by_seat(as_judged(proposals_at(state, round_, layer), state), state, council)
    out = [(name, weight[name]) for name in ready]
    return ready[: next_size(spoken, out, kind=state["annotation"].kind)]


def stops_early(state: CouncilState, council: Council, fresh: Sequence[Proposal] = ()) -> bool:
    """Whether the stopping rule lets the rest of the last layer be.

    Args:
        state: the table.
        council: its rules.
        fresh: proposals that have just come in, while others of the wave are under way.
    """
    turn, rules = current_turn(state), council.deliberation
    counts_answers = METHODS[rules.method].counts_answers
    if rules.stop == "all" or not counts_answers or turn.layer != len(council.seats):
        return False
    here = proposals_at(state, turn.round, turn.layer)
    spoken = sort_by_seat(as_judged([*here, *fresh], state), state, council)
    if doubtful_pairs(spoken, state, council) or unclustered_proposals(spoken, state, council):
        return False  # until it is judged whether they mean the same
    answered = {p.character for p in spoken}
    running = [name for name in pending_speakers(state) if name not in answered] if fresh else []
    left = (*running, *waiting_characters(state, council, turn.round, turn.layer))
    weight = {who.name: who.weight for who in council.characters}
    had_turn = finished_in(state, turn.round, turn.layer) | {*turn.seated}
    return enough(
        rules,
        spoken,
        weights={name: weight[name] for name in had_turn},
        out={name: weight[name] for name in left if name not in answered},
        kind=state["annotation"].kind,
        order=tie_order([who.name for who in council.characters], state, council),
        last=turn.round >= rules.rounds.max,
    )


def unneeded_characters(state: CouncilState, council: Council) -> tuple[str, ...]:
    """Who was not seated this round, because what the others said is enough."""
    turn = current_turn(state)
    return (
        waiting_characters(state, council, turn.round, turn.layer)
        if stops_early(state, council)
        else ()
    )


def independent_answers(state: CouncilState, council: Council) -> dict[str, str | None]:
    """What everybody answered who was asked on its own: in the first round, having read nobody.

    Who was not waited for is left out. Who failed said None, and so did whom a fallback spoke for:
    what is known of a voice says nothing of another. Empty where later layers have spoken.
    """
    late = any(p.layer > 1 for p in state["proposals"])
    if late or council.deliberation.mode == "sequential":
        return {}
    kind, proposals = state["annotation"].kind, {p.character: p for p in proposals_at(state, 1, 1)}
    unheard = {
        a.character
        for a in state["absences"]
        if (a.stage, a.round, a.layer) == ("character", 1, 1) and a.reason in ("settled", "late")
    }
    had_turn = finished_in(state, 1, 1) - unheard
    names = [name for name in asking_order(council.seats[0], state, council) if name in had_turn]
    own = [
        name
        for name in names
        if name in proposals and proposals[name].model in ("", council.character(name).model)
    ]
    answers = [answer_of(proposals[name], kind) for name in own]
    forms = {own[at]: answers[places[0]].form for places in group_equal(answers) for at in places}
    return {name: forms.get(name) for name in names}


def has_another_turn(state: CouncilState, council: Council) -> bool:
    """Whether somebody is still to speak in this round, and can be paid for."""
    return (
        next_layer(state, council) is not None
        and exceeded_budget(state, council, more_calls=1) is None
    )


def asks_ballots_in_waves(council: Council) -> bool:
    """Whether voters are asked in waves: where the council says so, or whom to ask first."""
    rules = council.deliberation
    if not rules.asks_voters or rules.stop == "all":
        return False
    return bool(rules.waves) or (rules.order != "seats" and rules.stop in EXACT)


def next_voters(state: CouncilState, council: Council) -> tuple[str, ...]:
    """The voters who are asked now: all, or up to the next wave, as few as can settle the vote."""
    pending = pending_voters(state, council)
    if not asks_ballots_in_waves(council):
        return pending
    ready = asking_order(pending, state, council)
    done = len(voters_this_round(state, council)) - len(pending)
    if council.deliberation.waves:
        sizes = (size - done for size in council.deliberation.waves if size > done)
        return ready[: next(sizes, len(ready))]
    votes: dict[Hashable, Number] = {}
    for ballot in _ballots_of_round(state):
        if ballot.choice:
            votes[ballot.choice] = votes.get(ballot.choice, 0) + exact(ballot.weight)
    leader = max(votes, key=lambda choice: votes[choice], default="")
    weights = [council.character(name).weight for name in ready]
    for size in range(1, len(ready)):
        more = total(weights[:size])
        if lossless({**votes, leader: votes.get(leader, 0) + more}, weights[size:]):
            return ready[:size]
    return ready


def is_vote_settled(state: CouncilState, council: Council, fresh: Sequence[Ballot] = ()) -> bool:
    """Whether the ballots still out can change neither the leader nor whether a round follows.

    A rule that stops earlier may let go of more.

    Args:
        state: the table.
        council: its rules.
        fresh: ballots that have just come in, while others are under way.
    """
    rules = council.deliberation
    cast = [*_ballots_of_round(state), *fresh]
    voted = {ballot.voter for ballot in cast}
    standing, kind = candidates(state, council), state["annotation"].kind
    names = [name for name in voters_this_round(state, council) if name not in voted]
    out = {name: council.character(name).weight for name in names}
    last = current_turn(state).round >= rules.rounds.max
    threshold = None if last else rules.threshold  # whether a round follows must not change either
    if is_decided(standing, cast, method=rules.method, out=out, kind=kind, threshold=threshold):
        return True
    return enough_ballots(rules, standing, cast, out=out, kind=kind)


def unasked_members(state: CouncilState, council: Council) -> list[Absence]:
    """Who was not asked this round: it was settled before, or for ballots the budget is spent."""
    turn = current_turn(state)
    absence = Absence(
        character="", reason="settled", detail="it was settled without asking", round=turn.round,
        layer=turn.layer,
    )  # fmt: skip
    absences = [
        absence.model_copy(update={"character": name})
        for name in unneeded_characters(state, council)
    ]
    if not asks_ballots_in_waves(council) or not _ballots_of_round(state):
        return absences
    vote = absence.model_copy(update={"stage": "vote"})
    if not is_vote_settled(state, council):
        reason = {"reason": "budget", "detail": "the budget does not reach for everyone"}
        vote = vote.model_copy(update=reason)
    pending = pending_voters(state, council)
    return [*absences, *(vote.model_copy(update={"character": name}) for name in pending)]


def _ballots_of_round(state: CouncilState) -> list[Ballot]:
    """The ballots that are in, of this round."""
    turn = current_turn(state)
    return [ballot for ballot in state.get("ballots", []) if ballot.round == turn.round]


def needs_more_ballots(state: CouncilState, council: Council) -> bool:
    """Whether a wave of ballots came in, and another one is to follow."""
    if not asks_ballots_in_waves(council) or not _ballots_of_round(state):
        return False
    return needs_ballots(state, council)


def needs_ballots(state: CouncilState, council: Council) -> bool:
    """Whether it pays to ask the voters: there is a choice to make, and room in the budget."""
    return wants_ballots(state, council) and ballots_within_budget(state, council) > 0


def ballots_within_budget(state: CouncilState, council: Council) -> int:
    """How many of the voters can be asked: at least half of them and two, or nobody.

    Fewer would let one or two decide for all.
    """
    voters = len(pending_voters(state, council))
    least = min(voters, max(2, (voters + 1) // 2))
    for count in range(voters, least - 1, -1):
        if exceeded_budget(state, council, more_calls=count) is None:
            return count
    return 0


def wants_ballots(state: CouncilState, council: Council) -> bool:
    """Whether there is a choice, and a method that asks the voters about it."""
    rules = council.deliberation
    if not rules.asks_voters or not pending_voters(state, council):
        return False
    if asks_ballots_in_waves(council) and _ballots_of_round(state):
        return not is_vote_settled(state, council)
    standing, kind = candidates(state, council), state["annotation"].kind
    if rules.ballots == "auto" and is_settled_by_answers(standing, kind=kind):
        return False
    groups = group_answers(standing, kind=kind)
    # One answered, or nobody: silence is no choice.
    return not any(group.silent for group in groups) or sum(not g.silent for g in groups) >= 2


def next_speakers(state: CouncilState, council: Council) -> tuple[str, ...]:
    """Who would be asked first in another round."""
    round_ = current_turn(state).round + 1
    layer = first_layer(state, council, round_)
    if layer is None:
        return ()
    ready = waiting_characters(state, council, round_, layer)
    if council.deliberation.mode == "sequential":
        return ready[:1]
    return next_wave(ready, round_, layer, state, council)


def cuts_by_budget(
    state: CouncilState, council: Council, stop: str | None, *, voted: bool
) -> list[str]:
    """What the budget left out of the round that was counted, in words: the vote, another round.

    Args:
        state: the table.
        council: its rules.
        stop: why the round is the last.
        voted: whether anybody was asked for a ballot, or there was nothing new to vote on.
    """
    turn, rounds = current_turn(state), council.deliberation.rounds
    cuts = []
    if not voted and wants_ballots(state, council):
        spent = exceeded_budget(state, council, more_calls=2)
        why = f"the budget is spent: {spent}" if spent else "the question's time was over"
        cuts.append(f"The vote was skipped ({why}); equal answers were counted.")
    if stop == "budget" and turn.round < rounds.max:
        cuts.append(f"The budget has no room for round {turn.round + 1} of {rounds.max}.")
    return cuts


def voters_of(council: Council) -> tuple[str, ...]:
    """Who may be asked for a ballot: nobody, where there is no method that asks, or no choice."""
    if not council.deliberation.asks_voters or len(council.characters) < 3:
        return ()
    return tuple(c.name for c in council.characters if c.votes)


def supersteps_at_most(council: Council) -> int:
    """The most steps one question can take, with the most rounds that any run may ask for."""
    turns = len(council.characters) if council.deliberation.mode == "sequential" else 0
    turns = max(turns, len(council.seats) + len(council.deliberation.waves))
    # Seating, thermal_wait, speaking, equality_check, quorum; thermal_wait, votes, consensus.
    a_round = 5 * turns + 3
    return 20 * a_round + 10


def check_models(state: CouncilState, council: Council, *, begins: bool) -> CouncilUpdate:
    """See that a question goes on with the chat models that it was begun with.

    Returns what is to be noted of them, where a question begins.

    Raises:
        CouncilError: some of them are not here.
    """
    keys = [key for key, model in council.models.items() if model.chat_model is not None]
    asked_with = state.get("chat_models") or []
    if begins:
        return {"chat_models": keys} if keys or asked_with else {}
    if missing := [key for key in asked_with if key not in keys]:
        raise CouncilError(
            f"the question was begun with chat models of the program's for {missing}",
            cure="open the council with the same `models`, and resume the thread",
        )
    return {}


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
