"""`mom import`: another system's file, or a whole checkout of it, as a council that answers."""

from __future__ import annotations

import asyncio
import json as as_text
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mom_council.cli import failure
from mom_council.cli.failure import say, write_json
from mom_council.cli.options import Database
from mom_council.runs.words import counted, inert, one_line

if TYPE_CHECKING:
    from mom_council.councils.importers import Imported
    from mom_council.councils.schema import Council
    from mom_council.runs.moving import MissingModel, TrialRun


Source = Annotated[
    Path,
    typer.Argument(
        metavar="FOLDER|FILE",
        help="A checkout of another system, or its characters.json, moa_config.yaml, "
        "model_config.json, config.py, .env, LiteLLM config.yaml or OpenRouter list.",
    ),
]
Out = Annotated[
    Path | None,
    typer.Option("--out", "-o", metavar="COUNCIL", help="Write the council here, as YAML."),
]
Name = Annotated[
    str | None, typer.Option(metavar="NAME", help="What it is called; else as the file is.")
]
Seats = Annotated[
    str | None,
    typer.Option(metavar="A,B", help="Who takes part; of a catalogue, any of its models."),
]
Maps = Annotated[
    list[str] | None,
    typer.Option("--map", metavar="A=B", help="Use model B instead of A. Can be repeated."),
]
Questions = Annotated[
    Path | None,
    typer.Option(metavar="JSONL", help="Write the questions of a config.py here, for mom batch."),
]
Tries = Annotated[
    bool, typer.Option("--run/--no-run", help="Ask the council once, to see who answers.")
]
Chats = Annotated[bool, typer.Option("--chats", help="Keep the folder's conversations as threads.")]
Force = Annotated[bool, typer.Option("--force", help="Overwrite an existing file.")]
JsonObject = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def import_(
    file: Source,
    out: Out = None,
    name: Name = None,
    seats: Seats = None,
    maps: Maps = None,
    run: Tries = True,
    chats: Chats = False,
    questions: Questions = None,
    force: Force = False,
    json: JsonObject = False,
    db: Database = None,
) -> None:
    """Make a council of another system's file or folder.

    The council goes to stdout or to --out; what could not be kept, and why, to stderr. Nothing in
    the folder is run, and no key is copied: the council names the variable that holds it. A .env
    and a compose file in the same folder are read along, for addresses and limits.

    Models that are not here are named, with what could stand in: a yes on a terminal, or --map,
    puts it there. At the end the council is asked once, where models are here and it is trusted.
    """
    from mom_council.councils.importers import import_council
    from mom_council.councils.loader import to_yaml
    from mom_council.runs.moving import with_models

    names = [one.strip() for one in (seats or "").split(",") if one.strip()]
    pairs = _pairs(maps or ())
    for target in (out, questions):
        if target is not None and not force:
            _refuse_to_overwrite(target)
    imported = import_council(file, name, names)
    council = with_models(imported.council, pairs) if pairs else imported.council
    if not json:
        _tell(imported, questions)
    council, lacking = asyncio.run(_apply_stand_ins(council, quiet=json))
    written = to_yaml(council)
    if out is not None:
        _write(out, written, force=force)
    if questions is not None:
        _write(questions, _as_lines(imported.questions), force=force)
    stored = _keep_chats(file, council, db, keeps=chats, quiet=json) if file.is_dir() else None
    trial = _try(council, written, out, lacking, quiet=json) if run else None
    if json:
        write_json(_object(imported, council, out, lacking, trial, stored))
    elif out is None:
        print(inert(written), end="")
    else:
        say(f"{out} is written; mom ask -c {out} asks it")
    if trial is not None and not trial.answered:
        raise typer.Exit(failure.NOBODY)


def _as_lines(questions: Sequence[str]) -> str:
    rows = [as_text.dumps({"question": one}, ensure_ascii=False) for one in questions]
    return "".join(f"{row}\n" for row in rows)


def _say(text: str, *, quiet: bool) -> None:
    """Say it, unless one JSON object is all that was asked for."""
    if not quiet:
        say(text)


def _pairs(maps: Sequence[str]) -> dict[str, str]:
    pairs = {}
    for one in maps:
        old, sign, new = one.partition("=")
        if not (sign and old.strip() and new.strip()):
            raise typer.BadParameter(f"--map: write it as A=B, not {one!r}")
        pairs[old.strip()] = new.strip()
    return pairs


def _write(path: Path, text: str, *, force: bool) -> None:
    from mom_council.errors import StorageError

    try:
        with path.expanduser().open("w" if force else "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise _is_there(path) from None
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error.strerror}") from None


def _refuse_to_overwrite(path: Path) -> None:
    if path.expanduser().exists():
        raise _is_there(path)


def _is_there(path: Path) -> Exception:
    from mom_council.errors import StorageError

    return StorageError(f"{path} is there already", cure="--force overwrites it")


def _object(
    imported: Imported,
    council: Council,
    out: Path | None,
    lacking: Sequence[MissingModel],
    trial: TrialRun | None,
    threads: dict[str, int] | None,
) -> dict[str, Any]:
    return {
        "format": imported.format,
        "council": council.model_dump(mode="json", exclude_defaults=True),
        "file": None if out is None else str(out),
        "turned": [note._asdict() for note in imported.turned],
        "left": [note._asdict() for note in imported.left],
        "questions": list(imported.questions),
        "choices": list(imported.choices),
        "missing": [asdict(one) for one in lacking],
        "trial": None if trial is None else _trial_object(trial),
        "chats": threads,
    }


