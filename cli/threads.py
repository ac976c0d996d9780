"""`mom threads`: the conversations that are kept."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from mom_council.cli import failure as exits
from mom_council.cli.options import Database, Named, no_thread, place, thread_named
from mom_council.runs.words import inert, one_line

if TYPE_CHECKING:
    from langgraph.checkpoint.base import BaseCheckpointSaver

app = typer.Typer(
    help="List, show and delete threads.", no_args_is_help=True, rich_markup_mode=None
)

T = TypeVar("T")


@app.command("list")
def list_(
    limit: Annotated[int, typer.Option(min=1, metavar="N", help="How many, newest first.")] = 50,
    db: Database = None,
) -> None:
    """List the threads, newest first."""
    from mom_council.runs.threads import list_threads

    found = _with_store(db, lambda saver: list_threads(saver, limit))
    if not found:
        print('There are no threads yet; mom ask "..." begins one.')
    for one in found:
        when = one.updated.astimezone().strftime("%Y-%m-%d %H:%M")
        turns = f"{one.turns:3} turn{'s' if one.turns != 1 else ' '}"
        print(f"{one_line(one.id):12} {when}  {one.state:11} {turns}  {one_line(one.title)}")


@app.command()
def show(thread: Named, db: Database = None) -> None:
    """Print a conversation."""
    from mom_council.runs.threads import show_thread

    name = thread_named(thread)
    view = _with_store(db, lambda saver: show_thread(saver, name))
    if view is None:
        raise no_thread(name)
    for message in view.messages:
        print(f"{'You' if message.type == 'human' else 'Council'}: {inert(message.text)}\n")
    if view.summary.state != "answered":
        print(f"({view.summary.state}; to go on: mom resume {shlex.quote(name)})")


@app.command()
def delete(
    thread: Named,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    db: Database = None,
) -> None:
    """Forget a conversation for good."""
    from mom_council.runs.threads import delete_thread

    name = thread_named(thread)
    if not yes:
        if not sys.stdin.isatty():
            raise typer.BadParameter("nobody is there to ask; --yes deletes without asking")
        if not typer.confirm(f"Forget thread {name!r} for good?"):
            print("It is kept.")
            raise typer.Exit(exits.FAILED)
    if not _with_store(db, lambda saver: delete_thread(saver, name)):
        raise no_thread(name)
    print(f"Thread {name!r} is gone.")


def _with_store(db: str | None, work: Callable[[BaseCheckpointSaver[Any]], Awaitable[T]]) -> T:
    import asyncio

    from mom_council.runs.checkpoints import open_checkpointer

    async def run() -> T:
        async with open_checkpointer(place(db)) as saver:
            return await work(saver)

    return asyncio.run(run())
