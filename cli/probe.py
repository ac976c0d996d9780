"""`mom probe`: what models can do, and who should sit where."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mom_council.cli import failure, options
from mom_council.cli import failure as exits
from mom_council.errors import OverBudgetError
from mom_council.runs.words import one_line

if TYPE_CHECKING:
    from mom_council.evals.probing.probe import Probing
    from mom_council.evals.probing.report import ProbeReport


def probe(
    models: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="MODEL...",
            help="Keys of the council's models, or provider:model, such as ollama:llama3.2. "
            "Left out: all of the council.",
        ),
    ] = None,
    council: Annotated[
        str | None,
        typer.Option("--council", "-c", metavar="NAME|FILE", help="Whose models are meant."),
    ] = None,
    base_url: Annotated[
        str | None,
        typer.Option("--base-url", metavar="URL", help="Where provider:model is served."),
    ] = None,
    context: Annotated[
        int, typer.Option("--context", min=0, help="Tokens up to which a needle is looked for.")
    ] = 8192,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FOLDER",
            help="Write report.md, report.json, proposers.json and aggregators.json here.",
        ),
    ] = None,
    keep: Annotated[
        bool,
        typer.Option(
            "--keep/--no-keep",
            help="Remember what was found for councils that do not say what a model can do.",
        ),
    ] = True,
    calls: options.Calls = None,
    tokens: options.Tokens = None,
    usd: options.Dollars = None,
    seconds: options.Seconds = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Find out what models can do, by asking each as proposer, voter and aggregator.

    About 25 short calls a model: right answers, poisoned proposals that an aggregator must not
    repeat, streaming, JSON, tools, a picture, a needle in longer and longer texts, speed. Ctrl-C
    keeps what was found. Vendors send a bill for the calls.
    """
    probing = _open_probing(models or [], council, base_url, context=context, keep=keep)
    with options.spending(calls, tokens, usd, seconds):
        code = _run(probing)
        _write_report(probing.report, out, as_json=json)
    if code:
        raise typer.Exit(code)


def _open_probing(
    models: list[str], council: str | None, base_url: str | None, **how: Any
) -> Probing:
    if not models and council is None:
        raise typer.BadParameter(
            "name a model (mom probe ollama:llama3.2) or a council (mom probe -c home)"
        )
    from mom_council.councils.trust import load_trusted_council
    from mom_council.evals.probing.asking import models_named
    from mom_council.evals.probing.probe import Probing

    seated = load_trusted_council(council) if council else None
    named, style = models_named(models, seated, base_url)
    return Probing(named, style, progress=_progress, **how)


def _write_report(report: ProbeReport, out: Path | None, *, as_json: bool) -> None:
    from mom_council.evals.probing.probe import as_markdown, write_pages

    if sys.stderr.isatty():
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)
    if out is not None:
        for path in write_pages(report, out):
            failure.say(f"wrote {path}")
    if as_json:
        failure.write_json(report.model_dump(mode="json"))
    else:
        failure.show(as_markdown(report), end="")


def _run(probing: Probing) -> int:
    """Probe to the end, or to Ctrl-C; the exit code."""
    import asyncio

    from mom_council.models.clients import close_loop_resources

    async def run() -> None:
        try:
            await probing.run()
        finally:
            await close_loop_resources()

    try:
        asyncio.run(run())
    except OverBudgetError as error:
        failure.tell(f"{error}; what was found is below")
    except KeyboardInterrupt:
        failure.tell("interrupted; what was found is below")
        return exits.INTERRUPTED
    answered = any(
        probe.state != "unknown" for one in probing.report.models for probe in one.probes.values()
    )
    return exits.ANSWERED if answered else exits.NOBODY


def _progress(model: str, part: str, done: int, of: int) -> None:
    line = f"{done + 1}/{of} {model}: {part}"
    if sys.stderr.isatty():
        print(f"\r\x1b[K{one_line(line)}", end="", file=sys.stderr, flush=True)
    else:
        failure.say(line)