def _tell(imported: Imported, questions: Path | None) -> None:
    say(f"{imported.file} is read as {imported.format}")
    for heading, notes in (("kept in another way", imported.turned), ("not kept", imported.left)):
        if notes:
            say(f"{heading}:")
            for note in notes:
                say(f"  {note}")
    if imported.questions and questions is None:
        number = counted(len(imported.questions), "question")
        say(f"the file has {number}; --questions FILE writes them out")


# -- models that are not here ---------------------------------------------------------------------


async def _apply_stand_ins(council: Council, *, quiet: bool) -> tuple[Council, list[MissingModel]]:
    """The council with the stand-ins that were accepted, and what it still lacks."""
    from mom_council.models.clients import close_loop_resources
    from mom_council.runs.moving import find_missing, with_models

    try:
        lacking, _ = await find_missing(council, os.environ)
        if not lacking or quiet:
            return council, lacking
        say(f"{len(lacking)} of its models are not here:")
        for one in lacking:
            instead = f"; {one.stand_in} could stand in" if one.stand_in else ""
            say(f"  {one.model}: {one.why}: {one.cure}{instead}")
        offered = {one.key: one.stand_in for one in lacking if one.stand_in}
        if offered and _says_yes("Let these stand in?"):
            council = with_models(council, offered)
            lacking, _ = await find_missing(council, os.environ)
        elif offered:
            options = " ".join(f"--map {one.model}={one.stand_in}" for one in lacking[:3])
            say(f"they are left as they are; {options} puts others there")
    finally:
        await close_loop_resources()
    return council, lacking


def _says_yes(question: str) -> bool:
    if not all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stderr)):
        return False
    try:
        return typer.confirm(question, default=True, err=True)
    except typer.Abort:
        say()
        return False


# -- the one run ----------------------------------------------------------------------------------


def _try(
    council: Council, text: str, out: Path | None, lacking: Sequence[MissingModel], *, quiet: bool
) -> TrialRun | None:
    """Ask the council once; None where it was not asked, which is said with the reason."""
    from mom_council.runs.moving import used_models

    missing = {one.key for one in lacking}
    if missing >= {who.model for who in council.characters}:
        _say("none of its models is here, so it was not asked", quiet=quiet)
        _say_cures(lacking, quiet=quiet)
        return None
    if why := _why_not(council, text, out):
        _say(f"it was not asked: {why}", quiet=quiet)
        return None
    count = len(used_models(council))
    _say(f"it is asked once now, with {counted(count, 'model')} ...", quiet=quiet)
    from mom_council.runs.moving import try_council, without_choices

    trial = asyncio.run(try_council(without_choices(council)))
    if quiet:
        return trial
    say(f"{len(trial.answered)} of {trial.size} answered: {', '.join(trial.answered) or 'nobody'}")
    for name, why in trial.absent:
        say(f"  {name}: {one_line(why, 160)}")
    if trial.answer:
        say(f"  its answer: {one_line(trial.answer, 200)}")
    _say_cures(lacking, quiet=quiet)
    return trial


def _why_not(council: Council, text: str, out: Path | None) -> str:
    """Why the council may not be asked now; empty: it may."""
    from mom_council.cli.trust import accept_on_terminal
    from mom_council.councils.permissions import permissions
    from mom_council.councils.trust import is_accepted, review_council, trust_command
    from mom_council.runs.discovery import costs_money
    from mom_council.runs.moving import without_choices

    review = review_council(council, text, out)
    asks = bool(permissions(without_choices(council)))
    if asks and not (is_accepted(review) or accept_on_terminal(review)):
        first = f"it {review.lines[0]}"
        more = f", and {len(review.lines) - 1} more" if len(review.lines) > 1 else ""
        how = trust_command(review) if out else "write it with -o FILE, and mom trust FILE"
        return f"{first}{more}; if you trust it: {how}"
    paid = os.environ.get("MOM_PAID", "") in ("1", "yes", "true")
    if paid or not costs_money(without_choices(council)):
        return ""
    agrees = _says_yes("Asking it once may cost money. Ask?")
    return "" if agrees else "it may cost money; MOM_PAID=1 allows it"


def _say_cures(lacking: Sequence[MissingModel], *, quiet: bool) -> None:
    cures = list(dict.fromkeys(one.cure for one in lacking if one.cure))
    if cures:
        _say(f"to have them all: {'; '.join(cures)}", quiet=quiet)


def _trial_object(trial: TrialRun) -> dict[str, Any]:
    return {
        "answered": list(trial.answered),
        "absent": [{"character": name, "reason": why} for name, why in trial.absent],
        "answer": trial.answer,
        "error": trial.error,
    }


def _keep_chats(
    folder: Path, council: Council, db: str | None, *, keeps: bool, quiet: bool
) -> dict[str, int]:
    from mom_council.runs.moving import chats_in, keep_chats

    chats = chats_in(folder)
    if not chats:
        return {"found": 0, "kept": 0}
    if not keeps:
        says = "--chats keeps them as threads"
        _say(f"{len(chats)} conversations lie in the folder; {says}", quiet=quiet)
        return {"found": len(chats), "kept": 0}
    from mom_council.cli.stored import with_store

    count = with_store(db, lambda saver: keep_chats(chats, council, saver))
    _say(
        f"{count} of {len(chats)} conversations are kept as threads; mom threads list", quiet=quiet
    )
    return {"found": len(chats), "kept": count}
