"""`mom councils`: list, show, check and draw councils."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from mom_council.cli.failure import show as show_text
from mom_council.runs.words import counted

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
        show_text(
            f"{name:8} {counted(len(council.characters), 'character'):12}  {council.description}"
        )


@app.command()
def show(name: Named) -> None:
    """Print a council as YAML, to begin your own from.

    `auto` is the council that `mom ask` makes of the models that are here.
    """
    from mom_council.councils.loader import load_council, preset_names, preset_path, to_yaml
    from mom_council.runs.words import inert

    if name == "auto" or name.startswith("models:"):
        import asyncio

        from mom_council.runs.automatic import council_in_words
        from mom_council.runs.discovery import choose_council

        choice = asyncio.run(choose_council(name, {**os.environ, "MOM_PAID": "1"}))
        print(inert(council_in_words(choice.council, choice.notice)), end="")
    elif name in preset_names():
        print(preset_path(name).read_text(encoding="utf-8"), end="")
    else:
        print(inert(to_yaml(load_council(name))), end="")


@app.command()
def check(name: Named) -> None:
    """Check a council file, and whether this machine can seat it.

    An error says where the file is wrong and how to fix it. A note names a package or a key
    that is not here; nothing is asked over the network.
    """
    from mom_council.councils.loader import load_council
    from mom_council.doctor.council import council_extras
    from mom_council.extensions.hook_run import under_extensions
    from mom_council.models.providers import missing
    from mom_council.runs.discovery import calls_at_most
    from mom_council.runs.words import in_a_row

    council = load_council(name)
    layers = len(council.seats)
    in_layers = f" in {layers} layers, one after the other" if layers > 1 else ""
    distrust = _distrust(name)
    # The code of an extension runs where the file is trusted.
    ruled, calls = (council, 0) if distrust else under_extensions(council)
    calls += calls_at_most(ruled)
    lacking = [
        *filter(None, [distrust]),
        *map(str, missing(council.models.values())),
        *(f"{one.says}; {one.cure}" for one in council_extras(council, os.environ)),
    ]
    show_text(
        f"{council.name!r} has no mistakes: {_many(len(council.characters), 'character')}"
        f"{in_layers}, at most {_many(calls, 'call')} a question"
    )
    for line in lacking:
        print(f"note: {in_a_row(line)}")


def _distrust(name: str) -> str:
    """What the council asks for and nobody accepted yet; empty where nothing."""
    from mom_council.councils.trust import UntrustedError, load_trusted_council

    try:
        load_trusted_council(name)
    except UntrustedError as error:
        return str(error)
    return ""


@app.command()
def draw(name: Named) -> None:
    """Print the council's graph as a Mermaid diagram."""
    from mom_council.councils.trust import load_trusted_council
    from mom_council.graph.council import council

    show_text(council(load_trusted_council(name)).get_graph().draw_mermaid(), end="")


def _many(number: int, what: str) -> str:
    return counted(number, what)
