"""Everything that nodes and edges read from the state. Pure."""

from __future__ import annotations

import itertools
import random
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import wraps
from typing import Any, TypeVar

from mom_council.councils.schema import Council
from mom_council.deliberation.context import CouncilContext, QuestionSettings, steady_time
from mom_council.deliberation.conversation import question_text
from mom_council.deliberation.state import CouncilState, Seating
from mom_council.models.prices import charged_account
from mom_council.models.resolved import resolve_model
from mom_council.records import AnswerKind, EqualityJudgement, Note, Proposal, Usage
from mom_council.voting.counting import answer_of
from mom_council.voting.methods import METHODS
from mom_council.voting.reading import Answer, group_equal, may_be_same

FOR_GOOD = frozenset({"failed", "timeout", "refused"})
"""Reasons after which a character is not asked again for this question: its model has used up its
tries, or will say the same again. A late, empty or garbled one may do better in the next round."""


def council_at_depth(state: CouncilState, council: Council) -> Council:
    """The council as this question takes it: who of it is in line, and for how many rounds.

    Only where the council lets its annotator say so, and never beyond its own rounds. Who has
    failed at this question makes room for the next in line.
    """
    annotation, deliberation = state.get("annotation"), council.deliberation
    depth = annotation.depth if annotation and deliberation.depth == "annotator" else "full"
    if depth == "full":
        return council
    if depth == "deep":
        rounds = deliberation.rounds
        least = max(rounds.min, min(2, rounds.max))
        changes = {"rounds": rounds.model_copy(update={"min": least})}
        return council.model_copy(update={"deliberation": deliberation.model_copy(update=changes)})
    lost = excluded(state) | {
        a.character for a in state.get("absences", []) if a.reason in ("empty", "garbled")
    }
    first = council.seats[0]
    here = tuple(name for name in first if name not in lost) or first
    seats = here[: 1 if depth == "solo" else 3]
    rules: dict[str, Any] = {"minimum": min(deliberation.minimum, len(seats)), "cascade": False}
    if depth == "solo":
        rules["rounds"] = deliberation.rounds.model_copy(update={"min": 1, "max": 1})
    return council.model_copy(
        update={"layers": (seats,), "deliberation": deliberation.model_copy(update=rules)}
    )


def effective_council(state: CouncilState, council: Council) -> Council:
    """The council as it sits for this question: how deep, by which rules, with which weights."""
    return with_learned_weights(state, with_fitted_rules(state, council_at_depth(state, council)))


def with_fitted_rules(state: CouncilState, council: Council) -> Council:
    """The council with rules in place of those that its file leaves open.

    Where its panel was fitted: learned weights, the lossless exit, the strongest first. Where only
    agreement is known: its weights. Otherwise, for open questions, and under methods that do not
    count answers: as the council is written, and everybody is asked.
    """
    rules, trust = council.deliberation, state.get("trust")
    if trust is None:
        return council  # before the ledger is asked
    if trust.fitted is None and not trust.agreement:
        return council
    counts_answers = METHODS[rules.method].counts_answers and _asks_for_answers(state)
    fitted = counts_answers and trust.fitted is not None
    learned = counts_answers and (trust.fitted is not None or trust.agreement > 0)
    written = any(who.weight != 1 for who in council.characters)
    changes = {}
    if fitted and rules.leaves_open("stop"):
        changes["stop"] = "lossless"
    if fitted and rules.leaves_open("order"):
        changes["order"] = "strength"
    if learned and not written and rules.leaves_open("weights"):
        changes["weights"] = "learned"
    if not changes:
        return council
    return council.model_copy(update={"deliberation": rules.model_copy(update=changes)})


def _asks_for_answers(state: CouncilState) -> bool:
    """Whether the question has an answer that can be equal to another.

    Where nobody has read the question, the proposals say it: half of them state an answer.
    """
    annotation = state.get("annotation")
    kind: AnswerKind = annotation.kind if annotation else "unknown"
    if kind != "unknown":
        return kind != "open"
    proposals = state.get("proposals") or []
    stating = sum(bool(answer_of(one)) for one in proposals)
    return 2 * stating >= len(proposals)


