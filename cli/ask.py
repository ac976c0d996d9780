"""`mom ask` and `mom resume`: the council at work in the terminal."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mom_council.cli import options
from mom_council.cli.question import context, method_named, read_pictures, read_question

Question = Annotated[
    str | None,
    typer.Argument(
        metavar="QUESTION", help="The question. `-`, or none at a pipe's end: it is read there."
    ),
]
Thread = Annotated[
    str | None,
    typer.Option(
        "--thread", "-t", metavar="NAME", help="Go on with this conversation, or begin it."
    ),
]
Rounds = Annotated[
    int | None, typer.Option("--rounds", min=1, max=20, metavar="N", help="Rounds at the most.")
]
Threshold = Annotated[
    float | None,
    typer.Option(
        "--threshold", min=0, max=1, metavar="SHARE", help="Share that counts as agreement."
    ),
]
Method = Annotated[
    str | None,
    typer.Option(
        "--method", metavar="NAME", help="plurality, approval, borda, score, answers or none."
    ),
]
Seed = Annotated[
    int | None,
    typer.Option("--seed", min=0, metavar="N", help="Of shuffles and the order of ballots."),
]


Image = Annotated[
    list[Path] | None,
    typer.Option(
        "--image",
        "-i",
        metavar="FILE",
        help="A picture that goes with the question: PNG, JPEG, WebP or GIF. May be given often.",
    ),
]


def ask(
    question: Question = None,
    council: options.Council = None,
    thread: Thread = None,
    image: Image = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
    rounds: Rounds = None,
    threshold: Threshold = None,
    method: Method = None,
    seed: Seed = None,
    db: options.Database = None,
    no_color: options.NoColor = False,
) -> None:
    """Ask the council one question.

    Without --council the council is, in this order: the one that the thread began with, the one
    that MOM_COUNCIL names, a running Ollama with its installed models, the vendors whose API keys
    are set, downloaded weights, and else three tiny models that come with the package.
    """
    show = options.choose_show(json=json, quiet=quiet, debug=debug)
    pictures = read_pictures(image or ())
    text = read_question(question, optional=bool(pictures))
    method = method_named(method)
    name = options.thread_named(thread) if thread is not None else None
    from mom_council.cli.session import Session

    settings = context(rounds=rounds, threshold=threshold, method=method, seed=seed, debug=debug)
    with Session(council, db=db, show=show, thread=name) as session:
        code = session.ask(text, settings, pictures)
    raise typer.Exit(code)


def resume(
    thread: options.Named,
    council: options.Council = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
    db: options.Database = None,
    no_color: options.NoColor = False,
) -> None:
    """Finish a question that was stopped on the way.

    It was killed, interrupted, or had no quorum. Calls that had finished are not made again. The
    council is the one that was asked.
    """
    show = options.choose_show(json=json, quiet=quiet, debug=debug)
    name = options.thread_named(thread)
    from mom_council.cli.session import Session

    with Session(council, db=db, show=show, thread=name, resuming=True) as session:
        code = session.resume(context(debug=debug))
    raise typer.Exit(code)
