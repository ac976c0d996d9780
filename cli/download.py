"""`mom download`: a small real model for the embedded engine."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Annotated

import typer

from mom_council.cli import failure
from mom_council.cli import failure as exits


def download(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Which weights; `list` names them.")
    ] = "qwen2.5-0.5b-instruct",
) -> None:
    """Fetch a small instruct model, once.

    For answers without Ollama and without a key. An interrupted download goes on where it stopped.
    """
    from mom_council.models.weights import WEIGHTS

    if name == "list":
        for known in WEIGHTS.values():
            print(f"{known.name:24} {known.megabytes:5} MB  {known.licence}")
        return
    if name not in WEIGHTS:
        near = get_close_matches(name, WEIGHTS, n=1)
        meant = f"did you mean {near[0]!r}?" if near else "`mom download list` names them"
        raise typer.BadParameter(f"there are no weights {name!r}; {meant}")
    try:
        _fetch(name)
    except KeyboardInterrupt:
        failure.tell("interrupted; the same command goes on from here")
        raise typer.Exit(exits.INTERRUPTED) from None


def _fetch(name: str) -> None:
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
