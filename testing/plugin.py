"""The pytest fixture: `pytest_plugins = ["mom_council.testing.plugin"]` in a conftest.py."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .server import Stage


@pytest.fixture
def council_stage() -> Iterator[Stage]:
    """A server of scripted models, for one test."""
    with Stage() as stage:
        yield stage
