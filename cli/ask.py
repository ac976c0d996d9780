"""`mom ask` and `mom resume`: the council at work in the terminal."""

from __future__ import annotations

import base64
import mimetypes
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mom_council.cli import options

if TYPE_CHECKING:
    from mom_council.deliberation.context import CouncilContext


LONGEST = 1_000_000
"""Characters of a question; more than any model reads, and a paste by mistake."""

_EXAMPLE = 'type one: mom ask "What is 17 + 25?"'


def read_question(argument: str | None, *, optional: bool = False) -> str:
    """The question: as given, or from stdin; pictures may go without one.

    Raises:
        typer.BadParameter: it is empty, too long, or no valid UTF-8.
    """
    if argument is None and optional:
        return ""
    if argument is None and sys.stdin.isatty():
        raise typer.BadParameter(f"there is no question; {_EXAMPLE}")
    return checked(_from_stdin() if argument is None or argument == "-" else argument)


def checked(text: str) -> str:
    """The question, where it can be asked.

    Raises:
        typer.BadParameter: it is empty, too long, or no valid UTF-8.
    """
    text = text.strip().removeprefix("\ufeff")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise typer.BadParameter(
            "the question is no valid UTF-8; type it again, or convert it with iconv -t utf-8"
        ) from None
    if not text:
        raise typer.BadParameter(f"the question is empty; {_EXAMPLE}")
    if len(text) > LONGEST:
        raise typer.BadParameter(
            f"the question has {len(text):,} characters and at most {LONGEST:,} are taken; "
            "ask about a part of it"
        )
    return text


def read_pictures(files: Sequence[Path]) -> list[dict[str, Any]]:
    """The pictures in these files, as they are sent.

    Raises:
        typer.BadParameter: one cannot be read, or is no picture, or there are too many.
    """
    if not files:
        return []
    from mom_council.models.images import MEGABYTES, MOST, PictureError, picture_block

    if len(files) > MOST:
        raise typer.BadParameter(f"--image: {len(files)} pictures, and at most {MOST} are taken")
    blocks = []
    for file in files:
        try:
            with file.expanduser().open("rb") as opened:
                content = opened.read(MEGABYTES * 1_000_000 + 1)
            blocks.append(picture_block(content, file.name))
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise typer.BadParameter(f"--image: {str(file)!r} cannot be read: {reason}") from None
        except PictureError as error:
            other = "; another kind of file goes with --file"
            raise typer.BadParameter(f"--image: {error}{other}") from None
    return blocks


def read_files(files: Sequence[Path]) -> list[dict[str, Any]]:
    """Files of any kind, as they are sent: pictures as pictures, text as text.

    Raises:
        typer.BadParameter: one cannot be read, or is too large, or there are too many.
    """
    blocks: list[dict[str, Any]] = []
    if len(files) > _MOST_FILES:
        raise typer.BadParameter(f"--file: {len(files)} files, and at most {_MOST_FILES} are taken")
    for file in files:
        kind = mimetypes.guess_type(file.name)[0] or ""
        if kind in _PICTURES:
            blocks += read_pictures([file])
            continue
        try:
            with file.expanduser().open("rb") as opened:
                content = opened.read(_MOST_BYTES + 1)
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise typer.BadParameter(f"--file: {str(file)!r} cannot be read: {reason}") from None
        if len(content) > _MOST_BYTES:
            most = f"{_MOST_BYTES // 1_000_000} MB"
            raise typer.BadParameter(
                f"--file: {str(file)!r} is too large; at most {most} are taken"
            )
        blocks.append(_file_block(file, kind, content))
    return blocks


_MOST_FILES = 8
_MOST_BYTES = 20_000_000
_PICTURES = ("image/png", "image/jpeg", "image/webp", "image/gif")


def _file_block(file: Path, kind: str, content: bytes) -> dict[str, Any]:
    """A file as a message's content block."""
    try:
        text = "" if b"\x00" in content else content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = ""
    if len(text) > LONGEST:
        raise typer.BadParameter(
            f"--file: {str(file)!r} has {len(text):,} characters and at most {LONGEST:,} are taken"
        )
    if text and not kind.startswith("text/"):
        kind = "text/plain"
    data = base64.b64encode(content).decode("ascii")
    return {
        "type": "file",
        "mime_type": kind or "application/octet-stream",
        "base64": data,
        "filename": file.name,
    }


def context(
    *,
    rounds: int | None = None,
    threshold: float | None = None,
    method: str | None = None,
    seed: int | None = None,
    debug: bool = False,
) -> CouncilContext:
    """The settings of this run.

    Raises:
        typer.BadParameter: there is no such method.
    """
    from mom_council.deliberation.context import CouncilContext

    settings = {"max_rounds": rounds, "threshold": threshold, "method": method, "seed": seed}
    return CouncilContext.model_validate(
        {"debug": debug, **{k: v for k, v in settings.items() if v is not None}}
    )


def method_named(name: str | None) -> str | None:
    """The way of counting votes, where there is one of that name.

    Raises:
        typer.BadParameter: there is none; a near miss is suggested.
    """
    if name is None:
        return None
    from mom_council.voting.methods import ALIASES, METHODS

    name = ALIASES.get(name, name)
    if name in METHODS:
        return name
    near = get_close_matches(name.lower(), METHODS, n=1)
    meant = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(METHODS)}"
    raise typer.BadParameter(f"--method: votes cannot be counted by {name!r}; {meant}")


