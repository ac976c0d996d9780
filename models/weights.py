"""Files of model weights: the tiny ones shipped, those downloaded, any GGUF file by its path."""

from __future__ import annotations

import os
import re
from importlib.resources import files
from pathlib import Path

from mom_council.councils.refusals import nearest
from mom_council.errors import CouncilError, StorageError, UnknownNameError
from mom_council.paths import weights_dir
from mom_council.redaction import shown

SHIPPED = Path(str(files("mom_council"))) / "tiny"
"""The tiny models that come with the package; nothing of `tiny` is imported."""


def find_weights(name: str) -> Path:
    """The file of the weights called `name`: shipped, downloaded, or a path to a .gguf file.

    Raises:
        UnknownNameError: there are none of that name.
        CouncilError: the file is missing, or holds no GGUF weights.
    """
    if name.lower().endswith(".gguf") or "/" in name or os.sep in name:
        return _weights_at(name)
    for folder in (SHIPPED, weights_dir()):
        if (file := folder / f"{name}.gguf").is_file():
            return file
    near = nearest(name, sorted(downloaded_weights() | downloaded_weights(SHIPPED)))
    other = "give the path of a .gguf file, or get some with `mom download`"
    raise UnknownNameError(
        f"there are no weights {shown(name)}",
        cure=f"{near}; {other}" if near else other,
    )


def downloaded_weights(folder: Path | None = None) -> dict[str, Path]:
    """The weights in the data directory (or in `folder`), by name."""
    try:
        where = folder or weights_dir()
        files = [file for file in sorted(where.glob("*.gguf")) if file.is_file()]
        # A model's eyes lie beside it, and are no model.
        return {file.stem: file for file in files if "mmproj" not in file.stem.lower()}
    except (OSError, StorageError):
        return {}


def is_gguf(file: Path) -> bool:
    """Whether `file` begins as GGUF weights do.

    Raises:
        OSError: it cannot be read.
    """
    with file.open("rb") as opened:
        return opened.read(4) == b"GGUF"


def _weights_at(name: str) -> Path:
    try:
        file = Path(name).expanduser().absolute()
        if is_gguf(file):
            return file
        says = "is no GGUF file; llama.cpp reads no other"
    except IsADirectoryError:
        says = "is a folder; name the .gguf file in it"
    except FileNotFoundError:
        says = "does not exist; look at its path, or get weights with `mom download`"
    except (OSError, RuntimeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "is no path"
        says = f"cannot be read ({reason}); look at its path and its permissions"
    raise CouncilError(f"the weights file {shown(name)} {says}")


def eyes_of(weights: Path) -> Path | None:
    """The second file with which llama.cpp models see, where it lies beside the weights.

    It is called as its publishers call it: `NAME-mmproj.gguf`, or `mmproj-NAME.gguf`, and NAME may
    leave out how the weights are rounded (`-Q4_K_M`).
    """
    bare = re.sub(r"[-.](q\d\w*|iq\d\w*|bf16|f16|f32)$", "", weights.stem, flags=re.IGNORECASE)
    for name in dict.fromkeys((weights.stem, bare)):
        for file in (f"{name}-mmproj.gguf", f"mmproj-{name}.gguf"):
            if (found := weights.with_name(file)).is_file():
                return found
    return None
