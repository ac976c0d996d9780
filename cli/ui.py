"""`mom ui`: the chat in a browser, on this machine alone."""

from __future__ import annotations

import importlib.util
import os
import socket
import sys
from pathlib import Path
from typing import Annotated

import typer

from mom_council.cli.options import Council, Database
from mom_council.errors import ProviderNotInstalledError, StorageError

FIRST_PORT = 8501

_FLAGS = {
    "browser.gatherUsageStats": "false",  # nothing leaves the machine
    "client.showErrorDetails": "none",
    "client.toolbarMode": "minimal",
    "runner.postScriptGC": "false",  # a full collection after each redraw held every thread up
    "server.fileWatcherType": "none",
    "server.headless": "true",  # opens no browser, asks for no email address
    "server.maxUploadSize": "64",
}


def ui(
    council: Council = None,
    port: Annotated[
        int | None, typer.Option("--port", min=1, max=65535, help="8501, or the next free one.")
    ] = None,
    db: Database = None,
) -> None:
    """Open the chat in a browser: watch the council think. On 127.0.0.1 alone; Ctrl-C ends it."""
    if importlib.util.find_spec("streamlit") is None:
        raise ProviderNotInstalledError(
            "the chat page needs Streamlit", cure="pip install 'mom-council[ui]'"
        )
    chosen = free_port() if port is None else port
    if not _is_free(chosen):
        raise StorageError(
            f"port {chosen} is taken", cure="leave --port out, and a free one is found"
        )
    for name, value in (("MOM_COUNCIL", council), ("MOM_DATABASE", db)):
        if value:
            os.environ[name] = value
    print(f"The council is at http://127.0.0.1:{chosen} (Ctrl-C ends it)", flush=True)
    serve(chosen)


def serve(port: int) -> None:
    """Run Streamlit in place of this process."""
    script = Path(__file__).resolve().parent.parent / "streamlit_app.py"
    flags = {**_FLAGS, "server.address": "127.0.0.1", "server.port": str(port)}
    told = [f"--{name}={value}" for name, value in flags.items()]
    command = [sys.executable, "-m", "streamlit", "run", str(script), *told]
    os.execv(sys.executable, command)  # noqa: S606 - our own interpreter, no shell


def free_port(first: int = FIRST_PORT) -> int:
    """The first free port from `first` on."""
    for port in range(first, first + 100):
        if _is_free(port):
            return port
    raise StorageError(f"no port from {first} to {first + 99} is free", cure="name one with --port")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
