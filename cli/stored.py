"""`mom threads`, `mom trace` and `mom cache`: what is kept on this machine."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from mom_council.cli import failure as exits
from mom_council.cli.failure import write_json
from mom_council.cli.options import (
    Council,
    Database,
    Json,
    Named,
    Quiet,
    choose_show,
    no_thread,
    place,
    thread_named,
)
from mom_council.runs.words import counted, inert, one_line

if TYPE_CHECKING:
    from langgraph.checkpoint.base import BaseCheckpointSaver


threads_app = typer.Typer(
    help="List, show, fork and delete threads.", no_args_is_help=True, rich_markup_mode=None
)

T = TypeVar("T")


@threads_app.command("list")
def print_threads(
    limit: Annotated[int, typer.Option(min=1, metavar="N", help="How many, newest first.")] = 50,
    json: Annotated[bool, typer.Option("--json", help="As one JSON object.")] = False,
    db: Database = None,
) -> None:
    """List the threads, newest first."""
    from mom_council.runs.threads import list_threads

    threads = with_store(db, lambda saver: list_threads(saver, limit))
    if json:
        write_json({"threads": [one.model_dump(mode="json") for one in threads]})
        return
    if not threads:
        print('There are no threads yet; mom ask "..." begins one.')
    for one in threads:
        when = one.updated.astimezone().strftime("%Y-%m-%d %H:%M")
        turns = f"{one.turns:3} turn{'s' if one.turns != 1 else ' '}"
        print(f"{one_line(one.id):12} {when}  {one.state:11} {turns}  {one_line(one.title)}")


@threads_app.command("show")
def print_thread(thread: Named, db: Database = None) -> None:
    """Print a conversation."""
    from mom_council.runs.threads import show_thread

    name = thread_named(thread)
    view = with_store(db, lambda saver: show_thread(saver, name))
    if view is None:
        raise no_thread(name)
    for message in view.messages:
        print(f"{'You' if message.type == 'human' else 'Council'}: {inert(message.text)}\n")
    if view.summary.state != "answered":
        print(f"({view.summary.state}; to go on: mom resume {shlex.quote(name)})")


@threads_app.command("fork")
def fork_thread(
    thread: Named,
    proposal: Annotated[
        list[str] | None,
        typer.Option("--proposal", metavar="NAME=TEXT", help="What a character proposed instead."),
    ] = None,
    vote: Annotated[
        list[str] | None,
        typer.Option("--vote", metavar="VOTER=NAME", help="A vote; a ranking as A>B, best first."),
    ] = None,
    weight: Annotated[
        list[str] | None,
        typer.Option("--weight", metavar="NAME=NUMBER", help="A character's weight."),
    ] = None,
    method: Annotated[str | None, typer.Option("--method", help="How votes are counted.")] = None,
    round_: Annotated[
        int | None, typer.Option("--round", min=1, help="In which round; the last, if left out.")
    ] = None,
    to: Annotated[str | None, typer.Option("--to", metavar="NEW", help="The new thread.")] = None,
    council: Council = None,
    json: Json = False,
    quiet: Quiet = False,
    db: Database = None,
) -> None:
    """Ask what if: change a proposal, a vote, a weight or the method, and go on in a new thread.

    What was there before the change is kept and not paid again. The old thread stays as it is.
    """
    from mom_council.cli.session import Session
    from mom_council.deliberation.context import CouncilContext

    changes = {
        "proposals": _pairs(proposal, str),
        "votes": _pairs(vote, lambda text: text.split(">") if ">" in text else text),
        "weights": _pairs(weight, float),
        "method": method,
        "round": round_,
        "thread": thread_named(to) if to else None,
    }
    if not any(changes[key] for key in ("proposals", "votes", "weights", "method")):
        raise typer.BadParameter("change something: --proposal, --vote, --weight or --method")
    show = choose_show(json=json, quiet=quiet)
    with Session(council, db=db, show=show, thread=thread_named(thread), forks=changes) as session:
        code = session.resume(CouncilContext())
    raise typer.Exit(code)


def _pairs(options: list[str] | None, read: Callable[[str], Any]) -> dict[str, Any]:
    pairs = {}
    for text in options or ():
        name, cut, value = text.partition("=")
        try:
            pairs[name.strip()] = read(value.strip() if cut else "")
        except ValueError:
            cut = ""
        if not cut or not value.strip():
            raise typer.BadParameter(f"write it as NAME=VALUE, not {text!r}")
    return pairs


@threads_app.command("delete")
def forget_thread(
    thread: Annotated[str | None, typer.Argument(metavar="[THREAD]", help="Its name.")] = None,
    all_: Annotated[bool, typer.Option("--all", help="Forget every conversation.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    db: Database = None,
) -> None:
    """Forget a conversation for good, or all of them."""
    from mom_council.runs.threads import delete_all_threads, delete_thread

    if all_ == (thread is not None):
        raise typer.BadParameter("name the THREAD, or --all of them")
    name = thread_named(thread) if thread is not None else ""
    what = f"thread {name!r}" if name else "all threads"
    if not yes:
        if not sys.stdin.isatty():
            raise typer.BadParameter("nobody is there to ask; --yes deletes without asking")
        if not typer.confirm(f"Forget {what} for good?"):
            print("It is kept." if name else "They are kept.")
            raise typer.Exit(exits.FAILED)
    if not name:
        deleted, busy = with_store(db, delete_all_threads)
        print(f"{counted(deleted, 'thread')} deleted.")
        if busy:
            names = ", ".join(map(repr, busy))
            print(f"Kept, as they are answering now: {names}.", file=sys.stderr)
            raise typer.Exit(exits.FAILED)
        return
    if not with_store(db, lambda saver: delete_thread(saver, name)):
        raise no_thread(name)
    print(f"Thread {name!r} is gone.")


def with_store(db: str | None, work: Callable[[BaseCheckpointSaver[Any]], Awaitable[T]]) -> T:
    """Open the store of threads, and do something with it.

    Raises:
        StorageError: it cannot be opened, or what is done with it fails.
    """
    import asyncio

    from mom_council.runs.checkpoints import open_checkpointer, storage_errors

    async def run() -> T:
        async with open_checkpointer(place(db)) as saver:
            with storage_errors(getattr(saver, "place", "memory:")):
                return await work(saver)

    return asyncio.run(run())


traces_app = typer.Typer(
    help="List and show local traces.", no_args_is_help=True, rich_markup_mode=None
)


@traces_app.command("list")
def print_traces(
    limit: Annotated[int, typer.Option(min=1, metavar="N", help="How many, newest first.")] = 20,
    json: Annotated[bool, typer.Option("--json", help="As one JSON object.")] = False,
) -> None:
    """List the traces, newest first."""
    from mom_council.tracing.store import TraceStore

    traces = TraceStore().summaries(limit)
    if json:
        write_json({"traces": [one.model_dump(mode="json") for one in traces]})
        return
    if not traces:
        print('There are no traces yet; mom ask "..." leaves one.')
    for one in traces:
        when = one.started.astimezone().strftime("%Y-%m-%d %H:%M")
        took = "  never " if one.seconds is None else f"{one.seconds:6.1f} s"
        failed = f"  ({one_line(one.error, 80)})" if one.error else ""
        about = f"{one_line(one.council):10} {one_line(one.question, 60)}"
        print(f"{one.id}  {when}  {took}  {one.calls:3} calls  {about}{failed}")


@traces_app.command("show")
def print_trace(
    trace: Annotated[str, typer.Argument(metavar="TRACE", help="Its id, or the beginning of it.")],
    full: Annotated[bool, typer.Option("--full", help="With every prompt and reply.")] = False,
    json: Annotated[bool, typer.Option("--json", help="As one JSON object.")] = False,
) -> None:
    """Print the tree of a trace, with times, tokens and models."""
    from mom_council.tracing.store import TraceStore

    view = TraceStore().load(trace)
    if view is None:
        raise typer.BadParameter(f"there is no trace {trace!r}; mom trace list shows them")
    if json:
        write_json(view.model_dump(mode="json"))
        return
    for depth, span in view.tree():
        print(_line(depth, span))
        if full:
            for line in _words_of(span):
                print(inert(f"{'  ' * depth}    {line}"))


def _line(depth: int, span: Any) -> str:
    took = "never ended" if span.seconds is None else f"{span.seconds:.3f} s"
    parts = [f"{span.start:7.3f}  {'  ' * depth}{span.name}", took, span.model]
    if span.output_tokens is not None:
        parts.append(f"{span.input_tokens} + {span.output_tokens} tokens")
    if plan := span.about.get("plan"):
        parts.append(one_line(str(plan)))
    if span.kind == "run" and (request := span.about.get("request_id")):
        parts.append(f"request {request}")
    if span.error:
        parts.append(f"error: {one_line(span.error)}")
    return inert("  ".join(part for part in parts if part))


def _words_of(span: Any) -> list[str]:
    lines = [f"[{m.role}] {line}" for m in span.prompt for line in m.text.splitlines()]
    if span.reasoning:
        lines += [f"[thought] {line}" for line in span.reasoning.splitlines()]
    return lines + [f"[reply] {line}" for line in span.reply.splitlines()]


cache_app = typer.Typer(
    help="See and empty the cache of answers.", no_args_is_help=True, rich_markup_mode=None
)


@cache_app.command("stats")
def print_cache(
    json: Annotated[bool, typer.Option("--json", help="As one JSON object.")] = False,
) -> None:
    """Say where the cache lies, how large it is, and whose answers are in it."""
    from datetime import UTC, datetime

    from mom_council.models.cache import stats

    cache = stats()
    if json:
        write_json(cache.model_dump(mode="json"))
        return
    print(cache.path)
    if not cache.answers:
        print("It is empty; a council with a `cache:` section fills it.")
        return
    answers = counted(cache.answers, "answer")
    print(f"{answers}, {cache.bytes / 1e6:.1f} MB, {cache.expired} past their time")
    if cache.oldest is not None:
        oldest = datetime.fromtimestamp(cache.oldest, UTC).astimezone()
        print(f"the oldest of {oldest:%Y-%m-%d %H:%M}")
    for model, many in cache.models.items():
        print(f"{many:6}  {one_line(model, 80)}")


@cache_app.command("clear")
def clear_cache() -> None:
    """Forget every answer; the next question is asked anew."""
    from mom_council.models.cache import clear

    print(f"The cache is empty; {clear() / 1e6:.1f} MB are free again.")
