"""`mom eval`, `mom record`, `mom revote`: is a council worth its calls, on data of one's own."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from mom_council.cli import options
from mom_council.cli.failure import say, show, write_json
from mom_council.runs.words import counted

if TYPE_CHECKING:
    from mom_council.councils.schema import Council
    from mom_council.evals.cases import Case
    from mom_council.evals.scorecard import Scorecard

Part = Literal["cal", "eval"]
Scorer = Literal["auto", "exact", "numeric", "choice", "code"]

Seated = Annotated[str, typer.Argument(metavar="COUNCIL", help="A preset's name or a YAML file.")]
Data = Annotated[
    Path,
    typer.Argument(
        metavar="DATA",
        help='JSON lines, gzipped or not: {"question", "gold"?, "options"?, "check"?, "id"?, '
        '"category"?, "fold"?}; a recording too, and raw rows of GSM8K, MATH, MMLU, MMLU-Pro, ARC, '
        "HumanEval and MBPP. `shipped`: 276 questions that are included, which "
        "the tiny models have not learned from. `planted`: what a synthesis keeps, as mom keeps.",
    ),
]
PLANTED = "planted"
"""The word that stands for planted questions; a file of that name is `./planted`."""
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Limit = Annotated[int | None, typer.Option(min=1, metavar="N", help="The first N questions only.")]
Abreast = Annotated[int, typer.Option("--concurrency", min=1, help="Questions at a time.")]
Score = Annotated[Scorer, typer.Option(help="What makes an answer right; auto: by each question.")]
Fold = Annotated[Part | None, typer.Option(help="Questions of this fold only.")]
Judge = Annotated[
    str | None,
    typer.Option(
        metavar="MODEL",
        help="For questions without a gold answer: a model of the council that compares its "
        "answer with one member's, in both orders.",
    ),
]


NotIsolated = Annotated[
    bool,
    typer.Option(
        "--not-isolated",
        help="Run code of answers and checks also where this system cannot isolate it.",
    ),
]


def evaluate(
    council: Seated,
    data: Data,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Keep finished rows here, and go on from them."),
    ] = None,
    samples: Annotated[
        int, typer.Option(min=0, help="Of the best member, for the baseline; 0: none.")
    ] = 5,
    scorer: Score = "auto",
    fold: Fold = None,
    limit: Limit = None,
    concurrency: Abreast = 4,
    judge: Judge = None,
    against: Annotated[
        str | None, typer.Option(metavar="NAME", help="With --judge: which member.")
    ] = None,
    plots: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Write plots as SVG files here.")
    ] = None,
    chart: Annotated[
        bool, typer.Option("--chart", help="Draw accuracy against cost in the terminal too.")
    ] = False,
    learn: Annotated[
        bool,
        typer.Option("--learn", help="Remember how often each model was right; see mom weights."),
    ] = False,
    calls: options.Calls = None,
    tokens: options.Tokens = None,
    usd: options.Dollars = None,
    seconds: options.Seconds = None,
    not_isolated: NotIsolated = False,
    json: Json = False,
) -> None:
    """Evaluate a council on data, against its members alone, their plain vote, and samples.

    Every number has its interval of 95 %, and every baseline the council's gain over it. A run
    that breaks off goes on where it was, if it had an --out. Code runs in a sandbox; checks that
    the data holds run once `mom trust DATA` accepted them.
    """
    with options.spending(calls, tokens, usd, seconds):
        if str(data) == PLANTED:
            _measure_fact_retention(council, limit or 20, concurrency, as_json=json)
            return
        loaded, cases = _load(council, data, fold, limit)
        allow_checks(data, cases, scorer, not_isolated=not_isolated)
        if judge is not None:
            _compare_with_member(loaded, cases, judge, against, concurrency, as_json=json)
            return
        how = {"path": out, "scorer": scorer, "samples": samples, "concurrency": concurrency}
        card = _measure(loaded, cases, learn=learn, **how)
        _write_scorecard(card, plots, as_json=json)
        if chart and not json:
            from mom_council.evals.reports import as_chart

            show("\n" + as_chart(card))


def _measure(council: Council, cases: Sequence[Case], *, learn: bool, **how: Any) -> Scorecard:
    import asyncio

    from mom_council.evals.run import evaluate as run
    from mom_council.models.ledger import Ledger

    ledger = Ledger() if learn else None
    return asyncio.run(run(council, cases, progress=show_progress(), ledger=ledger, **how))


def allow_checks(
    data: Path, cases: Sequence[Case], scorer: str, *, not_isolated: bool = False
) -> None:
    """See that the user has accepted the code in a file of questions, where it would run.

    Raises:
        UntrustedError: it holds code, and nobody has accepted the file.
    """
    if scorer not in ("auto", "code") or all(case.check is None for case in cases):
        return
    from mom_council.councils.trust import require_trust, review_data
    from mom_council.evals.sandbox import may_be_open
    from mom_council.evals.sheet import recording_path

    require_trust(review_data(recording_path(data)))
    may_be_open.set(not_isolated)


def _load(
    council: str, data: Path, fold: Part | None, limit: int | None
) -> tuple[Council, Sequence[Case]]:
    from mom_council.councils.trust import load_trusted_council
    from mom_council.evals.cases import read_cases
    from mom_council.evals.sheet import recording_path

    return load_trusted_council(council), read_cases(recording_path(data), fold=fold, limit=limit)


def _compare_with_member(
    council: Council,
    cases: Sequence[Case],
    judge: str,
    member: str | None,
    concurrency: int,
    *,
    as_json: bool,
) -> None:
    """Have a judge compare the council's answers with one member's, and print who wins."""
    import asyncio

    from mom_council.evals.duel import duel

    progress = show_progress()
    judged = duel(
        council, cases, judge=judge, against=member, concurrency=concurrency, progress=progress
    )
    result = asyncio.run(judged)
    if as_json:
        write_json(result.model_dump(mode="json"))
    else:
        show(result.in_words())


def _write_scorecard(card: Scorecard, plots: Path | None, *, as_json: bool) -> None:
    from mom_council.evals.reports import as_markdown, write_plots

    if plots is not None:
        for path in write_plots(card, plots):
            say(f"wrote {path}")
    if as_json:
        write_json(card.model_dump(mode="json"))
    else:
        show(as_markdown(card), end="")


def record(
    council: Annotated[
        str, typer.Argument(metavar="COUNCIL", help="A preset's name, a YAML file, or `traces`.")
    ],
    out: Annotated[
        Path, typer.Argument(metavar="FILE", help="The recording; gzipped where it ends in .gz.")
    ],
    data: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The questions, as for mom eval.")
    ] = None,
    scorer: Score = "auto",
    limit: Limit = None,
    concurrency: Abreast = 4,
    calls: options.Calls = None,
    tokens: options.Tokens = None,
    usd: options.Dollars = None,
    seconds: options.Seconds = None,
) -> None:
    """Record what each member of a council answers on its own, once per question.

    A recording that is there is continued, after a spent budget too. `mom record traces FILE`
    makes one of the questions that were asked on this machine, from its local traces. The
    provider `replay` serves it.
    """
    import asyncio

    from mom_council.evals.asking import from_traces
    from mom_council.evals.asking import record as keep

    if council == "traces":
        from mom_council.councils.recording import write_recording

        number = write_recording(out, from_traces(limit=limit or 500))
    else:
        if data is None:
            raise typer.BadParameter("--data FILE says what to ask; see mom eval --help")
        from mom_council.councils.trust import load_trusted_council
        from mom_council.evals.cases import read_cases

        progress = show_progress()
        cases = read_cases(data, limit=limit)
        allow_checks(data, cases, scorer)
        recording = keep(
            load_trusted_council(council),
            cases,
            out,
            concurrency=concurrency,
            scorer=scorer,
            progress=lambda done, of: progress("questions", done, of),
        )
        with options.spending(calls, tokens, usd, seconds):
            show(f"{counted(asyncio.run(recording), 'question')} in {out}")
        return
    show(f"{counted(number, 'question')} in {out}")


def revote(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A recording.")],
    method: Annotated[
        list[str] | None,
        typer.Option(metavar="RULE", help="Which rule; several times for several; all: each."),
    ] = None,
    models: Annotated[
        str | None, typer.Option(metavar="A,B,...", help="Whose answers count; all, if left out.")
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(metavar="A=2,B=0.5 | ledger", help="A vote with these weights."),
    ] = None,
    kind: Annotated[
        str, typer.Option(help="With --weights ledger: the kind of question.")
    ] = "general",
    json: Json = False,
) -> None:
    """Apply another rule to recorded answers: the rule changes, nobody is asked again.

    What a rule learns it learns on the questions of fold `cal`; it is scored on those of `eval`.
    """
    from mom_council.councils.recording import load_recording
    from mom_council.evals.reports import table
    from mom_council.evals.rules import Recount, methods, recount
    from mom_council.evals.sheet import recording_path

    questions = load_recording(recording_path(file))
    seats = tuple(name.strip() for name in models.split(",")) if models else ()
    heavy = _weights(weights, kind, questions, seats)
    rules = method or ([] if heavy else ["plain majority"])
    if rules == ["all"]:
        rules = [*methods()]
    rows = [recount(questions, rule, models=seats) for rule in rules]
    if heavy is not None:
        rows.append(recount(questions, models=seats, weights=heavy))
    if json:
        write_json([one.model_dump(mode="json") for one in rows])
        return

    def line(one: Recount) -> tuple[str, ...]:
        gain = f"{100 * one.gain:+.1f} ({100 * one.gain_low:+.1f} to {100 * one.gain_high:+.1f})"
        accuracy = f"{100 * one.accuracy:.1f} ({100 * one.low:.1f} to {100 * one.high:.1f})"
        share = f"{100 * one.saved:.0f}"
        return (one.method, accuracy, gain, str(one.changed), share, f"{100 * one.usd:.4f}")

    head = ("rule", "accuracy, %", "over plain majority", "changed", "calls saved, %", "US cents")
    show(table(head, [line(one) for one in rows]))
    last = rows[-1]
    show(f"\n{counted(last.questions, 'question')}; learned on {last.fitted} others" * bool(rows))


def audit(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A recording with gold answers.")],
    models: Annotated[
        str | None,
        typer.Option(metavar="A,B,...", help="The council's members; all recorded, if left out."),
    ] = None,
    json: Json = False,
) -> None:
    """Is the council better than its best member, and which members do not help?

    The gain over the best member, how often all are wrong, how alike they err, how many voices
    that makes, and what each member adds.
    """
    from mom_council.councils.recording import load_recording
    from mom_council.evals.audit import as_markdown
    from mom_council.evals.audit import audit as look
    from mom_council.evals.sheet import recording_path

    questions = load_recording(recording_path(file))
    every = dict.fromkeys(name for one in questions for name in one.models)
    seats = [name.strip() for name in models.split(",")] if models else [*every]
    report = look(questions, seats)
    if json:
        write_json(report.model_dump(mode="json"))
    else:
        show(as_markdown(report), end="")


def fact_retention(
    council: Seated,
    number: Annotated[int, typer.Option(min=1, help="How many planted questions.")] = 20,
    concurrency: Abreast = 4,
    calls: options.Calls = None,
    tokens: options.Tokens = None,
    usd: options.Dollars = None,
    seconds: options.Seconds = None,
    json: Json = False,
) -> None:
    """Measure how many of the members' facts reach the final answer.

    The members' words are planted, so only the synthesizer is asked: how many facts survive that
    one member alone had, and how often a falsehood of the majority is repeated.
    """
    with options.spending(calls, tokens, usd, seconds):
        _measure_fact_retention(council, number, concurrency, as_json=json)


def _measure_fact_retention(council: str, number: int, concurrency: int, *, as_json: bool) -> None:
    import asyncio

    from mom_council.councils.trust import load_trusted_council
    from mom_council.evals.fact_retention import measure_fact_retention, planted_questions

    retention = asyncio.run(
        measure_fact_retention(
            load_trusted_council(council),
            planted_questions(number),
            concurrency=concurrency,
            progress=show_progress(),
        )
    )
    if as_json:
        write_json(retention.model_dump(mode="json"))
    else:
        show(retention.in_words())


def _weights(
    written: str | None, kind: str, questions: object, seats: tuple[str, ...]
) -> dict[str, float] | None:
    if written is None:
        return None
    if written == "ledger":
        from mom_council.models.ledger import Ledger
        from mom_council.voting.reliability import learned_weights

        every = dict.fromkeys(name for one in questions for name in one.models)  # type: ignore[attr-defined]
        return learned_weights(Ledger().outcomes(), seats or tuple(every), kind)
    try:
        pairs = (pair.rpartition("=") for pair in written.split(","))
        return {name.strip(): float(weight) for name, _, weight in pairs}
    except ValueError:
        raise typer.BadParameter(f"--weights {written!r} is not of the form A=2,B=0.5") from None


def show_progress() -> Callable[[str, int, int], None]:
    """Tells how far it is on stderr: in place in a terminal, every tenth in a pipe."""
    terminal = sys.stderr.isatty()
    last = [-1]

    def progress(what: str, done: int, of: int) -> None:
        if terminal:
            sys.stderr.write(f"\r\x1b[K{what}: {done} of {of}{chr(10) * (done == of)}")
            sys.stderr.flush()
        elif (tenth := 10 * done // of) != last[0]:
            last[0] = tenth
            say(f"{what}: {done} of {of}")

    return progress