def with_learned_weights(state: CouncilState, council: Council) -> Council:
    """The council with the weights that its voices have earned, where it is to learn them."""
    trust, rules = state.get("trust"), council.deliberation
    if rules.weights != "learned" or trust is None or not trust.weights:
        return council
    return with_weights(council, trust.weights)


def with_weights(council: Council, weights: Mapping[str, float]) -> Council:
    """The council with other weights; whom they leave out keeps its own."""
    if not weights:
        return council
    characters = tuple(
        who.model_copy(update={"weight": weights.get(who.name, who.weight)})
        for who in council.characters
    )
    return council.model_copy(update={"characters": characters})


def chosen_weights(state: CouncilState, context: QuestionSettings) -> dict[str, float]:
    """The weights that were set for this question, in a fork of it or for this run."""
    settings = state.get("settings")
    return {**(context.weights or {}), **((settings and settings.weights) or {})}


def reweighted(state: CouncilState, weights: Mapping[str, float]) -> CouncilState:
    """The table with what was said and voted so far counted by other weights."""
    proposals = [
        one.model_copy(update={"weight": weights.get(one.character, one.weight)})
        for one in state.get("proposals", [])
    ]
    ballots = [
        one.model_copy(update={"weight": weights.get(one.voter, one.weight)})
        for one in state.get("ballots", [])
    ]
    return {**state, "proposals": proposals, "ballots": ballots}


def seeded_random(state: CouncilState, council: Council, *purpose: object) -> random.Random:
    """A generator that gives the same throws for the same council seed, question and purpose."""
    return random.Random(f"{council.seed}:{zlib.crc32(question_text(state).encode())}:{purpose}")


def current_turn(state: CouncilState) -> Seating:
    """Whose turn it is; before the first seating, nobody's."""
    return state.get("seating") or Seating(round=0, layer=0)


def proposals_at(state: CouncilState, round_: int, layer: int) -> list[Proposal]:
    """The proposals of one layer in one round, in the order the council names its characters."""
    proposals = state.get("proposals", [])
    here = [p for p in proposals if p.round == round_ and p.layer == layer]
    return as_judged(here, state)


def as_judged(proposals: list[Proposal], state: CouncilState) -> list[Proposal]:
    """Proposals, each counted as the answer that it was judged to mean."""
    judgements = state.get("judgements") or ()
    if not judgements:
        return proposals
    return with_judgements(proposals, judgements, state["proposals"], state["annotation"].kind)


def finished_in(state: CouncilState, round_: int, layer: int) -> set[str]:
    """Who has had a turn in a layer: spoken, or been noted absent."""
    return {p.character for p in proposals_at(state, round_, layer)} | {
        a.character
        for a in state.get("absences", [])
        if a.stage == "character" and (a.round, a.layer) == (round_, layer)
    }


def notes_of(values: Mapping[str, Any]) -> tuple[Note, ...]:
    """What is noted of the question so far; version 0.1 kept the texts alone."""
    notes = values.get("notes") or ()
    return tuple(one if isinstance(one, Note) else Note(text=str(one)) for one in notes)


def a_step_failed(state: CouncilState) -> bool:
    """Whether a step that reads the question or compares answers came to nothing."""
    return any(note.kind == "step_failed" for note in notes_of(state))


def pending_speakers(state: CouncilState) -> tuple[str, ...]:
    """The seated who have neither spoken nor been noted absent."""
    turn = current_turn(state)
    done = finished_in(state, turn.round, turn.layer)
    return tuple(name for name in turn.seated if name not in done)


def dropout_names(
    state: CouncilState, council: Council, round_: int, layer: int
) -> tuple[str, ...]:
    """Who dropout leaves out of a layer this round; never everyone."""
    if not council.synthesizer.dropout:
        return ()
    names = council.seats[layer - 1]
    throw = seeded_random(state, council, "dropout", round_, layer)
    out = [name for name in names if throw.random() < council.synthesizer.dropout]
    if len(out) == len(names):
        out.remove(throw.choice(out))
    return tuple(out)


