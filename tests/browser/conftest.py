"""A real browser on a real server: Debian's chromium, and `mom ui` in a process of its own."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import mom_council
from mom_council.councils.loader import load_council, to_yaml
from mom_council.tests.graph.desk import PERSONAS
from mom_council.tests.stage import Stage

ROOT = Path(mom_council.__file__).parent
PICTURES = ROOT / "artefacts"
CHROMIUM = os.environ.get("MOM_CHROMIUM", "/usr/bin/chromium")
FLAGS = [
    "--no-sandbox", "--headless", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip


class Server:
    """`mom ui`, started and stopped."""

    def __init__(self, home: Path, council: str) -> None:
        self._home, self._council = home, council
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._log = home.parent / "server.log"

    def start(self) -> Server:
        env = {**os.environ, "MOM_DATA_DIR": str(self._home), "PYTHONUNBUFFERED": "1"}
        command = [sys.executable, "-c", "from mom_council.cli import main; main()", "ui"]
        with self._log.open("a") as log:
            self._process = subprocess.Popen(
                [*command, "--port", str(self.port), "--council", self._council],
                env=env, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        deadline = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(f"{self.url}/_stcore/health", timeout=1).close()
                return self
            except OSError:
                assert time.monotonic() < deadline, self._log.read_text()
                assert self._process.poll() is None, self._log.read_text()
                time.sleep(0.1)

    def stop(self, how: int = signal.SIGTERM) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, how)
            self._process.wait(20)

    @property
    def log(self) -> str:
        return self._log.read_text()

    @property
    def cpu_seconds(self) -> float:
        """What the server has computed so far."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api")
    if not shutil.which(CHROMIUM):
        pytest.fail(f"there is no {CHROMIUM}; install it, or name another with MOM_CHROMIUM")
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield opened
        opened.close()


class Tab:
    """One tab: what it asked the network for, and what it complained about."""

    def __init__(self, context: Any) -> None:
        self.page = context.new_page()
        self.requests: list[str] = []
        self.errors: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("dialog", lambda dialog: self._alarm(dialog))

    def _alarm(self, dialog: Any) -> None:
        self.errors.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def open(self, url: str) -> Tab:
        self.page.goto(url)
        self.page.get_by_test_id("stChatInputTextArea").wait_for(timeout=120_000)
        return self

    def ask(self, text: str) -> None:
        field = self.page.get_by_test_id("stChatInputTextArea")
        field.fill(text)
        field.press("Enter")

    def answered(self, timeout: float = 120) -> None:
        """Wait for the row of buttons that stands under a finished answer."""
        self.page.get_by_role("button", name="Regenerate").wait_for(timeout=timeout * 1000)

    @property
    def answer(self) -> Any:
        """The last answer itself."""
        return self.page.locator('[class*="st-key-answer-"]').last

    def shot(self, name: str) -> None:
        PICTURES.mkdir(exist_ok=True)
        self.page.wait_for_timeout(400)
        self.page.screenshot(path=str(PICTURES / f"{name}.png"))

    def abroad(self) -> list[str]:
        """Requests that left the machine."""
        own = re.compile(r"^(http|ws)://127\.0\.0\.1[:/]|^(data|blob):")
        return [url for url in self.requests if not own.match(url)]


@pytest.fixture
def tab(chromium: Any) -> Iterator[Callable[..., Tab]]:
    """Opens a tab; each has a browser's profile of its own unless one is shared."""
    contexts: list[Any] = []

    def open_tab(url: str, *, beside: Tab | None = None, **settings: Any) -> Tab:
        if beside is not None:
            return Tab(beside.page.context).open(url)
        settings.setdefault("viewport", {"width": 1280, "height": 1000})
        context = chromium.new_context(**settings)
        context.set_default_timeout(90_000)
        contexts.append(context)
        return Tab(context).open(url)

    yield open_tab
    for context in contexts:
        context.close()


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[[str], Server]]:
    """Starts the page with a council."""
    servers: list[Server] = []

    def start(council: str) -> Server:
        server = Server(tmp_path / "home", council)
        servers.append(server)
        return server.start()

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def desk_file(stage: Stage, tmp_path: Path) -> Callable[..., str]:
    """Writes a council on the stage to a file."""

    def write(names: tuple[str, ...] = ("Ada", "Boris", "Clara"), **changes: Any) -> str:
        from mom_council.tests.graph.desk import written

        for name in names:
            PERSONAS.setdefault(name, f"You are {name}.")
        path = tmp_path / "desk.yaml"
        path.write_text(to_yaml(load_council(written(stage, names, **changes))))
        return str(path)

    return write
