"""`mom serve` as an operator runs it: a process, its log in a file."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

COMMAND = [sys.executable, "-c", "from mom_council.cli import main; main()", "serve"]


@dataclass
class OperatedServer:
    """A running server."""

    url: str
    """With /v1 at its end."""
    process: subprocess.Popen[str]
    log_file: Path

    @property
    def root(self) -> str:
        """The address without /v1."""
        return self.url.removesuffix("/v1")

    @property
    def text(self) -> str:
        """The whole log."""
        return self.log_file.read_text("utf-8")

    @property
    def lines(self) -> list[dict[str, Any]]:
        """The log's lines, which are JSON, every one."""
        return [json.loads(line) for line in self.text.splitlines() if line]

    def ask(
        self, text: str, key: str = "", headers: dict[str, str] | None = None, **more: Any
    ) -> httpx.Response:
        """A question."""
        body = {"model": "desk", "messages": [{"role": "user", "content": text}], **more}
        return self.post("/chat/completions", body, key, headers)

    def post(
        self, path: str, body: Any, key: str = "", headers: dict[str, str] | None = None
    ) -> httpx.Response:
        """A request under /v1, or at any other address of the server."""
        url = self.url + path if not path.startswith("http") else path
        sent = {**_bearer(key), **(headers or {})}
        return httpx.post(url, json=body, headers=sent, timeout=90, trust_env=False)

    def get(self, path: str, key: str = "") -> httpx.Response:
        """A look, at an address beside /v1."""
        return httpx.get(self.root + path, headers=_bearer(key), timeout=90, trust_env=False)


def _bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"} if key else {}


def until(condition: Callable[[], Any]) -> None:
    """Wait until something is so; the test's own timeout ends it otherwise."""
    while not condition():
        time.sleep(0.05)


@contextmanager
def operated(folder: Path, *arguments: str, **env: str) -> Iterator[OperatedServer]:
    """A server of its own, which is told to stop at the end, and stops without a traceback."""
    log = folder / f"{len([*folder.glob('*.log')])}.log"
    with (
        log.open("w") as written,
        subprocess.Popen(
            [*COMMAND, "--port", "0", *arguments],
            cwd=folder,
            env={**os.environ, **env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=written,
            text=True,
        ) as process,
    ):
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith("The council answers at http://127.0.0.1:"), log.read_text()
            yield OperatedServer(line.split()[4], process, log)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            process.wait(60)
    assert "Traceback" not in log.read_text(), log.read_text()
