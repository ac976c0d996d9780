"""`mom councils`: what there is to sit with."""

from __future__ import annotations

import os
from typing import Annotated

import typer

app = typer.Typer(
    help="List, show, check and draw councils.", no_args_is_help=True, rich_markup_mode=None
)

Named = Annotated[str, typer.Argument(metavar="NAME|FILE", help="A preset's name or a YAML file.")]


@app.command("list")
def list_() -> None:
    """List the councils that come with the package."""
    from mom_council.councils.loader import load_council, preset_names

    for name in preset_names():
        council = load_council(name)
        print(f"{name:8} {len(council.characters)} characters  {council.description}")


@app.command()
def show(name: Named) -> None:
    """Print a council as YAML, to begin your own from."""
    from mom_council.cli.inert import inert
    from mom_council.councils.loader import load_council, preset_names, preset_path, to_yaml

    if name in preset_names():
        print(preset_path(name).read_text(encoding="utf-8"), end="")
    else:
        print(inert(to_yaml(load_council(name))), end="")


@app.command()
def check(name: Named) -> None:
    """Check a council file, and whether this machine can seat it.

    An error says where the file is wrong and what would be right. A note names a package or a key
    that is not here; nothing is asked over the network.
    """
    from mom_council.cli.inert import in_a_row
    from mom_council.councils.loader import load_council
    from mom_council.doctor.belongings import belongings
    from mom_council.extensions.hooks import under_extensions
    from mom_council.models.discovery import calls_at_most
    from mom_council.models.registry import missing

    council = load_council(name)
    layers = len(council.seats)
    ruled, calls = under_extensions(council)
    calls += calls_at_most(ruled)
    lacking = [
        *missing(council),
        *(f"{one.says}; {one.cure}" for one in belongings(council, os.environ)),
    ]
    print(
        f"{council.name!r} is well-formed: {_many(len(council.characters), 'character')} in "
        f"{_many(layers, 'layer')}, at most {_many(calls, 'call')} a question"
    )
    for line in lacking:
        print(f"note: {in_a_row(line)}")


@app.command()
def draw(name: Named) -> None:
    """Print the council's graph as a Mermaid diagram."""
    from mom_council.graph.council import council

    print(council(name).get_graph().draw_mermaid(), end="")


def _many(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"
