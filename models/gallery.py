"""Pictures that the council drew: files in the data directory, and how messages refer to them.

A message names the file and does not hold it, so that a thread stays small. Whatever address a
message says, only files of this folder are shown.
"""

from __future__ import annotations

import secrets
import time
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from mom_council.errors import StorageError
from mom_council.paths import ensure, pictures_dir


def save_picture(content: bytes) -> Path:
    """Keep a PNG under a name that is new, for its owner alone.

    Raises:
        StorageError: it cannot be written.
    """
    folder = ensure(pictures_dir())
    file = folder / f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(8)}.png"
    try:
        with file.open("xb") as opened:
            file.chmod(0o600)
            opened.write(content)
    except OSError as error:
        file.unlink(missing_ok=True)
        raise StorageError(
            f"the picture cannot be kept as {str(file)!r}: {error.strerror or error}",
            cure="free some space, or set MOM_DATA_DIR to another folder",
        ) from None
    return file


def picture_reference(file: Path, **about: Any) -> dict[str, Any]:
    """The content block that stands for a kept picture; `about` says how it was made."""
    return {"type": "image", "url": file.as_uri(), "mime_type": "image/png", "extras": about}


def pictures_in(content: Any) -> list[tuple[Path, dict[str, Any]]]:
    """A message's pictures that lie here, each with how it was made."""
    found = []
    for block in content if isinstance(content, list) else []:
        if isinstance(block, dict) and block.get("type") == "image" and "url" in block:
            name = unquote(urlsplit(str(block["url"])).path).rpartition("/")[2]
            file = pictures_dir() / name
            if name.endswith(".png") and file.is_file() and not file.is_symlink():
                about = block.get("extras")
                found.append((file, about if isinstance(about, dict) else {}))
    return found


def delete_pictures(content: Any) -> None:
    """Delete a message's pictures."""
    for file, _ in pictures_in(content):
        file.unlink(missing_ok=True)
