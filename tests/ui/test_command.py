"""`mom ui` starts the page on this machine alone, or says what it needs."""

from __future__ import annotations

import importlib.util
import os
import socket
import tomllib
from pathlib import Path
from typing import Any

import pytest

import mom_council
from mom_council.cli import serve as ui
from mom_council.errors import ProviderNotInstalledError, StorageError
from mom_council.server.serve import open_socket


def test_it_listens_here_alone_sends_nothing_and_asks_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ran: list[Any] = []
    monkeypatch.setattr(os, "execv", lambda path, command: ran.extend(command))
    port = ui.free_port(18501)
    ui.ui(council=None, port=port, db=None)
    assert {"--server.address=127.0.0.1", f"--server.port={port}"} <= set(ran)
    assert {"--browser.gatherUsageStats=false", "--server.headless=true"} <= set(ran)
    assert "--runner.postScriptGC=false" in ran, "a redraw must not hold the council up"
    assert "--theme.light.primaryColor=#5b4bd6" in ran, "its own colours, wherever it is started"
    assert f"http://127.0.0.1:{port}" in capsys.readouterr().out


def test_a_clone_has_the_colours_of_the_command() -> None:
    root = Path(mom_council.__file__).parent
    colours = tomllib.loads((root / "ui" / "theme.toml").read_text())
    assert tomllib.loads((root / ".streamlit" / "config.toml").read_text())["theme"] == colours


def test_without_streamlit_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ProviderNotInstalledError, match=r"pip install 'mom-council\[ui\]'"):
        ui.ui()


def test_a_port_that_is_taken_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(StorageError, match="is taken; leave --port out"):
            ui.ui(port=port)
        monkeypatch.setenv("GRADIO_PORT", str(port))
        with pytest.raises(StorageError, match="is taken; leave GRADIO_PORT out"):
            ui.ui()
        with pytest.raises(StorageError) as refused:
            open_socket("127.0.0.1", port)
    assert str(refused.value) == (
        f"port {port} is taken; name another with --port; --port 0 takes any that is free"
    )
