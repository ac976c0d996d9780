"""`mom pays`: a council, its best member, and several samples of it, on a user's own questions.

What it may take at the most is reckoned before anybody is asked, and nothing beyond it is begun.
Every finished question is in the journal at once, so a run that is stopped goes on where it was.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

from mom_council.councils.recording import RecordedAnswer, RecordedQuestion, write_recording
from mom_council.councils.schema import Council
from mom_council.errors import BudgetError
from mom_council.evals.asking import describe_fault, map_concurrently
from mom_council.evals.cases import Case
from mom_council.evals.run import Progress, play, sample
from mom_council.evals.scorecard import COUNCIL, SELF, EvalJournal, EvalRow, member
from mom_council.evals.verdict import Panel, best_members, fold_of, is_scored
from mom_council.models.prices import charge_to
from mom_council.models.spending import NOTHING, Account, Amount, SpendingLimits
from mom_council.runs.ask import OpenCouncil
from mom_council.runs.plan import plan_calls, plan_question
from mom_council.vendors import vendor_of

T = TypeVar("T")


class PaysStage(NamedTuple):
    """What one part of the run may take, for all questions that are left."""

    name: str
    calls: int
    """Where every model answers at the first try."""
    most: Amount
    """With every further try, every round and every ballot."""


class PaysBudget(NamedTuple):
    """What a run may take at the most."""

    questions: int
    left: int
    """Questions that are not finished by an earlier run."""
    stages: tuple[PaysStage, ...]
    priced: bool
    """Whether the price of every model is known; else the dollars say nothing."""

    @property
    def calls(self) -> int:
        """Where every model answers at the first try."""
        return sum(one.calls for one in self.stages)

    @property
    def most(self) -> Amount:
        """Of all stages."""
        return sum_amounts([one.most for one in self.stages])


class PaysRun(NamedTuple):
    """What came of a run."""

    panel: Panel
    spent: Amount
    """In this run; replayed answers cost nothing."""
    unasked: int
    """Questions for which the limit left nothing."""


def sum_amounts(amounts: Sequence[Amount]) -> Amount:
    """All of them together."""
    total = NOTHING
    for amount in amounts:
        total = total.plus(amount)
    return total


def journal_of(council: Council, path: Path | None) -> EvalJournal:
    """The finished rows of a council; those of `mom eval --out` serve too.

    Raises:
        StorageError: the file is of another council, or no such file.
    """
    return EvalJournal(path, council, scorer="auto")


async def plan_pays(
    council: Council, cases: Sequence[Case], journal: EvalJournal, samples: int
) -> PaysBudget:
    """Reckon what a run may take at the most; nobody is asked.

    Raises:
        CouncilError: the table of prices cannot be read.
    """
    left = [case for case in cases if not _is_finished(journal, council, case)]
    plans = [await _plan_of(council, case) for case in left]
    stages = [
        PaysStage(
            "the council as written",
            sum(calls for calls, *_ in plans),
            sum_amounts([amount for _, _, amount, *_ in plans]),
        ),
        PaysStage(
            "members on their own",
            sum(calls for _, calls, *_ in plans),
            sum_amounts([amount for *_, amount, _ in plans]),
        ),
    ]
    all_priced = all(priced for *_, priced in plans)
    if samples:
        unsampled = [x for x in cases if is_scored(x) and not journal.has(SELF, x.key)]
        worst = [await _worst_samples(council, case, samples) for case in unsampled]
        name = f"{samples} answers of the best member"
        stages.append(PaysStage(name, samples * len(worst), sum_amounts(worst)))
    return PaysBudget(len(cases), len(left), tuple(stages), all_priced)


async def _plan_of(council: Council, case: Case) -> tuple[int, int, Amount, Amount, bool]:
    """First-try calls of the council and of members alone, the most of both, and if priced."""
    plan = await plan_question(council, case.prompt)
    models: dict[str, int] = {}
    for who in council.characters:
        models[who.model] = models.get(who.model, 0) + 1
    alone = await plan_calls(council, case.prompt, models)
    independent = set(council.seats[0]) if council.deliberation.mode == "independent" else set()
    alone_calls = sum(who.name not in independent for who in council.characters)
    ours = Amount(plan.most_calls, plan.tokens, plan.usd or 0.0)
    theirs = Amount(alone.most_calls, alone.tokens, alone.usd or 0.0)
    return plan.calls, alone_calls, ours, theirs, plan.usd is not None and alone.usd is not None


async def _worst_samples(council: Council, case: Case, samples: int) -> Amount:
    """What so many answers of one member take at the most, whichever member it is."""
    each = [
        await plan_calls(council, case.prompt, {model: samples})
        for model in dict.fromkeys(who.model for who in council.characters)
    ]
    return Amount(
        max(one.most_calls for one in each),
        max(one.tokens for one in each),
        max(one.usd or 0.0 for one in each),
    )


def can_sample(council: Council) -> bool:
    """Whether members can be asked several times: of recorded ones there is one answer."""
    models = [council.models[who.model] for who in council.characters]
    return not any(vendor_of(model.provider).is_recording for model in models)


class _Gate:
    """Lets a question begin where the limit holds all that it may take."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self._held = NOTHING
        self._finished = NOTHING
        self._changed = asyncio.Condition()

    async def run(self, most: Amount, work: Callable[[], Awaitable[T]]) -> T | None:
        """Do it; None where the limit has no room for it."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._fits(most) or self._held == NOTHING)
            if not self._fits(most):
                return None
            self._held = self._held.plus(most)
        own = Account(SpendingLimits(), parent=self.account)
        try:
            with charge_to(own):
                return await work()
        finally:
            self._held = self._held.minus(most)
            if abs(self._held.usd) < 1e-9 and not self._held.calls:
                self._held = NOTHING
            self._finished = self._finished.plus(own.spent)
            async with self._changed:
                self._changed.notify_all()

    def _fits(self, most: Amount) -> bool:
        limits, taken = self.account.limits, self._finished.plus(self._held).plus(most)
        return (
            (limits.calls is None or taken.calls <= limits.calls)
            and (limits.tokens is None or taken.tokens <= limits.tokens)
            and (limits.usd is None or taken.usd <= limits.usd * (1 + 1e-9))
        )


async def run_pays(
    council: Council,
    cases: Sequence[Case],
    journal: EvalJournal,
    *,
    samples: int,
    limits: SpendingLimits,
    concurrency: int = 4,
    progress: Progress | None = None,
) -> PaysRun:
    """Ask the council, its members on their own, and the best of them several times.

    Which member is asked several times is chosen, for each question, on the others.

    Raises:
        BudgetError: the limit has no room for a single question.
        CouncilError: the council cannot sit.
        StorageError: rows cannot be kept.
    """
    account = Account(limits, owner="the budget of mom pays")
    gate = _Gate(account)
    unasked = await _ask_everybody(council, cases, journal, gate, concurrency, progress)
    finished = [case for case in cases if _is_finished(journal, council, case)]
    if not finished:
        raise BudgetError(
            f"a limit of {limits.in_words()} has no room for a single question",
            cure="see what one may take with --plan, and allow more",
        )
    scored = [case for case in finished if is_scored(case)]
    if samples and scored:
        await _sample_best(council, scored, journal, samples, gate, concurrency, progress)
    return PaysRun(panel_of(council, finished, journal), account.spent, unasked)


async def _ask_everybody(
    council: Council,
    cases: Sequence[Case],
    journal: EvalJournal,
    gate: _Gate,
    concurrency: int,
    progress: Progress | None,
) -> int:
    left = [case for case in cases if not _is_finished(journal, council, case)]
    if not left:
        return 0
    opened = OpenCouncil(council)
    done, unasked = len(cases) - len(left), 0

    async def act(case: Case) -> list[EvalRow] | None:
        _, _, ours, theirs, _ = await _plan_of(council, case)
        return await gate.run(ours.plus(theirs), lambda: play(opened, case))

    async for _, rows in map_concurrently(left, act, concurrency):
        if rows is None:
            unasked += 1
            continue
        journal.add(rows)
        done += 1
        if progress is not None:
            progress("council and members", done, len(cases))
    return unasked


async def _sample_best(
    council: Council,
    cases: Sequence[Case],
    journal: EvalJournal,
    samples: int,
    gate: _Gate,
    concurrency: int,
    progress: Progress | None,
) -> None:
    best = best_members(cases, _members(council, cases, journal))
    sampled = journal.of(SELF)

    def note(case: Case) -> str:
        return f"{samples} of {best[fold_of(case)]}"

    left = [x for x in cases if x.key not in sampled or sampled[x.key].note != note(x)]
    done = len(cases) - len(left)

    async def act(case: Case) -> EvalRow | None:
        who = council.character(best[fold_of(case)])

        async def work() -> EvalRow:
            try:
                return await sample(council, who, case, samples=samples)
            except Exception as error:
                return EvalRow(case=case.key, system=SELF, ok=False, error=describe_fault(error))

        row = await gate.run(await _worst_samples(council, case, samples), work)
        return row and row.model_copy(update={"note": note(case)})

    async for _, row in map_concurrently(left, act, concurrency):
        if row is not None:
            journal.add([row])
            done += 1
            if progress is not None:
                progress(f"{samples} answers of the best member", done, len(cases))


def _is_finished(journal: EvalJournal, council: Council, case: Case) -> bool:
    systems = [COUNCIL, *(member(who.name) for who in council.characters)]
    return all(journal.has(one, case.key) for one in systems)


def _members(
    council: Council, cases: Sequence[Case], journal: EvalJournal
) -> dict[str, list[EvalRow]]:
    rows = {who.name: journal.of(member(who.name)) for who in council.characters}
    return {name: [mine[case.key] for case in cases] for name, mine in rows.items()}


def panel_of(council: Council, cases: Sequence[Case], journal: EvalJournal) -> Panel:
    """What was answered to finished questions; samples only where all that count have them."""
    ours, sampled = journal.of(COUNCIL), journal.of(SELF)
    whole = all(case.key in sampled for case in cases if is_scored(case))
    empty = EvalRow(case="", system=SELF, ok=False)
    return Panel(
        council=council.name,
        cases=cases,
        ours=[ours[case.key] for case in cases],
        members=_members(council, cases, journal),
        weights={who.name: who.weight for who in council.characters},
        samples=[sampled.get(case.key, empty) for case in cases] if sampled and whole else (),
    )


def write_answers(panel: Panel, path: Path) -> None:
    """Keep what the members answered as a recording: `mom tune` and `mom audit` read it."""
    questions = []
    for at, case in enumerate(panel.cases):
        models = {name: _to_recorded_answer(rows[at]) for name, rows in panel.members.items()}
        gold = case.gold if case.gold is not None else "(its check)" if case.check else None
        questions.append(
            RecordedQuestion(
                id=case.key,
                dataset=case.dataset,
                fold=case.fold,
                question=case.question,
                gold=None if gold is None else str(gold),
                options=case.options,
                category=case.category,
                models=models,
            )
        )
    write_recording(path, questions)


def _to_recorded_answer(row: EvalRow) -> RecordedAnswer:
    return RecordedAnswer(
        ans=row.answer,
        ok=1 if row.ok else 0,
        chars=len(row.text),
        text=row.text or None,
        usd=row.usage.usd,
        input_tokens=row.usage.input_tokens,
        output_tokens=row.usage.output_tokens,
        seconds=round(row.seconds, 3),
        model=row.by or None,
    )
