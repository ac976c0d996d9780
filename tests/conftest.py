"""What every test has: a clean environment, a home of its own, a stage where it asks for one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from mixture_of_models.tests.stage import Stage

KEYS = ("API_KEY", "TOKEN", "OLLAMA_HOST", "OLLAMA_API_URL", "MOM_", "LANGSMITH", "LANGCHAIN")


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
    """A server of ours that speaks the OpenAI and Ollama protocols."""
    with Stage() as opened:
        yield opened
