"""The options that several commands share."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Show(StrEnum):
    """How a run is shown."""

    LIVE = "live"
    FULL = "full"
    PLAIN = "plain"
    JSON = "json"
    QUIET = "quiet"
    DEBUG = "debug"


def _without_color(no_color: bool) -> bool:
    if no_color:
        os.environ["NO_COLOR"] = "1"
    return no_color


Council = Annotated[
    str | None,
    typer.Option(
        "--council",
        "-c",
        metavar="NAME|FILE",
        help="A preset's name or a YAML file. Default: MOM_COUNCIL.",
    ),
]
Models = Annotated[
    list[str] | None,
    typer.Option(
        "--model",
        "-m",
        metavar="MODEL",
        help="Ask these models, each NAME or PROVIDER/NAME. Can be repeated.",
    ),
]


def _allow_paid(paid: bool) -> bool:
    if paid:
        os.environ["MOM_PAID"] = "1"
    return paid


Paid = Annotated[
    bool,
    typer.Option(
        "--paid",
        callback=_allow_paid,
        help="If local models do not answer, use models that cost money, without asking first. "
        "MOM_PAID=1 does the same.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object with everything.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print the answer alone.")]
Full = Annotated[
    bool, typer.Option("--full", help="Show all that each member says, and every ballot.")
]
Debug = Annotated[bool, typer.Option("--debug", help="Show every prompt and every reply.")]
NoColor = Annotated[
    bool,
    typer.Option(
        "--no-color",
        callback=_without_color,
        help="No colours. The variable NO_COLOR does the same.",
    ),
]
Database = Annotated[
    str | None,
    typer.Option(
        "--db",
        metavar="PLACE",
        help="Where threads are kept: a SQLite file, postgresql://..., or memory:. "
        "Default: MOM_DATABASE.",
    ),
]
Named = Annotated[str, typer.Argument(metavar="THREAD", help="The thread's name.")]


def choose_show(
    *, json: bool = False, quiet: bool = False, debug: bool = False, full: bool = False
) -> Show:
    """How to show a run: as asked, or live in a terminal and plain in a pipe.

    Raises:
        typer.BadParameter: two ways are asked for at once.
    """
    flags = ((json, Show.JSON), (quiet, Show.QUIET), (debug, Show.DEBUG))
    shows = [show for yes, show in flags if yes]
    if len(shows) > 1:
        raise typer.BadParameter(f"--{shows[0]} and --{shows[1]} do not go together; choose one")
    if shows:
        return shows[0]
    if os.environ.get("DEBUG_MODE", "").strip().lower() in ("true", "1", "yes", "on"):
        return Show.DEBUG
    dumb = os.environ.get("TERM", "dumb" if os.name == "posix" else "") in ("dumb", "unknown")
    if not sys.stdout.isatty() or dumb:
        return Show.PLAIN
    return Show.FULL if full else Show.LIVE


def place(db: str | None) -> str | None:
    """Where threads are kept: as the option says, or the environment."""
    return db or os.environ.get("MOM_DATABASE") or None


def council_named(council: str | None, models: list[str] | None) -> str | None:
    """The name of the council that -c or the -m options ask for.

    Raises:
        typer.BadParameter: both are given.
    """
    if not models:
        return council
    if council is not None:
        raise typer.BadParameter("--council and --model do not go together; choose one")
    return "models:" + ",".join(models)


def thread_named(name: str) -> str:
    """The name of a thread, where it can be one.

    Raises:
        typer.BadParameter: it cannot.
    """
    from mom_council.errors import StorageError
    from mom_council.runs.threads import valid_thread

    try:
        return valid_thread(name)
    except StorageError as error:
        raise typer.BadParameter(str(error)) from None


def no_thread(name: str) -> typer.BadParameter:
    """The refusal of a thread that is not there."""
    return typer.BadParameter(f"there is no thread {name!r}; `mom threads list` shows them")


def whole_path(named: str) -> str:
    """A council as another folder would name it too: a file by its whole path."""
    from mom_council.councils.loader import preset_names

    path = Path(named)
    return str(path.absolute()) if named not in preset_names() and path.is_file() else named


Calls = Annotated[
    int | None, typer.Option(min=1, metavar="N", help="Calls that all may make together.")
]
Tokens = Annotated[
    int | None, typer.Option(min=1, metavar="N", help="Tokens that all may use together.")
]
Dollars = Annotated[
    float | None, typer.Option(min=0.0001, metavar="DOLLARS", help="What all may cost together.")
]
Seconds = Annotated[
    float | None,
    typer.Option(min=0.001, metavar="SECONDS", help="How long all may take together."),
]


@contextmanager
def spending(
    calls: int | None, tokens: int | None, usd: float | None, seconds: float | None
) -> Iterator[None]:
    """Within it, calls are charged to one account with these limits; at its end a line says so.

    Raises:
        Exit: something did not fit any more.
    """
    from mom_council.cli.failure import STOPPED, say
    from mom_council.models.prices import charge_to
    from mom_council.models.spending import Account, SpendingLimits

    limits = SpendingLimits(calls, tokens, usd, seconds)
    if not limits.are_set:
        yield
        return
    account = Account(limits, owner="the budget of this command")
    with charge_to(account):
        yield
    if account.refusals or account.seconds_left <= 0:
        say(f"the budget of {limits.in_words()} is spent; what was finished is above")
        raise typer.Exit(STOPPED)
