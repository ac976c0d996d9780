"""The page answers its own pages alone, and in a home network only who has the token."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from mom_council.cli.serve import free_port

pytestmark = pytest.mark.slow

TOKEN = "a-token-that-is-long-enough"


class Page:
    """`mom ui`, in a process of its own."""

    def __init__(self, home: Path, *arguments: str, token: str = "") -> None:
        self.port = free_port(18600)
        env = {**os.environ, "MOM_DATA_DIR": str(home), "MOM_UI_TOKEN": token}
        command = [sys.executable, "-c", "from mom_council.cli import main; main()", "ui"]
        self.log = home.with_suffix(".log")
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [*command, "--port", str(self.port), *arguments],
                env=env,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        while self.status("/_stcore/health") == 0:
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.1)

    def stop(self) -> None:
        os.killpg(self.process.pid, signal.SIGTERM)
        self.process.wait(60)

    def raw(self, path: str, *headers: str, method: str = "GET", body: bytes = b"") -> bytes:
        """The head of what is answered to a request that is written by hand."""
        lines = [f"{method} {path} HTTP/1.1", *headers, f"content-length: {len(body)}"]
        if not any(line.lower().startswith("host:") for line in headers):
            lines.insert(1, f"Host: 127.0.0.1:{self.port}")
        try:
            with socket.create_connection(("127.0.0.1", self.port), 30) as opened:
                opened.sendall("\r\n".join([*lines, "", ""]).encode() + body)
                return opened.recv(65536)
        except ConnectionRefusedError:
            return b""

    def status(self, path: str, *headers: str, **how: str) -> int:
        answered = self.raw(path, *headers, **how)  # type: ignore[arg-type]
        return int(answered.split()[1]) if answered else 0

    def socket_status(self, *headers: str) -> int:
        """101 where a websocket is opened."""
        upgrade = (
            *("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"),
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        )
        return self.status("/_stcore/stream", *upgrade, *headers)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    started = Page(tmp_path_factory.mktemp("page"))
    yield started
    started.stop()


def test_its_own_page_is_answered(page: Page) -> None:
    assert page.status("/") == 200
    assert page.socket_status(f"Origin: http://127.0.0.1:{page.port}") == 101
    assert page.socket_status() == 101, "a program names no page"
    assert page.status("/", f"Host: localhost:{page.port}") == 200


def test_a_rebound_name_is_refused_everywhere(page: Page) -> None:
    for host in ("evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "0"):
        named = f"Host: {host}:{page.port}"
        assert page.status("/", named) == 403, host
        assert page.status("/_stcore/health", named) == 403
        assert page.socket_status(named, f"Origin: http://{host}:{page.port}") == 403
        assert page.status("/_stcore/upload_file/a/b", named, method="PUT") == 403
    two = (f"Host: 127.0.0.1:{page.port}", "Host: evil.example")
    assert page.status("/", *two) in (400, 403)
    assert page.status("/", *reversed(two)) in (400, 403)


def test_another_site_is_refused(page: Page) -> None:
    own = f"127.0.0.1:{page.port}"
    for origin in ("http://evil.example", "null", f"http://127.0.0.1:{page.port + 1}", "file://"):
        assert page.socket_status(f"Origin: {origin}") == 403, origin
        assert page.status("/", f"Origin: {origin}") == 403
    for site in ("cross-site", "same-site"):
        assert page.socket_status(f"Sec-Fetch-Site: {site}") == 403
        framed = (f"Sec-Fetch-Site: {site}", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: iframe")
        assert page.status("/", *framed) == 403
        assert page.status("/", *framed[:2], "Sec-Fetch-Dest: document") == 200, "a link"
    assert page.status("/", f"Origin: http://{own}", "Sec-Fetch-Site: same-origin") == 200
    assert b"x-frame-options: SAMEORIGIN" in page.raw("/")


def test_a_huge_body_is_refused_while_it_arrives(page: Page) -> None:
    with socket.create_connection(("127.0.0.1", page.port), 60) as opened:
        opened.sendall(
            f"PUT /_stcore/upload_file/a/b HTTP/1.1\r\nHost: 127.0.0.1:{page.port}\r\n"
            "Content-Type: multipart/form-data; boundary=x\r\n"
            "Transfer-Encoding: chunked\r\n\r\n".encode()
        )
        part = b"100000\r\n" + b"x" * 2**20 + b"\r\n"
        answered = b""
        with contextlib.suppress(OSError):  # the server may hang up first
            opened.sendall(part * 100)
            answered = opened.recv(65536)
    assert not answered.startswith(b"HTTP/1.1 2"), answered[:80]
    assert page.status("/_stcore/health") == 200


def test_in_a_home_network_only_who_has_the_token_gets_in(tmp_path: Path) -> None:
    page = Page(tmp_path / "home", "--host", "0.0.0.0", token=TOKEN)
    try:
        told = urllib.parse.urlsplit(page.log.read_text().split("http://")[1].split(" ")[0])
        assert f"token={TOKEN}" in told.geturl()
        assert page.status("/") == 401
        assert page.status("/_stcore/health") == 401
        assert page.socket_status() == 403
        assert page.status("/?token=wrong-token-0123456789") == 401
        answered = page.raw(f"/traces?thread=a&token={TOKEN}")
        assert answered.split()[1] == b"303"
        head = answered.decode().lower()
        assert "location: /traces?thread=a\r\n" in head
        assert "httponly" in head
        assert "samesite=strict" in head
        cookie = f"Cookie: mom_token={TOKEN}"
        assert page.status("/", cookie) == 200
        assert page.socket_status(cookie, f"Origin: http://127.0.0.1:{page.port}") == 101
        assert page.socket_status(cookie, "Origin: http://evil.example") == 403
        assert page.status("/", cookie, f"Host: 192.168.1.5:{page.port}") == 200
    finally:
        page.stop()