def _from_stdin() -> str:
    raw = sys.stdin.buffer.read(4 * LONGEST + 5)
    if len(raw) > 4 * LONGEST + 4:
        raise typer.BadParameter(
            f"the question is longer than the {LONGEST:,} characters that are taken; ask about a "
            "part of it"
        )
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise typer.BadParameter(
            f"stdin is no valid UTF-8 (byte {error.start + 1}); convert it first, for example with "
            "iconv -t utf-8"
        ) from None


Question = Annotated[
    str | None,
    typer.Argument(metavar="QUESTION", help="The question; use - or a pipe to read it from stdin."),
]
Thread = Annotated[
    str | None,
    typer.Option(
        "--thread", "-t", metavar="NAME", help="Go on with this conversation, or begin it."
    ),
]
Continue = Annotated[bool, typer.Option("--continue", help="Go on with the newest conversation.")]
Rounds = Annotated[
    int | None,
    typer.Option("--rounds", min=1, max=20, metavar="N", help="Maximum number of rounds."),
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
        "--method", metavar="NAME", help="How votes are counted: plurality, borda, answers, ..."
    ),
]
Seed = Annotated[
    int | None,
    typer.Option("--seed", min=0, metavar="N", help="Random seed of shuffles and of ballots."),
]


Image = Annotated[
    list[Path] | None,
    typer.Option(
        "--image",
        "-i",
        metavar="FILE",
        help="A picture that goes with the question: PNG, JPEG, WebP or GIF. Can be repeated.",
    ),
]


File = Annotated[
    list[Path] | None,
    typer.Option(
        "--file",
        metavar="PATH",
        help="A file that goes with the question: text is read, and what no model can read is "
        "named. Can be repeated.",
    ),
]


Plan = Annotated[
    bool,
    typer.Option(
        "--plan",
        help="Show the calls, tokens and dollars that the question may take at most, by stage, "
        "and ask nobody.",
    ),
]


def ask(
    question: Question = None,
    council: options.Council = None,
    model: options.Models = None,
    thread: Thread = None,
    continue_: Continue = False,
    image: Image = None,
    file: File = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
    full: options.Full = False,
    debug: options.Debug = False,
    rounds: Rounds = None,
    threshold: Threshold = None,
    method: Method = None,
    seed: Seed = None,
    plan: Plan = False,
    paid: options.Paid = False,
    db: options.Database = None,
    no_color: options.NoColor = False,
) -> None:
    """Ask the council one question.

    Without --council the council is, in this order: the one that the thread began with, the one
    that MOM_COUNCIL names, the one of `mom use`, the server that OPENAI_BASE_URL names, a running
    Ollama with the best of its models that fit, the vendors whose API keys are set, downloaded
    weights, and else three tiny models that come with the package. `mom models` lists them.
    """
    show = options.choose_show(json=json, quiet=quiet, debug=debug, full=full)
    attached = [*read_pictures(image or ()), *read_files(file or ())]
    text = read_question(question, optional=bool(attached))
    method = method_named(method)
    name = options.thread_named(thread) if thread is not None else None
    if continue_ and name is not None:
        raise typer.BadParameter("--continue and --thread do not go together; choose one")
    from mom_council.cli.session import Session

    settings = context(rounds=rounds, threshold=threshold, method=method, seed=seed, debug=debug)
    named = options.council_named(council, model)
    if plan:
        _show_plan(text, named, settings, as_json=json)
        return
    with Session(named, db=db, show=show, thread=name, newest=continue_) as session:
        code = session.ask(text, settings, attached)
    raise typer.Exit(code)


def _show_plan(question: str, named: str | None, settings: Any, *, as_json: bool) -> None:
    """Print what the question may take at most; nobody is asked."""
    import asyncio
    import os

    from mom_council.cli.failure import show, write_json
    from mom_council.deliberation.context import apply_context
    from mom_council.runs.discovery import choose_council
    from mom_council.runs.plan import plan_in_words, plan_question

    chosen = asyncio.run(choose_council(named, {**os.environ, "MOM_PAID": "1"})).council
    planned = asyncio.run(plan_question(apply_context(chosen, settings), question))
    if as_json:
        stages = [one._asdict() for one in planned.stages]
        totals: dict[str, Any] = {"calls": planned.calls, "most_calls": planned.most_calls}
        totals |= {"tokens": planned.tokens, "usd": planned.usd}
        prices = {key: price.as_object() for key, price in planned.prices.items()}
        plan = {"stages": stages, "total": totals, "budget": planned.limited, "prices": prices}
        write_json({"plan": plan})
        return
    for line in plan_in_words(planned, chosen.name):
        show(line)


def resume(
    thread: options.Named,
    council: options.Council = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
    full: options.Full = False,
    debug: options.Debug = False,
    paid: options.Paid = False,
    db: options.Database = None,
    no_color: options.NoColor = False,
) -> None:
    """Finish a question that was stopped on the way.

    It was killed, interrupted, or had no quorum. Calls that had finished are not made again. The
    council is the one that was asked.
    """
    show = options.choose_show(json=json, quiet=quiet, debug=debug, full=full)
    name = options.thread_named(thread)
    from mom_council.cli.session import Session

    with Session(council, db=db, show=show, thread=name, resuming=True) as session:
        code = session.resume(context(debug=debug))
    raise typer.Exit(code)
