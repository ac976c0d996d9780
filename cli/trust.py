"""`mom trust`: which council files and `.env` files may use this machine's keys, code and folders.

The same question on a terminal, where a command meets a file that was not accepted.
"""

from __future__ import annotations

import os
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mom_council.cli import failure
from mom_council.cli.options import Json
from mom_council.errors import CouncilError, StorageError
from mom_council.vendors.openai import OPENAI

if TYPE_CHECKING:
    from mom_council.councils.trust import Review, TrustRecord

_NEVER_FROM_A_FILE = (
    *("MOM_TOOLS", "MOM_EXTENSIONS", "MOM_DOCUMENTS", "MOM_EMBEDDINGS", "MOM_EMBEDDINGS_URL"),
    *("HOME", "XDG_DATA_HOME", "PYTHONPATH", "LD_PRELOAD"),
)
"""What no `.env` decides, accepted or not: which code runs, and where accepted files are listed."""


def trust(
    files: Annotated[
        list[str] | None,
        typer.Argument(metavar="[FILE]...", help="Council files, and .env files, to accept."),
    ] = None,
    keys: Annotated[
        list[str] | None,
        typer.Option(
            "--key",
            metavar="VARIABLE",
            help="Allow a variable that does not look like a key of where it goes.",
        ),
    ] = None,
    revoke: Annotated[
        bool, typer.Option("--revoke", help="Take it back; FILE may be a digest of the list.")
    ] = False,
    show: Annotated[
        bool, typer.Option("--show", help="Print what a file would do, and accept nothing.")
    ] = False,
    json: Json = False,
) -> None:
    """Accept a council file or a .env as it is now, list what was accepted, or take it back.

    A council that did not come with the package may use no key, no foreign address, no code and no
    folder until it is accepted; a .env is not read until then. If the file changes, it must
    be accepted again.
    """
    if not files:
        if revoke or show or keys:
            raise typer.BadParameter("name the FILE")
        _print_list(as_json=json)
        return
    if revoke:
        _revoke(files)
        return
    from mom_council.councils.trust import accept, review_file, trust_command

    reviews = [review_file(Path(name)) for name in files]
    for review in reviews:
        _say_review(review)
        odd = {*review.odd_variables} - {*(keys or ())}
        if odd and not show:
            raise CouncilError(
                f"{', '.join(sorted(odd))} does not look like a key of where it would go",
                cure=f"if you mean it: {trust_command(review)}",
            )
    for review in reviews:
        if not show and review.lines:
            accept(review, keys or ())
    if json:
        failure.write_json({"files": [asdict(review) for review in reviews]})


def _say_review(review: Review) -> None:
    if not review.lines:
        failure.say(f"{review.path} asks for nothing that must be accepted")
        return
    failure.say(f"{review.path or 'This council'}")
    for line in review.lines:
        failure.say(f"  {line}")


def _revoke(files: list[str]) -> None:
    from mom_council.councils.trust import revoke

    for name in files:
        if not (records := revoke(name)):
            raise typer.BadParameter(f"nothing was decided about {name!r}; mom trust lists all")
        for record in records:
            failure.say(f"{record.path or record.digest[:12]} is not trusted any more")


def _print_list(*, as_json: bool) -> None:
    from mom_council.councils.trust import decisions
    from mom_council.runs.words import inert

    records = decisions()
    if as_json:
        failure.write_json({"decisions": [asdict(record) for record in records]})
        return
    if not records:
        failure.say("no file was accepted yet; mom trust FILE accepts one")
    for record in records:
        print(inert(_line(record)))
        for line in record.lines:
            print(inert(f"    {line}"))


def _line(record: TrustRecord) -> str:
    day = datetime.fromtimestamp(record.at, UTC).date().isoformat()
    word = "accepted" if record.accepted else "declined"
    now = _state_now(record)
    return f"{record.digest[:12]}  {word} {day}  {record.path or '(from the page)'}{now}"


