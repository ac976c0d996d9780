"""The text of a file that somebody named: bounded, decoded, and refused in words."""

from __future__ import annotations

from pathlib import Path

from mom_council.councils.plain import MOST_CHARACTERS
from mom_council.councils.secrecy import shown
from mom_council.errors import CouncilError

START = "start from a preset: `mom councils`"


def read_text(path: Path) -> str:
    """The text of a file, a byte order mark left out.

    Raises:
        CouncilError: it cannot be read, is no UTF-8, or is far larger than any council.
    """
    try:
        path = path.expanduser()
        if path.is_dir():
            raise CouncilError(f"{path}: is a folder; name the council's file in it")
        if path.exists() and not path.is_file():
            raise CouncilError(f"{path}: is no regular file; write the council to one")
        with path.open("rb") as file:
            content = file.read(MOST_CHARACTERS + 1)
        return _decoded(content, path)
    except CouncilError:
        raise
    except FileNotFoundError:
        raise CouncilError(f"{path}: there is no such file; {START}") from None
    except (OSError, RuntimeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "is no path"
        says = f"cannot be read ({reason}); look at its name and its permissions"
        raise CouncilError(f"{shown(str(path))}: {says}") from None


def _decoded(content: bytes, path: Path) -> str:
    if len(content) > MOST_CHARACTERS:
        raise CouncilError(f"{path}: is larger than 1 MB; a council fits on a screen")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise CouncilError(f"{path}: line {line} is not UTF-8; save the file as UTF-8") from None
