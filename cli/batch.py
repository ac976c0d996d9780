"""`mom batch`: a file of questions, each answered once."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from mom_council.cli import failure, options
from mom_council.cli import failure as exits
from mom_council.runs.words import counted

if TYPE_CHECKING:
    from mom_council.batch.job import BatchJob, BatchProgress


Source = Annotated[Path, typer.Argument(metavar="IN", help="Questions: .jsonl, .csv or .parquet.")]
Output = Annotated[
    Path, typer.Argument(metavar="OUT", help="Answers: .jsonl, .csv or .parquet, in IN's order.")
]
Database = Annotated[
    str | None,
    typer.Option(
        "--db",
        metavar="PLACE",
        help="Where rows under way are kept; left out: beside OUT. postgresql://... for "
        "machines that share no folder.",
    ),
]


def batch(
    source: Source,
    output: Output,
    council: options.Council = None,
    question: Annotated[
        str, typer.Option(metavar="COLUMN", help="The column that holds the question.")
    ] = "question",
    concurrency: Annotated[int, typer.Option(min=1, metavar="N", help="Rows at a time.")] = 8,
    calls: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Calls that all rows together may make.")
    ] = None,
    tokens: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Tokens that all together may use.")
    ] = None,
    usd: Annotated[
        float | None,
        typer.Option(min=0.0001, metavar="DOLLARS", help="What all together may cost."),
    ] = None,
    seconds: Annotated[
        float | None,
        typer.Option(min=0.001, metavar="SECONDS", help="How long this sitting may take."),
    ] = None,
    retry: Annotated[
        bool, typer.Option("--retry", help="Ask rows again that nobody could answer.")
    ] = False,
    engine: Annotated[
        Literal["local", "ray"],
        typer.Option(help="local: this process; ray: the workers of a Ray cluster."),
    ] = "local",
    workers: Annotated[
        int, typer.Option(min=1, metavar="N", help="With --engine ray: how many.")
    ] = 2,
    db: Database = None,
    trace: Annotated[
        bool,
        typer.Option("--trace", help="Keep a local trace of each row (the newest 500 are kept)."),
    ] = False,
    paid: options.Paid = False,
    json: options.Json = False,
) -> None:
    """Answer every row of a file, a few at a time, each once.

    OUT has IN's columns, in IN's order, and the answer, or the error, of each row. Stopped on the
    way, by Ctrl-C, a budget or a kill, the same command goes on: finished rows are not asked again,
    and neither are finished calls of rows that were under way. What is not finished lies in
    OUT.batch, which is removed when every row has its answer.
    """
    from mom_council.batch.engine import BatchLimits
    from mom_council.batch.job import BatchJob

    named = council or os.environ.get("MOM_COUNCIL")

    def job(seated: Any) -> BatchJob:
        limits = BatchLimits(calls, tokens, usd, seconds)
        return BatchJob(seated, source, output, question, concurrency, limits, retry)

    progress = _run(job, named, _engine(engine, workers, db, traced=trace), quiet=json)
    failure.write_json(_object(progress, output)) if json else _tell(progress, output)
    if progress.stopped:
        raise typer.Exit(exits.STOPPED)


def _engine(kind: str, workers: int, db: str | None, *, traced: bool) -> Any:
    if kind == "ray":
        from mom_council.batch.engine import ray_engine

        return ray_engine(workers, db, traced=traced)
    from mom_council.batch.engine import local_engine

    return local_engine(db, traced=traced)


def _run(
    job: Callable[[Any], BatchJob], named: str | None, engine: Any, *, quiet: bool
) -> BatchProgress:
    """Do the batch; Ctrl-C ends it cleanly.

    Raises:
        Exit: it was stopped.
    """
    from mom_council.batch.job import run_batch
    from mom_council.runs.discovery import choose_council, cost_notice, unread_notice

    failure.tell_warnings()
    ended: list[BatchProgress] = []

    async def work() -> None:
        choice = await choose_council(named, os.environ, say=failure.tell, consent=failure.may_cost)
        for line in filter(None, (unread_notice(choice), cost_notice(choice))):
            failure.say(line)
        with _progress_bar(quiet=quiet) as tell:
            ended.append(await run_batch(job(choice.council), engine, tell))

    line = "interrupted; finished rows are kept, and the same command goes on"
    failure.run_until_stopped(work(), line, as_json=quiet)
    return ended[0]


@contextmanager
def _progress_bar(*, quiet: bool) -> Iterator[Callable[[BatchProgress], None]]:
    """Tells how far it is on stderr: a bar in a terminal, every tenth elsewhere."""
    if quiet or not sys.stderr.isatty():
        yield (lambda progress: None) if quiet else _lines()
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (BarColumn(bar_width=20), TextColumn("{task.description}"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)

        def draw(progress: Any) -> None:
            bar.update(
                task,
                total=progress.total,
                completed=progress.done,
                description=in_words(progress),
            )

        yield draw


def _lines() -> Callable[[BatchProgress], None]:
    last = [-1]

    def show(progress: BatchProgress) -> None:
        tenth = 10 * progress.done // max(progress.total, 1)
        if tenth != last[0]:
            last[0] = tenth
            failure.say(in_words(progress))

    return show


def in_words(progress: BatchProgress) -> str:
    """How far it is, how long it takes, what it has cost."""
    parts = [f"{progress.done} of {counted(progress.total, 'row')}"]
    if progress.errors:
        parts.append(f"{progress.errors} without an answer")
    if progress.rate and progress.eta is not None:
        parts.append(f"{progress.rate:.1f} rows/s")
        if progress.left:
            parts.append(f"{_time(progress.eta)} left")
    spent = progress.spent
    parts.append(f"{counted(spent.calls, 'call')}")
    if spent.tokens is not None:
        parts.append(f"{counted(spent.tokens, 'token')}")
    if spent.usd is not None:
        parts.append(f"${spent.usd:.4f}")
    return ", ".join(parts)


def _time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes}:{rest:02} min" if minutes else f"{rest} s"


def _tell(progress: BatchProgress, output: Path) -> None:
    failure.say(f"{in_words(progress)}; written to {output}")
    if progress.stopped:
        failure.tell(
            f"stopped by the budget of {progress.stopped} with "
            f"{counted(progress.left, 'row')} to go; the same command with a larger one goes on"
        )
    elif progress.errors:
        failure.tell(
            f"{progress.errors} {'row' if progress.errors == 1 else 'rows'} failed; --retry runs "
            "failed rows again"
        )


def _object(progress: BatchProgress, output: Path) -> dict[str, Any]:
    return {
        "output": str(output),
        "rows": progress.total,
        "done": progress.done,
        "errors": progress.errors,
        "stopped": progress.stopped or None,
        "usage": progress.spent.model_dump(mode="json"),
        "seconds": round(progress.seconds, 3),
    }
