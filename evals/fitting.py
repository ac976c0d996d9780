"""Fit a vote to recorded outcomes; teach the ledger from a recording, or from a person's thumb.

A thumb judges the answer; who had given that very answer is judged with it. A thumb up says of
those who had given another one that they were wrong; a thumb down says nothing of them. Open
answers equal nobody's, so from a thumb on one of them nothing is learned.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

from langchain_core.messages import AIMessage
from langgraph.checkpoint.base import BaseCheckpointSaver

from mom_council.councils.recording import Fold, RecordedQuestion, in_fold, load_recording
from mom_council.councils.schema import Council
from mom_council.errors import UnknownNameError
from mom_council.evals.sheet import Sheet, lay_out, leaders, tally, voter_weights
from mom_council.models.ledger import Ledger, Outcome, kind_of, name_of
from mom_council.records import AnswerKind, Proposal
from mom_council.runs.threads import read_values
from mom_council.voting.agreement import (
    LEAST,
    Agreement,
    Row,
    measure_agreement,
)
from mom_council.voting.calibration import platt_line
from mom_council.voting.counting import answer_of
from mom_council.voting.fitted import Fitted, Trust
from mom_council.voting.prior import (
    Pattern,
    PriorType,
    kind_name,
    pattern_of,
    prior_type,
    sharpen,
    shipped_prior,
)
from mom_council.voting.reading import Answer, are_same, read_answer, read_value
from mom_council.voting.weights import (
    FoldVote,
    LearnedVote,
    VoteCase,
    choose_pull,
    choose_share,
    learn,
    temper,
    without_light,
)


def outcomes(values: Mapping[str, Any], *, up: bool) -> list[Outcome]:
    """What a thumb on the last answer of a thread says of its models.

    Args:
        values: of the thread.
        up: whether the answer was right.
    """
    messages, trust = values.get("messages") or [], values.get("trust")
    if not messages or not isinstance(messages[-1], AIMessage) or not isinstance(trust, Trust):
        return []
    annotation = values.get("annotation")
    kind: AnswerKind = annotation.kind if annotation else "unknown"
    first: dict[str, Proposal] = {}
    for proposal in values.get("proposals", []):
        first.setdefault(proposal.character, proposal)  # what it said before it heard the others
    options = next((proposal.options for proposal in first.values()), {})
    final = read_answer(messages[-1].text, kind=kind, options=options)
    if not final:
        return []
    marks = []
    for name, proposal in first.items():
        answer = answer_of(proposal, kind)
        same = are_same(answer, final)
        if answer and name in trust.voices and (up or same):
            right = up and same
            marks.append(Outcome(trust.voices[name], trust.kind or "general", right, "thumb"))
    return marks


async def rate(
    saver: BaseCheckpointSaver[Any],
    thread: str,
    *,
    up: bool | None,
    answer: str | None = None,
    ledger: Ledger | None = None,
) -> int:
    """Have the ledger learn from a thumb; how many models it says something of.

    The last thumb on an answer counts; None takes it back.

    Args:
        saver: where the thread is kept.
        thread: its name.
        up: the thumb.
        answer: the id of the message it is on. Of an earlier answer than the last nothing is
            learned: who said what is no longer known.
        ledger: who learns; this machine's if left out.

    Raises:
        StorageError: the thread or the ledger cannot be read.
    """
    values = await read_values(saver, thread)
    messages = values.get("messages") or []
    last = messages[-1].id if messages else None
    if last is None or answer not in (None, last):
        return 0
    learned = [] if up is None else outcomes(values, up=up)
    origin = f"thumb {thread} {last}"
    await asyncio.to_thread((ledger or Ledger()).learn, learned, origin=origin)
    return len(learned)


_FOLDS = 5
_FEW = 100
"""Labelled questions below which agreement weights, blended with the labels, are the learned vote:
with so few, outcomes cannot tell how voters err together."""
_PANELS = 12
"""Random panels of each size that a fit for any panel stands on."""
_MOST = 4000
"""Cases of each size, of all those panels together."""


def fit_panel(
    cal: Sheet,
    kind: str = "general",
    *,
    seed: int = 0,
    unlabelled: Mapping[Row, float] | None = None,
) -> Fitted:
    """Fit everything that a council of just these models can use.

    With under a hundred questions, what the panel's agreement says counts beside the outcomes.

    Args:
        cal: outcomes to learn from.
        kind: of question.
        seed: of the folds of the cross-validation.
        unlabelled: what the panel answered to questions without a gold answer, and how often; in
            the order of the sheet's columns.
    """
    few = len(cal.lines) < _FEW
    order, moved = cal.strongest_first(), {}
    if few:
        fit = measure_agreement(unlabelled or {}, Counter((x.said, x.right) for x in cal.lines))
        order = sorted(range(len(cal.models)), key=lambda voter: -fit.rates[voter])
        moved = _moved_prior(cal, kind, fit)
    ranked = cal.of(order)
    if few:
        weights = [fit.vote.weights[voter] for voter in order]
        vote, (slope, shift) = LearnedVote(tuple(weights), fit.vote.none), (1.0, 0.0)
    else:
        weights = voter_weights(ranked)
        vote, (slope, shift) = _learn_vote(ranked, seed)
    steps = [
        temper(ranked.of(range(number)).cases, weights[:number])
        for number in range(1, len(ranked.models) + 1)
    ]
    return Fitted(
        kind=kind,
        questions=len(cal.lines),
        options=cal.options,
        models=ranked.models,
        weights=tuple(weights),
        joint=vote.weights,
        none=vote.none,
        slope=slope,
        shift=shift,
        steps=tuple(_step(step, weights) for step in steps),
        few=few,
        **moved,
    )


def _moved_prior(cal: Sheet, kind: str, agreement: Agreement) -> dict[str, Any]:
    """How far the shipped prior lies from these outcomes."""
    vote = agreement.vote if agreement.questions >= LEAST else None
    judged: dict[PriorType, list[tuple[Pattern, float, str]]] = {}
    for line in cal.lines:
        first = leaders(Counter(one for one in line.said if one is not None))
        read = read_value(first[0]) if first else None
        type_ = prior_type(read.type) if read else None
        if type_ is not None:
            right = sum(one in line.right for one in first) / len(first)
            name = kind_name(shipped_prior(), type_, [kind])
            pattern = pattern_of(line.said, first[0], vote)
            judged.setdefault(type_, []).append((pattern, right, name))
    if not judged:
        return {"agreement": agreement.questions}
    main = max(judged, key=lambda one: len(judged[one]))
    shift, spread = sharpen(judged[main], main)
    return {"agreement": agreement.questions, "prior_shift": shift, "prior_spread": spread}


def fit_any(cal: Sheet, kind: str = "general", *, seed: int = 0) -> Fitted:
    """Fit how much so many voices prove together, whoever of these models they are.

    For a panel that was not recorded itself: the weights come from each model's own record.
    """
    weights = voter_weights(cal)
    dice = random.Random(seed)
    steps = []
    for number in range(1, len(cal.models) + 1):
        panels = list(combinations(range(len(cal.models)), number))
        panels = dice.sample(panels, min(_PANELS, len(panels)))
        each = max(1, _MOST // len(panels))
        cases: list[VoteCase] = []
        for panel in panels:
            lines = cal.lines if len(cal.lines) <= each else dice.sample(cal.lines, each)
            cases += [_of(line.case, frozenset(panel)) for line in lines]
        steps.append(_step(temper(cases, weights), weights))
    return Fitted(
        kind=kind, questions=len(cal.lines), options=max(2.0, cal.options), steps=tuple(steps)
    )


def _learn_vote(cal: Sheet, seed: int) -> tuple[LearnedVote, tuple[float, float]]:
    """The learned vote, and the correction of its probability.

    How light a voice is left out, and the correction, are fitted to lines that the vote had not
    learned from: on those that it had, every vote looks better than it is.
    """
    number = len(cal.models)
    pull = choose_pull(cal.cases, number)
    order = list(cal.lines)
    random.Random(seed).shuffle(order)
    folds: list[FoldVote] = []
    for fold in range(_FOLDS):
        rest = [line.case for at, line in enumerate(order) if at % _FOLDS != fold]
        if rest:
            held = [line.case for line in order[fold::_FOLDS]]
            folds.append(FoldVote(learn(rest, number, pull=pull), rest, held))
    vote = learn(cal.cases, number, pull=pull)
    share = choose_share(vote, cal.cases, folds)
    pairs: list[tuple[float, float]] = []
    for each in folds:
        sparse = without_light(each.vote, share, each.kept)
        pairs += [
            (chance, right)
            for case in each.held
            if case.groups
            for chance, right in [sparse.leader(case)]
        ]
    vote = without_light(vote, share, cal.cases)
    if not pairs:
        return vote, (1.0, 0.0)
    return vote, platt_line([each[0] for each in pairs], [each[1] for each in pairs])


def _step(vote: LearnedVote, weights: Sequence[float]) -> tuple[float, float]:
    """The scale and the score of nobody that a tempered vote stands on."""
    heavy = max(range(len(vote.weights)), key=lambda at: weights[at])
    return (vote.weights[heavy] / weights[heavy] if weights[heavy] else 0.0), vote.none


def _of(case: VoteCase, panel: frozenset[int]) -> VoteCase:
    """A case as it is where only some were asked."""
    groups = [
        (at, members)
        for at, group in enumerate(case.groups)
        if (members := tuple(voter for voter in group if voter in panel))
    ]
    right = next((new for new, (old, _) in enumerate(groups) if old == case.right), None)
    return VoteCase(tuple(group for _, group in groups), right)


_LARGEST = 16
"""Models of a panel that is fitted without being named; of more, a council says which."""
_LEAST = 20
"""Questions without which nothing is fitted for any panel: two numbers need some."""


class FitResult(NamedTuple):
    """What came of it."""

    answers: int
    fits: tuple[Fitted, ...]
    whole: bool = False
    """Whether every question of the recording was learned from."""


def teach(
    ledger: Ledger,
    path: Path | str,
    *,
    council: Council | None = None,
    kind: str = "",
    fold: Fold | None = "cal",
) -> FitResult:
    """Learn from a recording.

    Args:
        ledger: what is taught.
        path: the recording.
        council: whose panel is fitted; one of all recorded models if left out.
        kind: of all its questions; what each says of itself if left out. Where they say several,
            the fits are of `general`.
        fold: `cal` by default; None takes every question, and one of a single fold is taken whole.

    Raises:
        RecordingError: it cannot be read, or holds no judged answer of that fold.
        UnknownNameError: a model of the council is not in the recording.
    """
    answers = ledger.fit(path, fold=fold, kind=kind)
    chosen = in_fold(load_recording(path), fold)
    judged = [q for q in chosen if q.gold is not None]
    unjudged = [q for q in chosen if q.gold is None]
    kinds = {kind or kind_of(question) for question in judged}
    sort = kinds.pop() if len(kinds) == 1 else "general"
    models = dict.fromkeys(name for question in judged for name in question.models)
    fits = []
    if len(models) > 1 and len(judged) >= _LEAST:
        fits.append(fit_any(sheet_of(judged, [*models]), sort))
    seats = [*models] if council is None else columns(council, judged)
    if 1 < len(seats) <= _LARGEST or council is not None:
        sheet = sheet_of(judged, seats)
        if council is not None:
            names = [council.models[council.character(one).model] for one in council.seats[0]]
            sheet = replace(sheet, models=tuple(map(name_of, names)))
        unlabelled: Counter[Row] = Counter(x.said for x in lay_out(unjudged, seats).lines)
        fits.append(fit_panel(sheet, sort, unlabelled=unlabelled))
    for one in fits:
        ledger.keep(one, origin=Path(path).name)
    return FitResult(answers, tuple(fits), whole=len(chosen) == len(load_recording(path)))


def most_informative(
    questions: Sequence[RecordedQuestion], seats: Sequence[str], number: int = 10
) -> list[RecordedQuestion]:
    """The questions without a gold answer whose answer would teach most about a panel.

    Those on which the votes, weighed by agreement, are closest: there a person's answer says most
    about who is to be believed. Where all say the same it says next to nothing.
    """
    open_ = [one for one in questions if one.gold is None]
    rows = {one.id: line.said for one, line in zip(open_, lay_out(open_, seats).lines, strict=True)}
    split = [one for one in open_ if len({*rows[one.id]} - {None}) > 1]
    if not split:
        return []
    weights = measure_agreement(Counter(rows.values())).vote.weights

    def lead(one: RecordedQuestion) -> float:
        first, second, *_ = sorted(tally(rows[one.id], weights).values(), reverse=True)
        return (first - second) / sum(weights)

    return sorted(split, key=lead)[:number]


def judge(question: RecordedQuestion, right: str) -> RecordedQuestion:
    """The question with a gold answer, and who of the models had given it."""
    gold = read_value(right)
    models = {
        name: answer.model_copy(update={"ok": int(_equals(answer.ans, right, gold))})
        for name, answer in question.models.items()
    }
    return question.model_copy(update={"gold": right, "models": models})


def _equals(answer: str | None, right: str, gold: Answer | None) -> bool:
    if answer is None:
        return False
    read = read_value(answer)
    return answer == right or bool(read and gold and are_same(read, gold))


def sheet_of(questions: Sequence[RecordedQuestion], seats: Sequence[str]) -> Sheet:
    """The sheet of recorded seats, its columns called as the ledger calls their models."""
    names = []
    for seat in seats:
        models = (question.models[seat].model for question in questions if seat in question.models)
        names.append(next((name for name in models if name), None) or seat)
    return replace(lay_out(questions, seats), models=tuple(names))


def columns(council: Council, questions: Sequence[RecordedQuestion]) -> list[str]:
    """The recorded seats of a council's first layer: under the character's name, or its model's.

    Raises:
        UnknownNameError: one was not recorded.
    """
    recorded = dict.fromkeys(name for question in questions for name in question.models)
    seats = []
    for name in council.seats[0]:
        spec = council.models[council.character(name).model]
        seat = next((each for each in (name, name_of(spec), spec.model) if each in recorded), None)
        if seat is None:
            raise UnknownNameError(f"{name_of(spec)!r} was not recorded; there are {[*recorded]}")
        seats.append(seat)
    return seats
