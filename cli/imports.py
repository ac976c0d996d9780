"""`mom import`: another system's file as a council."""

from __future__ import annotations

import json as as_text
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mom_council.cli.failure import say, write_json
from mom_council.cli.inert import inert

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

    found = import_council(file, name)
    written = to_yaml(found.council)
    if out is not None:
        _write(out, written, force=force)
    if questions is not None:
        lines = [as_text.dumps({"question": one}, ensure_ascii=False) for one in found.questions]
        _write(questions, "".join(f"{line}\n" for line in lines), force=force)
    if json:
        write_json(_object(found, out))
        return
    _tell(found, out, questions)
    if out is None:
        print(inert(written), end="")


def _write(path: Path, text: str, *, force: bool) -> None:
    from mom_council.errors import StorageError

    try:
        with path.expanduser().open("w" if force else "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise StorageError(f"{path} is there already; --force writes over it") from None
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error.strerror}") from None


def _object(found: Imported, out: Path | None) -> dict[str, Any]:
    return {
        "format": found.format,
        "council": found.council.model_dump(mode="json", exclude_defaults=True),
        "file": None if out is None else str(out),
        "turned": [note._asdict() for note in found.turned],
        "left": [note._asdict() for note in found.left],
        "questions": list(found.questions),
    }


def _tell(found: Imported, out: Path | None, questions: Path | None) -> None:
    for heading, notes in (("kept in another way", found.turned), ("not kept", found.left)):
        if notes:
            say(f"{heading}:")
            for note in notes:
                say(f"  {note}")
    if found.questions and questions is None:
        say(
            f"questions: {len(found.questions)} stand in the file; --questions FILE writes them out"
        )
    if out is not None:
        say(f"{out} is written; mom ask -c {out} asks it")
