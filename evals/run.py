"""Run one case: the whole council through its graph, and each member alone.

A member's own answer is what it proposed in the first layer of the first round, where it had read
nobody's; so the baselines cost nothing more. Who spoke otherwise (in a later layer, after others)
or was cut off for being late is asked on its own.

A replayed call costs nothing, but the call that was recorded did: where a council is replayed, its
characters are charged what the recording says. Votes and syntheses were not recorded, and stay
free; a report says so.

Evaluating a council: the council, its members alone, and what else one could have done.

The baselines are always there: each member alone, a plain majority of their answers, several
samples of the best member, and the oracle (any member right), which no vote can beat.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from langchain_core.messages import HumanMessage

from mom_council.councils.recording import RecordedAnswer, load_recording
from mom_council.councils.schema import Character, Council, Model
from mom_council.errors import StorageError
from mom_council.evals.asking import (
    SoloAnswer,
    ask_alone,
    describe_fault,
    map_concurrently,
    refuse_nothing_finished,
)
from mom_council.evals.cases import Case
from mom_council.evals.scorecard import (
    COUNCIL,
    SELF,
    EvalJournal,
    EvalRow,
    Scorecard,
    member,
    plurality_of,
    score_up,
)
from mom_council.evals.scorers import SCORERS, Mark, suits
from mom_council.models.ledger import Ledger, Outcome, Source, name_of
from mom_council.records import Proposal, Segment, Status, Usage
from mom_council.runs.ask import OpenCouncil, Run
from mom_council.runs.words import counted
from mom_council.vendors import vendor_of


def charged(segment: Segment, council: Council, case: Case) -> Usage:
    """What a speaking cost; of a replayed character, what it cost when it was recorded."""
    spec = council.models.get(segment.model)
    if spec is None or not vendor_of(spec.provider).is_recording or segment.node != "character":
        return segment.usage
    return recorded(segment.usage, spec, case)


def recorded(usage: Usage, spec: Model, case: Case) -> Usage:
    """The usage of a replayed call with the price and the time of the recorded one."""
    answer = _answers(str(spec.params.get("recording", ""))).get(
        (case.question.strip(), case.options)
    )
    original = answer.get(spec.model) if answer else None
    if original is None:
        return usage
    seconds = usage.seconds if original.seconds is None else original.seconds
    usd = usage.usd if original.usd is None else original.usd
    return usage.model_copy(update={"usd": usd, "seconds": seconds})


def critical_path(spoken: Iterable[tuple[Segment, Usage]], *, in_turn: bool = False) -> float:
    """Seconds: those who speak together take as long as the slowest of them.

    Args:
        spoken: every speaking with its usage.
        in_turn: characters speak one after the other, and each takes its time.
    """
    slowest: dict[tuple[str, str, int, int], float] = {}
    for segment, usage in spoken:
        alone = segment.name if in_turn and segment.node == "character" else ""
        step = (segment.node, alone, segment.round, segment.layer)
        slowest[step] = max(slowest.get(step, 0.0), usage.seconds)
    return sum(slowest.values())


@functools.lru_cache(maxsize=4)
def _answers(path: str) -> dict[tuple[str, tuple[str, ...] | None], dict[str, RecordedAnswer]]:
    return {(one.question.strip(), one.options): one.models for one in load_recording(path)}


_NOT_ITS_FAULT = frozenset({"late", "budget", "dropped", "settled"})
"""Absences that say nothing of how good a member is: it is asked again, on its own."""

_KEYS = ["messages", "status", "proposals", "absences", "segments"]


async def play(
    opened: OpenCouncil,
    case: Case,
    *,
    scorer: str = "auto",
    alone: bool = True,
) -> list[EvalRow]:
    """The rows of one case: the council's, and each member's where `alone`."""
    council = opened.council
    run = Run(opened, [HumanMessage(case.prompt)], state_keys=_KEYS, traced=False)
    state: Mapping[str, Any] = {}
    try:
        state = await run.finish()
        row = await _council_row(council, case, state, scorer)
    except Exception as error:
        # The council had no answer, which is an outcome of the council; its members may have one.
        row = EvalRow(case=case.key, system=COUNCIL, ok=False, error=describe_fault(error))
    if not alone:
        return [row]

    async def act(who: Character) -> EvalRow:
        try:
            return await _member_row(council, who, case, state, scorer)
        except Exception as error:
            fault = describe_fault(error)
            return EvalRow(case=case.key, system=member(who.name), ok=False, error=fault)

    return [row, *await asyncio.gather(*map(act, council.characters))]


async def sample(
    council: Council, who: Character, case: Case, *, samples: int, scorer: str = "auto"
) -> EvalRow:
    """Several samples of one member, the most frequent answer counting (Self-MoA's vote).

    A member without a temperature of its own is asked at 0.8, so that its samples differ.
    """
    heat = 0.8 if who.temperature is None else who.temperature
    solos = await asyncio.gather(
        *(ask_alone(council, who, case, temperature=heat) for _ in range(samples))
    )
    marks = [await mark(solo.text, case, scorer) for solo in solos]
    chosen, share = plurality_of([one.answer for one in marks])
    best = marks[chosen] if chosen is not None else marks[0]
    return EvalRow(
        case=case.key,
        system=SELF,
        ok=best.ok,
        answer=best.answer,
        confidence=share,
        usage=sum((solo.usage for solo in solos), Usage()),
        seconds=max(solo.usage.seconds for solo in solos),
        error="; ".join(solo.error for solo in solos if solo.error)[:500],
    )


async def mark(text: str, case: Case, scorer: str = "auto") -> Mark:
    """Mark an answer, off the event loop: code has to run."""
    score = SCORERS[suits(case) if scorer == "auto" else scorer]
    if not text.strip():
        return Mark(ok=False, note="nothing was answered")
    return await asyncio.to_thread(score, text, case)


async def _council_row(
    council: Council, case: Case, state: Mapping[str, Any], scorer: str
) -> EvalRow:
    status: Status = state["status"]
    text = str(state["messages"][-1].content)
    marked = await mark(text, case, scorer)
    spoken = [(one, charged(one, council, case)) for one in state["segments"]]
    verdict = status.verdict
    led = verdict.options[0].answer if verdict and verdict.leader and verdict.options else None
    confidence = None
    if verdict is not None and verdict.leader is not None:
        confidence = verdict.share if verdict.confidence is None else verdict.confidence
    agrees = None
    if led is not None and marked.answer is not None:
        leader = next(p for p in state["proposals"][::-1] if p.character == verdict.leader)  # type: ignore[union-attr]
        agrees = (await mark(leader.text, case, scorer)).answer == marked.answer
    return EvalRow(
        case=case.key,
        system=COUNCIL,
        ok=marked.ok,
        answer=marked.answer,
        text=text,
        confidence=confidence,
        calibrated=verdict is not None and verdict.confidence is not None,
        agrees=agrees,
        stop_reason=status.stop_reason,
        usage=sum((usage for _, usage in spoken), Usage()),
        seconds=critical_path(spoken, in_turn=council.deliberation.mode == "sequential"),
        note=marked.note,
    )


async def _member_row(
    council: Council, who: Character, case: Case, state: Mapping[str, Any], scorer: str
) -> EvalRow:
    solo = _read_proposal(council, who, case, state)
    if solo is None:
        solo = await ask_alone(council, who, case)
        spec = council.models[who.model]
        if vendor_of(spec.provider).is_recording:
            solo = solo._replace(usage=recorded(solo.usage, spec, case))
    marked = await mark(solo.text, case, scorer)
    return EvalRow(
        case=case.key,
        system=member(who.name),
        ok=marked.ok,
        answer=marked.answer,
        text=solo.text,
        by=solo.model,
        usage=solo.usage,
        seconds=solo.usage.seconds,
        error=solo.error,
        note=marked.note,
    )


def _read_proposal(
    council: Council, who: Character, case: Case, state: Mapping[str, Any]
) -> SoloAnswer | None:
    """What a member proposed before it had heard anybody; None where it has to be asked."""
    if council.deliberation.mode != "independent" or who.name not in council.seats[0]:
        return None

    def first(one: Any) -> bool:
        return bool((one.round, one.layer) == (1, 1))

    segments: list[Segment] = state.get("segments", [])
    usage = next(
        (
            charged(one, council, case)
            for one in segments
            if one.node == "character" and one.name == who.name and first(one)
        ),
        Usage(),
    )
    proposals: list[Proposal] = state.get("proposals", [])
    for proposal in proposals:
        if proposal.character == who.name and first(proposal):
            return SoloAnswer(proposal.text, usage, name_of(council.models[proposal.model]))
    for absence in state.get("absences", []):
        if absence.character == who.name and absence.stage == "character" and first(absence):
            if absence.reason in _NOT_ITS_FAULT:
                return None
            return SoloAnswer("", usage, error=absence.detail or absence.reason)
    return None


Progress = Callable[[str, int, int], None]
"""(what is under way, how much of it is done, how much there is), called as it goes."""


async def evaluate(
    council: Council,
    cases: Sequence[Case],
    *,
    path: Path | str | None = None,
    scorer: str = "auto",
    samples: int = 5,
    concurrency: int = 4,
    progress: Progress | None = None,
    ledger: Ledger | None = None,
) -> Scorecard:
    """Play a council and its baselines on data, and compare them.

    Args:
        council: which council.
        cases: the data; each with a gold answer or a check.
        path: where finished rows are kept, one JSON object a line; a run that broke off goes on
            from there. Left out, they are not kept.
        scorer: a key of `SCORERS`, or `auto`: what each case asks for.
        samples: of the best member, for the baseline `self`; below 2 there is none.
        concurrency: questions under way at a time.
        progress: told after every question.
        ledger: learns how often each member's model was right on its own; these questions then
            must not be what learned weights are scored on.

    Raises:
        StorageError: a case has nothing to be judged by, or the rows cannot be kept.
        CouncilError: the council cannot sit.
        BudgetError: the budget that is charged ended before a question was finished.
    """
    if unjudged := [case.key for case in cases if case.gold is None and case.check is None]:
        raise StorageError(
            f"{counted(len(unjudged), 'question')} without `gold` and `check`, "
            f"{unjudged[0]!r} first; answers to open questions are compared by a judge"
        )
    journal = EvalJournal(path, council, scorer=scorer)
    await _play_all(journal, council, cases, scorer, concurrency, progress)
    is_finished = [all(journal.has(one, case.key) for one in _systems(council)) for case in cases]
    if not any(is_finished):
        raise refuse_nothing_finished()
    if ledger is not None:
        ledger.learn(outcomes(journal, council, cases), origin=f"eval of {council.name}")
    best = best_member(journal, council, cases)
    notes = []
    if not all(is_finished):
        notes.append(
            f"Stopped by its budget: {sum(is_finished)} of {counted(len(cases), 'question')}."
        )
    if vendor_of(council.models[best.model].provider).is_recording:
        notes.append("Several samples of the best member were not recorded, so there is no `self`.")
    elif samples > 1:
        await _sample_all(journal, council, best, cases, samples, scorer, concurrency, progress)
        notes.append(f"`self` is the most frequent of {samples} answers of {best.name}.")
    if any(vendor_of(spec.provider).is_recording for spec in council.models.values()):
        notes.append(
            "Replayed: characters cost what was recorded; votes and syntheses cost nothing."
        )
    return score_up(council, cases, journal, notes)


def best_member(journal: EvalJournal, council: Council, cases: Sequence[Case]) -> Character:
    """The member that is right most often on these cases; the first of equals.

    It is chosen on the questions it is scored on, which favours this baseline, not the council.
    """
    keys = {case.key for case in cases}

    def right(who: Character) -> int:
        return sum(row.ok for key, row in journal.of(member(who.name)).items() if key in keys)

    return max(council.characters, key=right)


def outcomes(journal: EvalJournal, council: Council, cases: Sequence[Case]) -> list[Outcome]:
    """What the ledger can learn: each member's own answers, marked by gold or by a check.

    A member that a fallback spoke for, or that failed, says nothing of its model.
    """
    results = []
    for who in council.characters:
        rows, model = journal.of(member(who.name)), name_of(council.models[who.model])
        for case in cases:
            row = rows.get(case.key)
            if row is not None and row.text and row.by in ("", model):
                source: Source = "gold" if case.check is None else "check"
                results.append(Outcome(model, case.kind, row.ok, source))
    return results


def _systems(council: Council) -> list[str]:
    """Whose rows a finished question has."""
    return [COUNCIL, *(member(who.name) for who in council.characters)]


async def _play_all(
    journal: EvalJournal,
    council: Council,
    cases: Sequence[Case],
    scorer: str,
    concurrency: int,
    progress: Progress | None,
) -> None:
    systems = _systems(council)
    left = [case for case in cases if not all(journal.has(one, case.key) for one in systems)]
    if not left:
        return
    opened = OpenCouncil(council)

    async def act(case: Case) -> list[EvalRow]:
        return await play(opened, case, scorer=scorer)

    done = len(cases) - len(left)
    async for _, rows in map_concurrently(left, act, concurrency):
        journal.add(rows)
        done += 1
        if progress is not None:
            progress("council and members", done, len(cases))


async def _sample_all(
    journal: EvalJournal,
    council: Council,
    best: Character,
    cases: Sequence[Case],
    samples: int,
    scorer: str,
    concurrency: int,
    progress: Progress | None,
) -> None:
    note = f"{samples} of {best.name}"
    rows = journal.of(SELF)
    left = [case for case in cases if case.key not in rows or rows[case.key].note != note]

    async def act(case: Case) -> EvalRow:
        try:
            row = await sample(council, best, case, samples=samples, scorer=scorer)
        except Exception as error:
            row = EvalRow(case=case.key, system=SELF, ok=False, error=describe_fault(error))
        return row.model_copy(update={"note": note})

    done = len(cases) - len(left)
    async for _, row in map_concurrently(left, act, concurrency):
        journal.add([row])
        done += 1
        if progress is not None:
            progress(f"{samples} samples of {best.name}", done, len(cases))
