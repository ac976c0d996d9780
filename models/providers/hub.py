"""Weights of Hugging Face on this machine: a folder, or what was downloaded before.

Nothing is ever fetched here: gigabytes come when somebody says so, not because a question was
asked. What is missing is named with the command that gets it.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from mom_council.errors import CouncilError, ModelUnavailableError
from mom_council.redaction import shown

_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")
_PICKLED = (".bin", ".pt", ".pth", ".ckpt")


def folder_of(name: str) -> Path:
    """The folder that holds the model called `name`: a path, or a hub's name for it.

    Raises:
        ModelUnavailableError: it was not downloaded yet.
        CouncilError: it is neither a folder nor a hub's name.
    """
    path = Path(name).expanduser()
    if path.is_dir():
        return path
    if not _REPOSITORY.fullmatch(name):
        raise CouncilError(
            f"{shown(name)} is no folder here, and no name like 'owner/model'",
            cure="name one of them",
        )
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, local_files_only=True))
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError, ValueError):
        raise ModelUnavailableError(
            f"{shown(name)} is not on this machine, and nothing is downloaded unasked",
            cure=f"get it once with `hf download {name}`, or name the folder that holds it",
        ) from None


def weights_in(folder: Path) -> list[Path]:
    """The files of weights in a folder and its parts, without second copies in half precision.

    Raises:
        CouncilError: there are none in a format that holds numbers and nothing else.
    """
    files = sorted(file for file in folder.rglob("*.safetensors") if file.is_file())
    plain = [file for file in files if ".fp16." not in file.name and ".non_ema." not in file.name]
    if found := plain or files:
        return found
    if any(file.suffix in _PICKLED for file in folder.rglob("*")):
        raise CouncilError(
            (
                f"{shown(str(folder))} has its weights in pickled files, which can run "
                "code when they are opened"
            ),
            cure="get them as .safetensors",
        )
    raise CouncilError(
        f"{shown(str(folder))} holds no weights (.safetensors)", cure="look at its path"
    )
