"""`mom doctor` and `mom download`: what this machine can do, and the files that it needs."""

from __future__ import annotations

import os
import sys
from difflib import get_close_matches
from typing import Annotated

import typer

from mom_council.cli import failure
from mom_council.cli import failure as exits
from mom_council.errors import ProviderNotInstalledError


def doctor(
    council: Annotated[
        str | None,
        typer.Option(
            "--council",
            "-c",
            metavar="NAME|FILE",
            help="Also check what this council needs. Default: MOM_COUNCIL.",
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Check this machine and suggest fixes.

    Nothing is asked beyond this machine and the Ollama servers of the council, nothing is changed,
    and no key is shown. Exit code 0: nothing failed, warnings aside; 1: something did.
    """
    import asyncio

    from mom_council.cli.failure import write_json
    from mom_council.doctor.machine import examine
    from mom_council.runs.words import in_a_row, one_line

    findings = asyncio.run(examine(dict(os.environ), council))
    failed = sum(one.state == "fail" for one in findings)
    if json:
        write_json({"ok": not failed, "findings": [one.model_dump() for one in findings]})
    else:
        for one in findings:
            print(f"{one.state:4}  {one_line(one.about)}: {in_a_row(one.says)}")
            if one.cure:
                print(f"      -> {one_line(one.cure)}")
        warned = sum(one.state == "warn" for one in findings)
        print(f"\n{len(findings) - failed - warned} ok, {warned} to look at, {failed} failed")
    if failed:
        raise typer.Exit(exits.FAILED)


def download(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME", help="Which weights, or `engine` for what runs them; `list` names them."
        ),
    ] = "qwen2.5-0.5b-instruct",
) -> None:
    """Fetch a small instruct model, once.

    For answers without Ollama and without a key. An interrupted download goes on where it stopped.
    """
    from mom_council.models.weights import WEIGHTS

    if name == "engine":
        get_engine()
        return
    if name == "list":
        for weights in WEIGHTS.values():
            print(f"{weights.name:24} {weights.megabytes:5} MB  {weights.licence}  {weights.about}")
        return
    if name not in WEIGHTS:
        near = get_close_matches(name, WEIGHTS, n=1)
        meant = f"did you mean {near[0]!r}?" if near else "`mom download list` names them"
        raise typer.BadParameter(f"there are no weights {name!r}; {meant}")
    try:
        fetch(name)
    except KeyboardInterrupt:
        failure.tell("interrupted; the same command goes on from here")
        raise typer.Exit(exits.INTERRUPTED) from None


def get_engine() -> None:
    """Install llama.cpp where it is not installed, and say so."""
    from mom_council.models.providers.embedded import (
        ENGINE_MEGABYTES,
        install_engine,
        is_installed,
    )

    if is_installed():
        failure.say("The engine llama.cpp is here.")
        return
    failure.say(f"Getting the engine llama.cpp, once: {ENGINE_MEGABYTES} MB ...")
    try:
        install_engine()
    except ProviderNotInstalledError as error:
        failure.tell(str(error))
        raise typer.Exit(exits.FAILED) from None
    failure.say("The engine llama.cpp is here.")


def is_engine_ready() -> bool:
    """Whether models of this machine can be asked; a person at a terminal is asked to get it."""
    from mom_council.models.providers.embedded import ENGINE_MEGABYTES, is_installed

    if is_installed():
        return True
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    question = f"Models on this machine need the engine llama.cpp ({ENGINE_MEGABYTES} MB). Get it"
    if not typer.confirm(question, default=True, err=True):
        return False
    get_engine()
    return True


def fetch(name: str) -> None:
    """Download weights with a bar that shows how far it is, and the engine that runs them."""
    get_engine()
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    from mom_council.models.weights import download_weights

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(name, total=None)
        path = download_weights(
            name,
            progress=lambda here, total: progress.update(task, completed=here, total=total),
        )
    print(f"{path.name} is here; mom ask uses it when there is no Ollama and no key.")