def waiting_characters(
    state: CouncilState, council: Council, round_: int, layer: int
) -> tuple[str, ...]:
    """Who of a layer is still to be seated this round."""
    without = (
        excluded(state)
        | finished_in(state, round_, layer)
        | {*dropout_names(state, council, round_, layer)}
    )
    names = asking_order(council.seats[layer - 1], state, council)
    return tuple(name for name in names if name not in without)


def asking_order(names: Sequence[str], state: CouncilState, council: Council) -> tuple[str, ...]:
    """Whom to ask first: as it is written, the cheapest, or the strongest. Unknown prices last."""
    order, trust = council.deliberation.order, state.get("trust")
    if order == "price":
        return tuple(sorted(names, key=lambda name: _price(name, council)))
    if order == "strength" and trust is not None:
        return tuple(sorted(names, key=lambda name: -trust.strength.get(name, -1.0)))
    return tuple(names)


def tie_order(names: Iterable[str], state: CouncilState, council: Council) -> tuple[str, ...]:
    """Whom ties favour: the strongest, where strength is known; else as it is written.

    A council that is written to ask by seat breaks ties by seat. One that asks the cheapest first
    does not break ties for the cheapest: that lost 0.6 to 1.0 points on MMLU-Pro.
    """
    trust, listed = state.get("trust"), tuple(names)
    if council.deliberation.order == "seats" or trust is None:
        return listed
    return tuple(sorted(listed, key=lambda name: -trust.strength.get(name, -1.0)))


def _price(name: str, council: Council) -> float:
    return _model_price(council.character(name).model, council)


def _model_price(key: str, council: Council) -> float:
    """Of a model, for comparing: what it reads and what it writes count alike."""
    price = council.models[key].price
    return float("inf") if price is None else price.input + price.output


def excluded(state: CouncilState) -> set[str]:
    """Characters that are not asked again for this question."""
    return {a.character for a in state.get("absences", []) if a.reason in FOR_GOOD}


def candidates(state: CouncilState, council: Council) -> list[Proposal]:
    """What can be voted for: the latest round's proposals of the deepest layer that gave any."""
    return latest_proposals(state, council, before=current_turn(state).round + 1)


def synthesizer_order(state: CouncilState, council: Council) -> list[Proposal]:
    """What the synthesizer reads, in its order: the candidates, or every layer's proposals.

    A seeded few are left out where the council says so (`synthesizer.omit`), never all.
    """
    proposals = candidates(state, council)
    if council.synthesizer.reads == "every" and proposals:
        deepest = max(one.layer for one in proposals)
        proposals = [*earlier_layers(state, council, deepest), *proposals]
        # A character has one seat; who is a candidate already is not read twice.
        proposals = list({one.character: one for one in proposals}.values())
    if council.synthesizer.omit and proposals:
        throw = seeded_random(state, council, "omit")
        rest = [one for one in proposals if throw.random() >= council.synthesizer.omit]
        proposals = rest or [throw.choice(proposals)]
    if council.synthesizer.shuffle:
        seeded_random(state, council, "synthesizer").shuffle(proposals)
    return proposals


R = TypeVar("R")
_TABLES = 4
"""Of the last supersteps; whoever speaks at the same time reads the same one."""


def once_a_table(read: Callable[[CouncilState, Council, int], R]) -> Callable[..., R]:
    """Remember what a function read off a table, for everybody who sits at it.

    A table is known by its values themselves, which are never changed: each step makes new ones.
    """
    recent: list[tuple[tuple[int, ...], tuple[Any, ...], R]] = []

    @wraps(read)
    def remembered(state: CouncilState, council: Council, round_: int) -> R:
        nonlocal recent
        values = (council, *state.values())
        key = (round_, *map(id, values))
        for earlier_key, _, result in recent:
            if earlier_key == key:
                return result
        result = read(state, council, round_)
        recent = [(key, values, result), *recent[: _TABLES - 1]]  # with what its key stands for
        return result

    return remembered


