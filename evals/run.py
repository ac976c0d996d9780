"""Evaluating a council: the council, its members alone, and what else one could have done.

The baselines are always there: each member alone, a plain majority of their answers, several
samples of the best member, and the oracle (any member right), which no vote can beat.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from mom_council.councils.schema import Character, Council
from mom_council.errors import StorageError
from mom_council.evals.asking import map_concurrently
from mom_council.evals.cases import Case
from mom_council.evals.journal import COUNCIL, SELF, EvalJournal, EvalRow, member
from mom_council.evals.play import play, sample
from mom_council.evals.scorecard import Scorecard, score_up
from mom_council.models.ledger import Ledger, Outcome, Source, name_of
from mom_council.runs.ask import OpenCouncil
from mom_council.vendors import vendor_of

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
    """
    if unjudged := [case.key for case in cases if case.gold is None and case.check is None]:
        raise StorageError(
            f"{len(unjudged)} questions have neither `gold` nor `check`, {unjudged[0]!r} first; "
            "answers to open questions are compared by a judge"
        )
    journal = EvalJournal(path, council, scorer=scorer)
    await _play_all(journal, council, cases, scorer, concurrency, progress)
    if ledger is not None:
        ledger.learn(outcomes(journal, council, cases), origin=f"eval of {council.name}")
    best = best_member(journal, council, cases)
    notes = []
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
    found = []
    for who in council.characters:
        rows, model = journal.of(member(who.name)), name_of(council.models[who.model])
        for case in cases:
            row = rows.get(case.key)
            if row is not None and row.text and row.by in ("", model):
                source: Source = "gold" if case.check is None else "check"
                found.append(Outcome(model, case.kind, row.ok, source))
    return found


async def _play_all(
    journal: EvalJournal,
    council: Council,
    cases: Sequence[Case],
    scorer: str,
    concurrency: int,
    progress: Progress | None,
) -> None:
    systems = [COUNCIL, *(member(who.name) for who in council.characters)]
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
    kept = journal.of(SELF)
    left = [case for case in cases if case.key not in kept or kept[case.key].note != note]

    async def act(case: Case) -> EvalRow:
        row = await sample(council, best, case, samples=samples, scorer=scorer)
        return row.model_copy(update={"note": note})

    done = len(cases) - len(left)
    async for _, row in map_concurrently(left, act, concurrency):
        journal.add([row])
        done += 1
        if progress is not None:
            progress(f"{samples} samples of {best.name}", done, len(cases))
