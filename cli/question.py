"""The question and the settings of a run, as the command line gives them, checked at once."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from mom_council.graph.context import CouncilContext

LONGEST = 1_000_000
"""Characters of a question; more than any model reads, and a paste by mistake."""

_EXAMPLE = 'type one: mom ask "What is 17 + 25?"'


def read_question(given: str | None, *, optional: bool = False) -> str:
    """The question: as given, or from stdin; pictures may go without one.

    Raises:
        typer.BadParameter: it is empty, too long, or no valid UTF-8.
    """
    if given is None and optional:
        return ""
    if given is None and sys.stdin.isatty():
        raise typer.BadParameter(f"there is no question; {_EXAMPLE}")
    return checked(_from_stdin() if given is None or given == "-" else given)


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
            raise typer.BadParameter(f"--image: {error}") from None
    return blocks


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
    from mom_council.graph.context import CouncilContext

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
    from typing import get_args

    from mom_council.councils.schema import METHOD_ALIASES, Method

    known = [str(each) for each in get_args(Method)]
    if name in known:
        return name
    if name in METHOD_ALIASES:
        return METHOD_ALIASES[name]
    near = get_close_matches(name.lower(), known, n=1)
    meant = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"
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