def latest_proposals(state: CouncilState, council: Council, *, before: int) -> list[Proposal]:
    """What could be voted for when the round `before` began.

    Who missed that round stands by what it proposed last, unless dropout left it out.
    """
    return [*_standing_proposals(state, council, before)]


@once_a_table
def _standing_proposals(state: CouncilState, council: Council, before: int) -> list[Proposal]:
    for round_ in range(before - 1, 0, -1):
        proposals = _counted_proposals(state, council, round_)
        if proposals:
            layer = max(one.layer for one in proposals)
            standing = [*proposals, *_standing_by(state, council, round_, layer)]
            judged = as_judged(_restore_weights(standing, state, council), state)
            return sort_by_seat(judged, state, council)
    return []


def answers_unread(council: Council) -> bool:
    """Whether a later layer answers by itself, without reading the one before it."""
    return council.deliberation.cascade and council.deliberation.escalation != "reads"


def _counted_proposals(state: CouncilState, council: Council, round_: int) -> list[Proposal]:
    """The proposals of a round that count: those of the deepest layer that gave any.

    In a cascade whose strong layer answers by itself: those of the deepest layer that states an
    answer, or of all layers where it only joins.
    """
    layers = [proposals_at(state, round_, at) for at in range(len(council.seats), 0, -1)]
    spoken = [layer for layer in layers if layer]
    if not spoken or not answers_unread(council):
        return spoken[0] if spoken else []
    kind = state["annotation"].kind
    stating = [layer for layer in spoken if any(answer_of(one, kind) for one in layer)]
    if stating and council.deliberation.escalation == "joins":
        return [one for layer in spoken for one in layer]
    return (stating or spoken)[0]


def _restore_weights(
    proposals: list[Proposal], state: CouncilState, council: Council
) -> list[Proposal]:
    """Proposals with their written weights, where they turned out to have no answers to count.

    Without an annotator nobody knows before they speak that a question is an open one.
    """
    trust = state.get("trust")
    if trust is None or not trust.weights or council.deliberation.weights == "learned":
        return proposals
    return [
        one.model_copy(update={"weight": council.character(one.character).weight})
        if one.weight == trust.weights.get(one.character)
        else one
        for one in proposals
    ]


def _standing_by(
    state: CouncilState, council: Council, round_: int, layer: int
) -> Iterable[Proposal]:
    """The last proposals of a layer's characters who were to speak in a round, and did not."""
    without = {p.character for p in proposals_at(state, round_, layer)}
    without |= {*dropout_names(state, council, round_, layer)}
    last = {
        p.character: p
        for p in state.get("proposals", [])
        if p.layer == layer and p.round < round_ and p.character not in without
    }
    return last.values()


def previous_layer(state: CouncilState, council: Council) -> list[Proposal]:
    """What the nearest earlier layer of this round that spoke has proposed.

    All earlier layers, where the council says so (`deliberation.hears: every`).
    """
    turn = current_turn(state)
    if council.deliberation.hears == "every":
        return earlier_layers(state, council, turn.layer)
    for layer in range(turn.layer - 1, 0, -1):
        proposals = proposals_at(state, turn.round, layer)
        if proposals:
            return sort_by_seat(proposals, state, council)
    return []


def earlier_layers(state: CouncilState, council: Council, before: int) -> list[Proposal]:
    """What the layers of this round before the layer `before` have proposed, in order."""
    return [
        proposal
        for layer in range(1, before)
        for proposal in sort_by_seat(
            proposals_at(state, current_turn(state).round, layer), state, council
        )
    ]


def paired_proposal(name: str, read: Sequence[Proposal], council: Council) -> list[Proposal]:
    """Of an earlier layer's proposals, the one from the place that `name` has in its own layer.

    Nothing where that place is not there, or its character was absent.
    """
    seat = next((layer.index(name) for layer in council.seats if name in layer), None)
    return [
        p
        for p in read
        if seat is not None and council.seats[p.layer - 1][seat:][:1] == (p.character,)
    ]


