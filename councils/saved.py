"""Councils of one's own: YAML files in `councils/` of the user's data directory."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import unicodedata
from pathlib import Path

from mom_council import paths
from mom_council.councils.loader import to_yaml
from mom_council.councils.schema import Council
from mom_council.errors import StorageError

# Names that a Windows disk keeps for itself.
_TAKEN = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\..*)?", re.IGNORECASE)
_LONGEST = 60


def councils_folder() -> Path:
    """Where they lie; it need not exist yet."""
    return paths.data_dir() / "councils"


def safe_name(name: str) -> str:
    """A file's name, without its ending, for a council of that name: no path can come of it."""
    plain = unicodedata.normalize("NFKC", name).casefold()
    word = re.sub(r"[^\w]+", "-", plain).strip("-_")[:_LONGEST].rstrip("-_")
    return f"council-{word}" if not word or _TAKEN.fullmatch(word) else word


def saved_councils() -> dict[str, Path]:
    """What is kept, by the file's name."""
    try:
        return {
            file.stem: file for file in sorted(councils_folder().glob("*.yaml")) if file.is_file()
        }
    except (OSError, StorageError):
        return {}


def save_council(council: Council, *, replace: bool = False) -> Path:
    """Write a council down; whole or not at all.

    Raises:
        StorageError: there is one of that name and `replace` is off, or it cannot be written.
    """
    file = paths.ensure(councils_folder()) / f"{safe_name(council.name)}.yaml"
    if file.exists() and not replace:
        raise StorageError(
            f"there is a council {file.stem!r} already", cure="replace it, or rename yours"
        )
    draft = file.with_name(f".{file.stem}.{secrets.token_hex(4)}")
    try:
        with draft.open("x", encoding="utf-8") as opened:
            draft.chmod(0o600)
            opened.write(to_yaml(council))
            opened.flush()
            os.fsync(opened.fileno())
        draft.replace(file)
    except OSError as error:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
        raise StorageError(
            f"{str(file)!r} cannot be written ({error.strerror})",
            cure="look at the disk and the folder",
        ) from error
    return file