def _state_now(record: TrustRecord) -> str:
    from mom_council.councils.trust import review_file

    if not record.path:
        return ""
    try:
        same = review_file(Path(record.path)).digest == record.digest
    except CouncilError:
        return "  (cannot be read now)"
    return "" if same else "  (changed since)"


# -- the question on a terminal -------------------------------------------------------------------


def accept_on_terminal(review: Review) -> bool:
    """Show a file that is not accepted and ask; remember the answer.

    Returns:
        Whether it is accepted now. Without a terminal nobody is asked.
    """
    from mom_council.councils.trust import accept, decline

    if review.odd_variables or not _has_terminal():
        return False
    name = "This council" if not review.path else f"{os.path.relpath(review.path)!r}"
    failure.say(f"{name} is new here, or was changed. It:")
    for line in review.lines:
        failure.say(f"  {line}")
    try:
        yes = typer.confirm("Trust it?", default=False, err=True)
    except typer.Abort:
        failure.say()
        return False
    if yes:
        accept(review)
    elif review.kind == "env":
        decline(review)
    return yes


def _has_terminal() -> bool:
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stderr))


# -- .env files -----------------------------------------------------------------------------------


def read_env(arguments: list[str]) -> None:
    """Read `.env.local` or `.env` of the working directory, where its user has accepted it."""
    if names := os.environ.pop(_INHERITED, ""):
        # They are the parent's from when it started; the file may say something else by now.
        _from_file.update(names.split(","))
        reread_env()
        return
    name = next((p for p in (".env.local", ".env") if os.path.isfile(p)), None)  # noqa: PTH113
    if name is None or {"--help", "--version"} & {*arguments} or not arguments:
        return
    asks = arguments[0] != "trust"
    from mom_council.councils.trust import decision_on, env_values, review_file

    path = Path(name)
    try:
        review = review_file(path)
        if not review.lines:
            return
        decision = decision_on(review)
        if decision is not None and not decision.accepted:
            return
        if decision is None and not asks:
            return
        if decision is None and not accept_on_terminal(review):
            failure.tell(f"{name!r} is not read: it is not trusted yet; mom trust {name}")
            return
        values = env_values(path, review)
    except (CouncilError, StorageError) as error:
        failure.tell(f"{name!r} is not read: {error}")
        return
    _set_variables(name, values)


_from_file: set[str] = set()
"""Variables that a `.env` has set in this process."""


_INHERITED = "MOM_ENV_FILE_VARIABLES"
"""Tells the process of a worker which variables its parent has from a `.env`."""


def hand_on_env() -> None:
    """Have the processes that are started from now on read the `.env` again as this one does."""
    os.environ[_INHERITED] = ",".join(sorted(_from_file))


def reread_env() -> None:
    """Read the `.env` again, as it is now; where it is not accepted any more, nothing changes."""
    before = {name: os.environ.pop(name) for name in _from_file if name in os.environ}
    _from_file.clear()
    read_env(["serve"])
    if not _from_file:
        os.environ.update(before)
        _from_file.update(before)


def _takes_a_key_away(variable: str, values: dict[str, str]) -> bool:
    """Whether a variable names an address to which a key of the user's shell would go."""
    own_key = os.environ.get(str(OPENAI.key_env)) and OPENAI.key_env not in values
    return variable in OPENAI.address_variables and bool(own_key)


def _set_variables(name: str, values: dict[str, str]) -> None:
    """Set what the environment does not say already, but for what no file decides."""
    from mom_council.councils.trust import DATA_DIR_SOURCE

    for variable, value in values.items():
        if variable in os.environ:
            continue
        if variable in _NEVER_FROM_A_FILE:
            failure.tell(
                f"{variable} in {name!r} is left alone: set it in your shell if you mean it"
            )
            continue
        if _takes_a_key_away(variable, values):
            failure.tell(
                f"{variable} in {name!r} is left alone, because your key of {OPENAI.title} would "
                "go there: set it in your shell if you mean it"
            )
            continue
        os.environ[variable] = value
        _from_file.add(variable)
        if variable == "MOM_DATA_DIR":
            os.environ[DATA_DIR_SOURCE] = name