def sort_by_seat(
    proposals: Iterable[Proposal], state: CouncilState, council: Council
) -> list[Proposal]:
    """Sorted in the order that breaks ties, by default as the file names the characters."""
    names = tie_order([character.name for character in council.characters], state, council)
    place = {name: i for i, name in enumerate(names)}
    return sorted(proposals, key=lambda p: place.get(p.character, len(place)))


def voters_this_round(state: CouncilState, council: Council) -> tuple[str, ...]:
    """Who votes this round: those who spoke in it, are still here, and have a choice to make.

    Nobody is offered its own proposal, so a voter needs two others: among two proposers a vote
    would only say that each prefers the other's.
    """
    return _voters_of_round(state, council, current_turn(state).round)


@once_a_table
def _voters_of_round(state: CouncilState, council: Council, round_: int) -> tuple[str, ...]:
    standing = candidates(state, council)
    spoke = {p.character for p in state.get("proposals", []) if p.round == round_}
    spoke -= excluded(state)
    own = Counter(p.character for p in standing)
    return tuple(
        c.name
        for c in council.characters
        if c.votes and c.name in spoke and len(standing) - own[c.name] >= 2
    )


def pending_voters(state: CouncilState, council: Council) -> tuple[str, ...]:
    """Voters whose ballot of this round is neither cast nor given up."""
    turn = current_turn(state)
    done = {b.voter for b in state.get("ballots", []) if b.round == turn.round}
    done |= {
        a.character
        for a in state.get("absences", [])
        if a.stage == "vote" and a.round == turn.round
    }
    return tuple(name for name in voters_this_round(state, council) if name not in done)


def total_usage(state: CouncilState) -> Usage:
    """What the question has used so far."""
    return sum((segment.usage for segment in state.get("segments", [])), Usage())


def remaining_seconds(
    state: CouncilState, council: Council, context: CouncilContext
) -> float | None:
    """Seconds left of the question's budget, None without a limit. Time asleep is not charged."""
    if council.budget.seconds is None:
        return None
    now = steady_time()
    # Another program asked it, by a clock that was ahead of this one's: its time counts from now.
    times = [one for one in (state["asked_at"], context.resumed_at) if one and one <= now]
    begun = max(times, default=now)
    return max(0.0, council.budget.seconds - (now - begun))


def reader_seconds(state: CouncilState, council: Council, context: CouncilContext) -> float | None:
    """Seconds that whoever reads the question first may take: half of what is left of the budget.

    A reader that hangs must leave the council time to answer.
    """
    left = remaining_seconds(state, council, context)
    return None if left is None else left / 2


def spends_within_limits(council: Council) -> bool:
    """Whether calls, tokens or dollars are limited: the question's, or what it is a part of."""
    budget = council.budget
    limits = (budget.calls, budget.tokens, budget.usd)
    return charged_account() is not None or any(limit is not None for limit in limits)


def exceeded_budget(state: CouncilState, council: Council, *, more_calls: int = 0) -> str | None:
    """Which budget is spent, in words, or None; `more_calls` are those about to be made.

    One call is always kept back for the synthesizer. How much a call will take is not known before
    it is reserved (`models.spending`); until then each counts as what one has taken so far.
    """
    budget = council.budget
    if budget.calls is None and budget.tokens is None and budget.usd is None:
        return None
    used = total_usage(state)
    if budget.calls is not None and used.calls + more_calls + 1 > budget.calls:
        return f"{used.calls} of {budget.calls} calls"
    # Where nobody has proposed anything yet there is nothing to fall back on, so it is tried.
    foreseen = more_calls and used.calls and state.get("proposals")
    further = (more_calls + 1) / used.calls if foreseen else 0.0
    tokens, usd = used.tokens or 0, used.usd or 0.0
    if budget.tokens is not None and _is_reached(tokens, further, budget.tokens):
        return f"{tokens} of {budget.tokens} tokens"
    if budget.usd is not None and _is_reached(usd, further, budget.usd):
        return f"{usd:.4f} of {budget.usd:.4f} dollars"
    return None


