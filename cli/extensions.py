"""`mom extensions`: what can be called around the nodes, and a new one to begin from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    help="List extensions, or begin one of your own.", no_args_is_help=True, rich_markup_mode=None
)


@app.command("list")
def list_() -> None:
    """List the extensions that a council may name.

    Bundled ones, installed packages, and folders of your own; a folder's code is not run. What one
    needs and is not here stands below it.
    """
    from mom_council.extensions.finding import every
    from mom_council.extensions.loaded import described_without_loading
    from mom_council.runs.words import one_line

    for found in every():
        if isinstance(found, Exception):
            print(f"  {one_line(str(found))}")
            continue
        about = described_without_loading(found)
        version = f" {about.version}" if about.version else ""
        says = one_line(f"{about.description}{version}")
        print(f"{one_line(about.name):16} {about.kind:10} {says}".rstrip())
        if about.problem:
            print(f"  {one_line(about.problem)}")


@app.command()
def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What a council calls it.")],
    into: Annotated[
        Path | None,
        typer.Option(
            "--into",
            metavar="FOLDER",
            help="Where it is put; left out: among your own, in the data directory.",
        ),
    ] = None,
) -> None:
    """Write a working extension to begin from, with a test."""
    from mom_council.extensions.finding import BUNDLED, VARIABLE, home
    from mom_council.extensions.skeleton import write_skeleton

    if name in BUNDLED:
        raise typer.BadParameter(f"{name!r} is a bundled one's name; choose another")
    parent = home() if into is None else into.absolute()
    try:
        folder = write_skeleton(name, parent)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    print(f"{folder} is ready: edit extension.py in it.")
    print(f"A council calls it with:  extensions: [{{use: {name}}}]")
    if into is not None:
        print(f"It is found where {VARIABLE} names its parent:  export {VARIABLE}={parent}")
