"""LangGraph Studio's server, run as `langgraph dev` runs it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from langgraph_sdk import get_sync_client
from langgraph_sdk.client import SyncLangGraphClient

import mom_council
from mom_council.tests.graph.desk import question

ROOT = Path(mom_council.__file__).parent
ASKED = question("What is 17 + 25?")


@dataclass
class Studio:
    """A running server: its client, where it runs, and its log."""

    client: SyncLangGraphClient
    folder: Path
    log: Path
    url: str

    def assistant(self, **context: Any) -> str:
        """The default assistant, or a new one with these settings."""
        if not context:
            [ours] = self.client.assistants.search(metadata={"created_by": "system"})
            return ours["assistant_id"]
        return self.client.assistants.create("council", context=context)["assistant_id"]

    def ask(self, assistant: str, **more: Any) -> Any:
        """Put the question in a new thread and wait."""
        thread = self.client.threads.create()["thread_id"]
        return self.client.runs.wait(thread, assistant, input=ASKED, **more)


@contextmanager
def run_studio(tmp_path_factory: pytest.TempPathFactory, **variables: str) -> Iterator[Studio]:
    """`langgraph dev` in a folder that holds what a fresh clone holds, with an empty home."""
    folder, home = tmp_path_factory.mktemp("clone"), tmp_path_factory.mktemp("home")
    for file in ROOT.iterdir():
        if not file.name.startswith(".") and file.name != "__pycache__":
            (folder / file.name).symlink_to(file)
    log = home / "log"
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    command = [sys.executable, "-m", "langgraph_cli", "dev", "--no-browser", "--no-reload"]
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "NO_COLOR": "1",
        "LANGGRAPH_NO_VERSION_CHECK": "1",
        "LANGGRAPH_CLI_NO_ANALYTICS": "1",
        **variables,
    }
    with log.open("wb") as out:
        server = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(port)],
            cwd=folder,
            env=environment,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        url = f"http://127.0.0.1:{port}"
        _wait_for(f"{url}/ok", server, log)
        with get_sync_client(url=url, api_key=None) as client:
            yield Studio(client, folder, log, url)
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


def _wait_for(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(300):
        if server.poll() is not None:
            break
        try:
            if httpx.get(url, trust_env=False).is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    raise AssertionError(f"langgraph dev did not start:\n{log.read_text('utf-8')[-4000:]}")