def _is_reached(spent: float, further: float, limit: float) -> bool:
    """Whether a limit is spent, or will be by as many times the same."""
    return spent >= limit or spent * (1 + further) > limit


_PAIRS = 12
"""Pairs that are judged in one call."""


def doubtful_pairs(
    spoken: Sequence[Proposal], state: Any, council: Council
) -> list[tuple[str, str]]:
    """The pairs of answers, as written, that may mean the same and have not been judged yet.

    Args:
        spoken: the proposals, with what was judged so far.
        state: the table.
        council: its rules; none are in doubt where it does not ask.
    """
    if not council.deliberation.ask_doubtful:
        return []
    kind = state["annotation"].kind
    answers = [answer_of(proposal, kind) for proposal in spoken]
    distinct = [answers[places[0]] for places in group_equal(answers)]
    judged = {frozenset((one.one, one.other)) for one in state.get("judgements", ())}
    pairs = [
        (one.form or "", other.form or "")
        for one, other in itertools.combinations(distinct, 2)
        if may_be_same(one, other)
    ]
    return [pair for pair in pairs if frozenset(pair) not in judged][:_PAIRS]


def unclustered_proposals(
    spoken: Sequence[Proposal], state: Any, council: Council
) -> list[Proposal]:
    """All proposals without a short answer, where one was not yet sorted by what it says.

    Empty where the council does not sort them, or where all are the same words.
    """
    if not council.deliberation.cluster_open:
        return []
    kind = state["annotation"].kind
    texts = [one for one in spoken if not one.truncated and _own_answer(one, kind).type == "open"]
    sorted_ids = {id_ for one in state.get("judgements", ()) for id_ in (one.one, one.other)}
    fresh = any(one.id not in sorted_ids for one in texts)
    return texts if fresh and len({one.text for one in texts}) > 1 else []


def judge_model(council: Council) -> str | None:
    """The key of the model that judges: the annotator's, else the cheapest of the characters'.

    Of equal or unknown prices the first; None where only people sit in the council.
    """
    if council.annotator is not None:
        return council.annotator.model
    keys = [
        who.model for who in council.characters if not resolve_model(council, who.model).is_person
    ]
    return min(keys, key=lambda key: _model_price(key, council), default=None)


def with_judgements(
    proposals: list[Proposal],
    judgements: Sequence[EqualityJudgement],
    spoken: Sequence[Proposal],
    kind: AnswerKind = "unknown",
) -> list[Proposal]:
    """The proposals, each with the text whose answer it was judged to mean.

    Args:
        proposals: to be read.
        judgements: of this question.
        spoken: every proposal of the question, in order: the first of equal answers stands for all.
        kind: of the question's answer.
    """
    same = [one for one in judgements if one.same]
    if not same:
        return proposals
    first: dict[str, Proposal] = {}
    for proposal in (*spoken, *proposals):
        first.setdefault(_name_of_answer(proposal, kind), proposal)
    root: dict[str, str] = {}
    for one in same:
        left, right = (_root(form, root) for form in (one.one, one.other))
        if left != right:
            root[right] = left

    def as_judged(proposal: Proposal) -> Proposal:
        form = _name_of_answer(proposal, kind)
        source = first.get(_root(form, root)) if form in root else None
        return proposal.model_copy(update={"counts_as": source.text}) if source else proposal

    return [as_judged(proposal) for proposal in proposals]


def _root(form: str, root: dict[str, str]) -> str:
    while form in root:
        form = root[form]
    return form


def _name_of_answer(proposal: Proposal, kind: AnswerKind) -> str:
    """How judgements name what a proposal answers: its short form, else the proposal."""
    return _own_answer(proposal, kind).form or proposal.id


def _own_answer(proposal: Proposal, kind: AnswerKind) -> Answer:
    return answer_of(proposal.model_copy(update={"counts_as": ""}), kind)
