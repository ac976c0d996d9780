"""`mom import`: another system's file as a council.

`mom councils`: what there is to sit with.
"""

from __future__ import annotations

import json as as_text
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mom_council.cli.failure import say, write_json
from mom_council.runs.words import inert

if TYPE_CHECKING:
    from mom_council.councils.importers import Imported


def import_(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="characters.json, moa_config.yaml, model_config.json, config.py or .env.",
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="COUNCIL", help="Write the council here, as YAML."),
    ] = None,
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="What it is called; else as the file is.")
    ] = None,
    questions: Annotated[
        Path | None,
        typer.Option(
            metavar="JSONL", help="Write the questions of a config.py here, for mom batch."
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over what is there.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Make a council of another system's file.

    The council goes to stdout or to --out; what could not be kept, and why, to stderr. Nothing in
    the file is run, and no key is copied: the council names the variable that holds it. A .env in
    the same folder is read along, for addresses and limits.
    """
    from mom_council.councils.importers import import_council
    from mom_council.councils.loader import to_yaml

    imported = import_council(file, name)
    written = to_yaml(imported.council)
    if out is not None:
        _write(out, written, force=force)
    if questions is not None:
        lines = [as_text.dumps({"question": one}, ensure_ascii=False) for one in imported.questions]
        _write(questions, "".join(f"{line}\n" for line in lines), force=force)
    if json:
        write_json(_object(imported, out))
        return
    _tell(imported, out, questions)
    if out is None:
        print(inert(written), end="")


def _write(path: Path, text: str, *, force: bool) -> None:
    from mom_council.errors import StorageError

    try:
        with path.expanduser().open("w" if force else "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise StorageError(f"{path} is there already", cure="--force writes over it") from None
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error.strerror}") from None


def _object(imported: Imported, out: Path | None) -> dict[str, Any]:
    return {
        "format": imported.format,
        "council": imported.council.model_dump(mode="json", exclude_defaults=True),
        "file": None if out is None else str(out),
        "turned": [note._asdict() for note in imported.turned],
        "left": [note._asdict() for note in imported.left],
        "questions": list(imported.questions),
    }


def _tell(imported: Imported, out: Path | None, questions: Path | None) -> None:
    for heading, notes in (("kept in another way", imported.turned), ("not kept", imported.left)):
        if notes:
            say(f"{heading}:")
            for note in notes:
                say(f"  {note}")
    if imported.questions and questions is None:
        say(f"the file has {len(imported.questions)} questions; --questions FILE writes them out")
    if out is not None:
        say(f"{out} is written; mom ask -c {out} asks it")


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

    An error says where the file is wrong and what would be right. A note names a package or a key
    that is not here; nothing is asked over the network.
    """
    from mom_council.councils.loader import load_council
    from mom_council.doctor.council import council_extras
    from mom_council.extensions.hook_run import under_extensions
    from mom_council.models.registry import missing
    from mom_council.runs.discovery import calls_at_most
    from mom_council.runs.words import in_a_row

    council = load_council(name)
    layers = len(council.seats)
    distrust = _distrust(name)
    # The code of an extension runs where the file is trusted.
    ruled, calls = (council, 0) if distrust else under_extensions(council)
    calls += calls_at_most(ruled)
    lacking = [
        *filter(None, [distrust]),
        *map(str, missing(council.models.values())),
        *(f"{one.says}; {one.cure}" for one in council_extras(council, os.environ)),
    ]
    print(
        f"{council.name!r} is well-formed: {_many(len(council.characters), 'character')} in "
        f"{_many(layers, 'layer')}, at most {_many(calls, 'call')} a question"
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

    print(council(load_trusted_council(name)).get_graph().draw_mermaid(), end="")


def _many(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"
