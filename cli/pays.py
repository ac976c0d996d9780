"""`mom pays` and `mom tune`: is a council worth its price, and how is it best composed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mom_council.cli import failure, options
from mom_council.cli.evals import Abreast, NotIsolated, allow_checks, show_progress
from mom_council.runs.words import counted

if TYPE_CHECKING:
    from mom_council.evals.cases import Case
    from mom_council.evals.logs import Logs
    from mom_council.evals.pays import PaysBudget, PaysRun
    from mom_council.evals.tuning import Tuning
    from mom_council.models.spending import SpendingLimits
    from mom_council.runs.discovery import Choice


Questions = Annotated[
    Path,
    typer.Argument(
        metavar="LOGS",
        help="Your questions, with or without their right answers: JSON lines, a JSON list or CSV, "
        "gzipped or not; chats too, of which the first question is asked.",
    ),
]
Page = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="The page; LOGS.pays.html here, if left out."),
]
Column = Annotated[str | None, typer.Option(metavar="COLUMN", help="What holds the question.")]
Gold = Annotated[
    str | None,
    typer.Option(metavar="COLUMN", help="What holds the right answer; none: there is none."),
]
Limit = Annotated[
    int, typer.Option(min=1, metavar="N", help="Questions at most, chosen at random.")
]
Samples = Annotated[
    int, typer.Option(min=0, help="Answers of the best member, for comparison; 0: none.")
]
Plan = Annotated[bool, typer.Option("--plan", help="Show the budget, and ask nobody.")]


def pays(
    logs: Questions,
    council: options.Council = None,
    model: options.Models = None,
    out: Page = None,
    question: Column = None,
    gold: Gold = None,
    limit: Limit = 100,
    samples: Samples = 5,
    calls: options.Calls = None,
    tokens: options.Tokens = None,
    usd: options.Dollars = None,
    plan: Plan = False,
    concurrency: Abreast = 4,
    paid: options.Paid = False,
    not_isolated: NotIsolated = False,
    json: options.Json = False,
) -> None:
    """Say whether a council is worth its price on your own questions.

    It asks the council as it is written, each member on its own, and the best member several
    times, and writes one page: the gain with its interval, price, time, which members do not
    help, and what to ask for each kind of question. The budget is shown first. A run that was
    stopped goes on with the same command: finished questions are kept beside the page.
    """
    from mom_council.evals.logs import read_logs
    from mom_council.models.spending import SpendingLimits

    failure.tell_warnings()
    read = read_logs(logs, question=question, gold=gold, limit=limit)
    if not plan:
        allow_checks(logs, read.cases, "auto", not_isolated=not_isolated)
    named = options.council_named(council, model)
    page = out or Path(f"{logs.name.partition('.')[0]}.pays.html")
    most = SpendingLimits(calls, tokens, usd)
    ended: list[tuple[Choice, PaysBudget, PaysRun | None]] = []

    async def work() -> None:
        ended.append(
            await _run(named, read, page, samples, most, concurrency, plan=plan, quiet=json)
        )

    line = "interrupted; finished questions are kept, and the same command goes on"
    failure.run_until_stopped(work(), line, as_json=json)
    _show(*ended[0], read, page, as_json=json)


async def _run(
    named: str | None,
    read: Logs,
    page: Path,
    samples: int,
    most: SpendingLimits,
    concurrency: int,
    *,
    plan: bool,
    quiet: bool,
) -> tuple[Choice, PaysBudget, PaysRun | None]:
    """Choose the council, say the budget, get a yes where it costs money, and ask."""
    from mom_council.evals.pays import can_sample, journal_of, plan_pays, run_pays
    from mom_council.runs.ask import open_runs
    from mom_council.runs.discovery import choose_council, unread_notice

    env = {**os.environ, "MOM_PAID": "1"}  # the yes is asked for below, with the price
    choice = await choose_council(named, env, say=failure.tell)
    if notice := unread_notice(choice):
        failure.say(notice)
    rows = rows_beside(page)
    if not plan:
        rows.parent.mkdir(parents=True, exist_ok=True)
    journal = journal_of(choice.council, rows if rows.exists() or not plan else None)
    number = samples if can_sample(choice.council) and samples > 1 else 0
    budget = await plan_pays(choice.council, read.cases, journal, number)
    if plan:
        return choice, budget, None
    _say_budget(choice, budget, read.cases, most)
    _require_consent(choice, budget, most)
    async with open_runs():
        run = await run_pays(
            choice.council,
            read.cases,
            journal,
            samples=number,
            limits=_limits(choice, budget, most),
            concurrency=concurrency,
            progress=None if quiet else show_progress(),
        )
    return choice, budget, run


def rows_beside(page: Path) -> Path:
    """Where finished questions are kept."""
    return page.with_name(f"{page.stem}.rows.jsonl")


def _limits(choice: Choice, budget: PaysBudget, most: SpendingLimits) -> SpendingLimits:
    """What may be spent: as the options say, and never more than was said before."""
    from mom_council.models.spending import SpendingLimits

    usd = most.usd
    if usd is None and choice.costs_money and budget.priced:
        usd = budget.most.usd
    return SpendingLimits(most.calls or budget.most.calls or None, most.tokens, usd)


def _require_consent(choice: Choice, budget: PaysBudget, most: SpendingLimits) -> None:
    """See that somebody said yes to what it may cost.

    Raises:
        ConsentError: nobody did.
    """
    from mom_council.errors import ConsentError
    from mom_council.runs.discovery import PAID

    if not choice.costs_money or not budget.calls:
        return
    if os.environ.get(PAID, "").strip() in ("1", "yes", "true"):
        return
    price = _price(budget, most)
    why = choice.instead_of
    first = f"{why[0].upper()}{why[1:]}. " if why else ""
    if not failure.may_cost(f"{first}This may cost money: {price}."):
        start = "start the local server, or " if why else ""
        raise ConsentError(
            f"{f'{why}, and asking others instead' if why else 'this'} may cost money ({price}), "
            "and nobody said yes",
            cure=f"{start}allow it with --paid (or {PAID}=1); --usd limits it",
        )


def _price(budget: PaysBudget, most: SpendingLimits) -> str:
    if most.usd is not None:
        return f"${most.usd:g} at most"
    return f"${budget.most.usd:.4f} at most" if budget.priced else "how much is not known"


def _say_budget(
    choice: Choice, budget: PaysBudget, cases: Sequence[Case], most: SpendingLimits
) -> None:
    for line in budget_in_words(choice, budget, cases, most):
        failure.say(line)


def budget_in_words(
    choice: Choice, budget: PaysBudget, cases: Sequence[Case], most: SpendingLimits
) -> list[str]:
    """What a run may take at most, and what it can tell."""
    from mom_council.evals.verdict import is_scored, tellable_gain

    scored = sum(map(is_scored, cases))
    begun = budget.questions - budget.left
    lines = [
        f"{choice.council.name}: {counted(budget.questions, 'question')}, "
        f"{scored} with a right answer" + (f"; {begun} are finished already" if begun else "")
    ]
    for stage in (*budget.stages, None):
        name, calls, amount = ("in all", budget.calls, budget.most) if stage is None else stage
        price = f"${amount.usd:.4f}" if budget.priced else "price not known"
        if not choice.costs_money:
            price = "free"
        lines.append(
            f"  {name}: {calls:,} calls, at most {amount.calls:,} calls with "
            f"{amount.tokens:,} tokens, {price}"
        )
    if most.are_set:
        lines.append(f"  The limit is {most.in_words()}.")
    if scored:
        gain = 100 * tellable_gain(scored)
        lines.append(
            f"  So many questions cannot tell gains below about {gain:.0f} points (where one "
            "answer in ten differs)."
        )
    else:
        lines.append("  Without right answers, only how often answers agree can be told.")
    return lines


def _show(
    choice: Choice,
    budget: PaysBudget,
    run: PaysRun | None,
    read: Logs,
    page: Path,
    *,
    as_json: bool,
) -> None:
    from mom_council.models.spending import SpendingLimits

    most = {"calls": budget.most.calls, "tokens": budget.most.tokens}
    report: dict[str, Any] = {
        "budget": {
            "questions": budget.questions,
            "finished_before": budget.questions - budget.left,
            "calls": budget.calls,
            "most": {**most, "usd": budget.most.usd if budget.priced else None},
        }
    }
    if run is None:
        if as_json:
            failure.write_json(report)
        else:
            failure.show("\n".join(budget_in_words(choice, budget, read.cases, SpendingLimits())))
        return
    _write_verdict(run, read, page, report, as_json=as_json)
    if run.unasked:
        failure.tell(
            f"stopped by the limit with {counted(run.unasked, 'question')} to go; "
            "the same command with a larger one goes on"
        )
        raise typer.Exit(failure.STOPPED)


def _why_unsampled(run: PaysRun) -> str:
    """Why the best member was not asked several times; empty where it was."""
    from mom_council.evals.verdict import is_scored

    if run.panel.samples or not any(map(is_scored, run.panel.cases)):
        return ""
    return "The best member was not asked several times (--samples 0, a limit, or recorded models)."


def _write_verdict(
    run: PaysRun, read: Logs, page: Path, report: dict[str, Any], *, as_json: bool
) -> None:
    from mom_council.errors import StorageError
    from mom_council.evals.pays import write_answers
    from mom_council.evals.verdict import judge
    from mom_council.evals.verdict_page import as_html, as_text
    from mom_council.runs.words import inert

    notes = list(read.notes)
    if run.unasked:
        notes.append(f"{counted(run.unasked, 'question')} not asked: the limit was reached.")
    if unsampled := _why_unsampled(run):
        notes.append(unsampled)
    verdict = judge(run.panel, notes)
    answers = page.with_name(f"{page.stem}.answers.jsonl")
    try:
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(as_html(verdict), encoding="utf-8")
        write_answers(run.panel, answers)
    except OSError as error:
        raise StorageError(f"{str(page)!r} cannot be written: {error.strerror}") from None
    if as_json:
        spent = run.spent._asdict()
        files = {"page": str(page), "rows": str(rows_beside(page)), "answers": str(answers)}
        rest = {"spent": spent, "unasked": run.unasked, "files": files}
        failure.write_json({**report, **rest, "verdict": verdict.model_dump(mode="json")})
        return
    print(inert(as_text(verdict)), end="")
    failure.say(f"written to {page}; the members' answers to {answers} (mom tune reads them)")


def tune(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="A recording, of mom record or mom pays, with or without right answers; "
            "`traces`: the questions that were asked on this machine.",
        ),
    ],
    council: options.Council = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The council; FILE.tuned.yaml here, if left out."),
    ] = None,
    json: options.Json = False,
) -> None:
    """Choose a council's members, weights, order, exit and fallback, and write it as YAML.

    From recorded answers; nobody is asked. Beside each choice stands what it comes to on questions
    that had no part in it. --council says which characters there are to choose from; left out, all
    that were recorded.
    """
    from mom_council.errors import StorageError
    from mom_council.evals.tuning import tune_recording
    from mom_council.runs.words import inert

    written = out or Path(f"{file.name.partition('.')[0]}.tuned.yaml")
    if written.exists():
        raise StorageError(f"{str(written)!r} is there already", cure="name another with --out")
    tuning = tune_recording(file, council)
    try:
        written.parent.mkdir(parents=True, exist_ok=True)
        written.write_text(tuning.yaml, encoding="utf-8")
    except OSError as error:
        raise StorageError(f"{str(written)!r} cannot be written: {error.strerror}") from None
    if json:
        failure.write_json({**tuning.model_dump(mode="json"), "file": str(written)})
        return
    print(inert(tuning_in_words(tuning)))
    failure.say(f"written to {written}; mom ask -c {written} asks it")


def tuning_in_words(tuning: Tuning) -> str:
    """What was chosen, for a terminal."""
    from mom_council.evals.reports import table

    rows = [
        (
            f"{one.name} (chosen)" if one.name == tuning.chosen else one.name,
            ""
            if one.accuracy is None
            else f"{100 * one.accuracy.value:.1f} "
            f"({100 * one.accuracy.low:.1f} to {100 * one.accuracy.high:.1f})",
            f"{one.calls:.1f}",
            "" if one.usd is None else f"{100 * one.usd:.4f}",
        )
        for one in tuning.ways
    ]
    head = ("way to use the models", "right, % (held out)", "calls", "US cents")
    members = ", ".join(f"{name} {weight:g}" for name, weight in tuning.members.items())
    lines = [table(head, rows), "", f"Members and weights: {members}"]
    if tuning.left_out:
        lines.append(f"Left out: {', '.join(tuning.left_out)}")
    if not tuning.labelled:
        lines.append("No right answers were used: nothing is said of accuracy.")
    return "\n".join(lines)
