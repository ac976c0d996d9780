"""`mom storage`: what is stored on this machine, and what of it may go."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mom_council import paths
from mom_council.cli import failure as exits
from mom_council.cli.failure import write_json
from mom_council.cli.options import Database
from mom_council.cli.stored import with_store
from mom_council.runs.words import inert, one_line

if TYPE_CHECKING:
    from mom_council.runs.storage import Limits, Pruned, StoreName, StoreReport

app = typer.Typer(
    help="Show, prune, check, compact and export what is stored on this machine.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

_NAMES = ("threads", "journal", "traces", "cache", "ledger")
Stores = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="STORE...",
        help="threads, journal, traces, cache, ledger; all of them where none is named.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="As one JSON object.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


@app.command("show")
def show(json: Json = False, db: Database = None) -> None:
    """Say how much each store holds, and what its limits are."""
    from mom_council.runs import storage

    limits = storage.read_retention()
    reports = with_store(db, lambda saver: storage.report(saver, limits))
    last = storage.last_pruning()
    if json:
        stores = [one.model_dump(mode="json") for one in reports]
        file = str(paths.storage_limits())
        write_json({"stores": stores, "settings": file, "last_pruning": last})
        return
    for one in reports:
        print(_line(one))
    print(f"limits are read from {inert(str(paths.storage_limits()))}")
    if last:
        when = datetime.fromtimestamp(last["at"]).astimezone()
        print(f"last pruned automatically: {when:%Y-%m-%d %H:%M}")
        for entry in last.get("stores", []):
            _print_pruned(entry["name"], entry["items"], entry["bytes"], "deleted")
            _print_kept([(each["thread"], each["reason"]) for each in entry["kept"]])


def _line(one: StoreReport) -> str:
    if one.error:
        return f"{one.name:8} cannot be read: {one_line(one.error)}"
    size = f"{one.bytes / 1e6:8.1f} MB" if one.bytes else " " * 11
    oldest = f"since {one.oldest.astimezone():%Y-%m-%d}" if one.oldest else " " * 16
    free = f", {one.free / 1e6:.1f} MB free" if one.free >= 1e5 else ""
    limits = [f"{one.days:g} days"] if one.days is not None else []
    limits += [f"{one.megabytes:g} MB"] if one.megabytes is not None else []
    limit = f"  limit: {', '.join(limits)}" if limits else ""
    where = f"  {one_line(one.place)}{free}" if one.name != "journal" else "  (in threads)"
    return f"{one.name:8} {one.items:8} {size}  {oldest}{where}{limit}"


@app.command("prune")
def prune(
    stores: Stores = None,
    days: Annotated[
        float | None, typer.Option("--days", min=0, help="Delete what is older than so many days.")
    ] = None,
    megabytes: Annotated[
        float | None,
        typer.Option("--megabytes", min=0, help="Keep the newest of each store that fit in it."),
    ] = None,
    waiting: Annotated[
        bool, typer.Option("--waiting", help="Delete threads, too, that wait for a person.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Delete nothing; say what would.")] = (
        False
    ),
    json: Json = False,
    yes: Yes = False,
    db: Database = None,
) -> None:
    """Delete old data, by age or by size; the limits of storage.yaml where none is given.

    A thread in which somebody answers is kept, and so is one that waits for a person; each is named
    with the reason. Without --yes it asks first.
    """
    from mom_council.runs import storage

    names = _check_store_names(stores)
    if days is not None or megabytes is not None:
        limit = storage.Limits(days=days, megabytes=megabytes)
        limits = dict.fromkeys(names, limit)
    else:
        retention = storage.read_retention()
        limits = {name: retention.of(name) for name in names if retention.of(name).is_set}
        if not limits:
            raise typer.BadParameter(
                f"nothing says what may go: give --days or --megabytes, or write limits into "
                f"{paths.storage_limits()}"
            )
    planned = _prune(limits, db, waiting=waiting, dry_run=True)
    if dry_run or not any(one.items for one in planned):
        _tell(planned, json=json, done=False)
        return
    if not yes:
        _tell(planned, json=False, done=False, to_stderr=json)
        _confirm("Delete it for good?")
    _tell(_prune(limits, db, waiting=waiting, dry_run=False), json=json, done=True)


def _prune(
    limits: dict[StoreName, Limits], db: str | None, *, waiting: bool, dry_run: bool
) -> list[Pruned]:
    from mom_council.runs import storage

    async def work(saver: Any) -> list[Pruned]:
        return [
            await storage.prune(saver, name, limit, waiting=waiting, dry_run=dry_run)
            for name, limit in limits.items()
        ]

    return with_store(db, work)


def _tell(pruned: list[Pruned], *, json: bool, done: bool, to_stderr: bool = False) -> None:
    if json:
        stores = [one.model_dump(mode="json") for one in pruned]
        write_json({"deleted": done, "stores": stores})
        return
    say: Callable[[str], None] = (lambda line: print(line, file=sys.stderr)) if to_stderr else print
    for one in pruned:
        _print_pruned(one.name, one.items, one.bytes, "deleted" if done else "to delete", say)
        _print_kept([(each.thread, each.reason) for each in one.kept], say)


def _print_pruned(
    name: str, items: int, size: int, word: str, say: Callable[[str], None] = print
) -> None:
    say(f"{name:8} {items} {word}, {size / 1e6:.1f} MB")


def _print_kept(threads: list[tuple[str, str]], say: Callable[[str], None] = print) -> None:
    for thread, reason in threads:
        say(f"         kept: {one_line(thread)} ({one_line(reason)})")


@app.command("vacuum")
def vacuum(json: Json = False, db: Database = None) -> None:
    """Give the space of deleted data back to the disk. PostgreSQL uses it again instead."""
    from mom_council.runs import storage

    freed = with_store(db, storage.vacuum)
    if json:
        write_json({"freed": dict(freed)})
        return
    for name, size in freed.items():
        print(f"{name:8} {max(size, 0) / 1e6:.1f} MB given back")


@app.command("export")
def export(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where the files are written.")],
    stores: Stores = None,
    json: Json = False,
    db: Database = None,
) -> None:
    """Write what is stored as files of JSON lines, one file for each store."""
    from mom_council.runs.storage_check import export as write_files

    names = _check_store_names(stores)
    written = with_store(db, lambda saver: write_files(saver, folder.expanduser(), names))
    if json:
        write_json({"folder": str(folder), "lines": dict(written)})
        return
    for name, lines in written.items():
        print(f"{name:8} {lines:8} in {inert(str(folder / f'{name}.jsonl'))}")


@app.command("check")
def check(
    repair: Annotated[
        bool,
        typer.Option(
            "--repair",
            help="Threads go back to their last state that can be read; what else is damaged is "
            "deleted.",
        ),
    ] = False,
    json: Json = False,
    yes: Yes = False,
    db: Database = None,
) -> None:
    """Read all that is stored, and name what is damaged."""
    from mom_council.runs.storage_check import check as find_damage

    damaged = with_store(db, find_damage)
    if repair and damaged:
        if not yes:
            for one in damaged:
                print(f"{one.store}: {one_line(one.name)}: {one.repair}", file=sys.stderr)
            _confirm("Repair it so?")
        damaged = with_store(db, lambda saver: find_damage(saver, repair=True))
    if json:
        write_json({"repaired": repair, "damaged": [one.model_dump() for one in damaged]})
    else:
        for one in damaged:
            print(f"{one.store}: {one_line(one.name)}: {one_line(one.reason)}; {one.repair}")
        if not damaged:
            print("Everything can be read.")
        elif not repair:
            print("mom storage check --repair does what stands at the end of each line.")
    if damaged and not repair:
        raise typer.Exit(exits.FAILED)


def _check_store_names(stores: list[str] | None) -> list[StoreName]:
    unknown = [name for name in stores or () if name not in _NAMES]
    if unknown:
        raise typer.BadParameter(f"there is no store {unknown[0]!r}; there are {', '.join(_NAMES)}")
    names: Any = [name for name in _NAMES if name in stores] if stores else [*_NAMES]
    return list(names)


def _confirm(question: str) -> None:
    if not sys.stdin.isatty():
        raise typer.BadParameter("nobody is there to ask; --yes does it without asking")
    if not typer.confirm(question):
        print("Nothing was changed.")
        raise typer.Exit(exits.FAILED)
