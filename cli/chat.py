"""`mom chat`: one question after another in one thread."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import typer

from mom_council.cli import failure, options
from mom_council.cli import failure as exits
from mom_council.cli.ask import Thread, checked, context

if TYPE_CHECKING:
    from mom_council.cli.session import Session

BYE = "/bye"


def chat(
    council: options.Council = None,
    thread: Thread = None,
    debug: options.Debug = False,
    db: options.Database = None,
    no_color: options.NoColor = False,
) -> None:
    """Talk with the council, question after question.

    Ctrl-D or /bye ends the talk; Ctrl-C stops an answer and the talk goes on.
    """
    show = options.choose_show(debug=debug)
    name = options.thread_named(thread) if thread is not None else None
    from mom_council.cli.session import Session

    with Session(council, db=db, show=show, thread=name, talks=True) as session:
        code = _talk(session, debug=debug)
    raise typer.Exit(code)


def _talk(session: Session, *, debug: bool) -> int:
    typed = sys.stdin.isatty()
    if typed:
        import contextlib

        with contextlib.suppress(ImportError):  # Windows has none
            import readline  # noqa: F401 - arrow keys and history
        failure.say(f"thread {session.thread} · Ctrl-D or {BYE} ends it")
    while (text := _next(typed)) is not None:
        if not text.strip():
            continue
        try:
            code = session.ask(checked(text), context(debug=debug))
        except typer.BadParameter as error:
            failure.tell(error.format_message().removeprefix("Invalid value: "))
            continue
        if code == exits.TERMINATED:
            return code
    if typed:
        failure.say(f"kept: {session.again('chat --thread')}")
    return exits.ANSWERED


def _next(typed: bool) -> str | None:
    """The next question; None when there will be no more."""
    asked_to_stop = False
    while True:
        try:
            text = input("> " if typed else "")
        except EOFError:
            if typed:
                print()
            return None
        except KeyboardInterrupt:
            print()
            if asked_to_stop or not typed:
                return None
            asked_to_stop = True
            failure.tell(f"Ctrl-D or {BYE} ends the talk; so does Ctrl-C once more")
            continue
        return None if text.strip() == BYE else text
