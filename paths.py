"""The folders in which threads, traces, downloaded weights and settings are stored.

`MOM_DATA_DIR` says where; else `XDG_DATA_HOME`; else the system's usual place for such things.
What the user writes (the table of prices) is looked for where `MOM_CONFIG_DIR` or
`XDG_CONFIG_HOME` says, in the same way.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import platformdirs

from mom_council.errors import StorageError
from mom_council.redaction import quote

VARIABLE = "MOM_DATA_DIR"
CONFIG_VARIABLE = "MOM_CONFIG_DIR"
FOLDER = "mixture-of-models"  # of the product, not of the package: data of version 0.1 lies there


def data_dir(env: Mapping[str, str] = os.environ) -> Path:
    """The folder everything is kept in; it need not exist yet.

    Raises:
        StorageError: it depends on a home that cannot be found.
    """
    return _place(env, VARIABLE, "XDG_DATA_HOME", platformdirs.user_data_path, ".local/share")


def config_dir(env: Mapping[str, str] = os.environ) -> Path:
    """The folder of what the user writes; it need not exist.

    Raises:
        StorageError: it depends on a home that cannot be found.
    """
    return _place(env, CONFIG_VARIABLE, "XDG_CONFIG_HOME", platformdirs.user_config_path, ".config")


def state_db() -> Path:
    """The SQLite file of the threads."""
    return data_dir() / "threads.db"


def weights_dir() -> Path:
    """Where downloaded weights lie."""
    return data_dir() / "weights"


def traces_dir() -> Path:
    """Where local traces lie."""
    return data_dir() / "traces"


def pictures_dir() -> Path:
    """Where the pictures lie that the council drew."""
    return data_dir() / "pictures"


def cache_dir() -> Path:
    """Where answers to identical requests lie."""
    return data_dir() / "cache"


def storage_limits() -> Path:
    """The file in which the user says how long what is stored may stay; it need not exist.

    Raises:
        StorageError: it depends on a home that cannot be found.
    """
    return config_dir() / "storage.yaml"


def has_storage_limits() -> bool:
    """Whether the user has written that file."""
    try:
        return storage_limits().exists()
    except (StorageError, OSError):
        return False


def ensure(folder: Path) -> Path:
    """Make `folder`, for its owner alone, where it is missing, and see that it can be written to.

    Raises:
        StorageError: it cannot be made or written to.
    """
    try:
        missing = [place for place in (folder, *folder.parents) if not place.exists()]
        for place in reversed(missing):
            place.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise _unusable(folder, error.strerror or type(error).__name__) from None
    if not folder.is_dir():
        raise _unusable(folder, "it is no folder")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise _unusable(folder, "it can only be read")
    return folder


def _place(
    env: Mapping[str, str],
    variable: str,
    shared: str,
    usual: Callable[..., Path],
    at_home: str,
) -> Path:
    try:
        if named := env.get(variable):
            return Path(named).expanduser().absolute()
        # A relative XDG folder is void by its specification; platformdirs takes it as it is.
        if (folder := Path(env.get(shared, ""))).is_absolute():
            return folder / FOLDER
        found = _usual(usual, env.get("HOME"))
        return found if found.is_absolute() else Path.home() / at_home / FOLDER
    except RuntimeError:
        raise StorageError(
            "the home folder cannot be found", cure=f"set {variable} to a folder, written in full"
        ) from None


@functools.lru_cache(maxsize=8)
def _usual(usual: Callable[..., Path], home: str | None) -> Path:
    """The system's own place; asked for at every call of a model, and it does not change."""
    return usual(FOLDER, appauthor=False)


def _unusable(folder: Path, reason: str) -> StorageError:
    return StorageError(
        f"nothing can be kept in {quote(str(folder))} ({reason})",
        cure=f"set {VARIABLE} to a folder that can be written to",
    )
