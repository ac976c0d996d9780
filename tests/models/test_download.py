"""Weights from a server of ours: whole, cut and resumed, wrong, refused."""

from __future__ import annotations

import errno
import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from mom_council.errors import (
    CouncilError,
    ModelUnavailableError,
    StorageError,
    UnknownNameError,
)
from mom_council.models.weights import WEIGHTS, Offer, download_weights

pytestmark = pytest.mark.slow

BODY = b"GGUF" + bytes(range(256)) * 4096


class Shelf(ThreadingHTTPServer):
    """Serves one body, with what a test wants to go wrong."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Request)
        self.body = BODY
        self.status = 200
        self.cut: int | None = None
        self.ranges = True
        self.shift = 0
        self.tells_length = True
        self.asked: list[tuple[str, str | None]] = []

    def handle_error(self, *_: Any) -> None:
        """A client that left is no news."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/mine.gguf"


class Request(BaseHTTPRequestHandler):
    server: Shelf

    def do_GET(self) -> None:
        shelf, wanted = self.server, self.headers.get("range")
        shelf.asked.append((self.path, wanted))
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and shelf.ranges else 0
        if start and start >= len(shelf.body):
            self.send_response(416)
            self.send_header("content-range", f"bytes */{len(shelf.body)}")
            self.send_header("content-length", "0")
            self.end_headers()
            return
        body = shelf.body[start:]
        self.send_response(206 if start and shelf.status == 200 else shelf.status)
        if start:
            first = start + shelf.shift
            last = len(shelf.body) - 1
            self.send_header("content-range", f"bytes {first}-{last}/{len(shelf.body)}")
        if shelf.tells_length:
            self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: shelf.cut])

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def shelf(monkeypatch: pytest.MonkeyPatch) -> Iterator[Shelf]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with Shelf() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def get(shelf: Shelf, to: Path, **more: Any) -> Path:
    return download_weights("mine", url=shelf.url, to=to, **more)


def test_weights_are_brought_once_and_progress_is_told(shelf: Shelf, tmp_path: Path) -> None:
    told: list[tuple[int, int | None]] = []
    file = get(shelf, tmp_path, progress=lambda here, total: told.append((here, total)))
    assert file == tmp_path / "mine.gguf"
    assert file.read_bytes() == BODY
    assert told[0] == (0, len(BODY))
    assert told[-1] == (len(BODY), len(BODY))
    assert get(shelf, tmp_path) == file
    assert len(shelf.asked) == 1
    assert [one.name for one in tmp_path.iterdir()] == ["mine.gguf"]


def test_a_cut_download_goes_on_where_it_stopped(shelf: Shelf, tmp_path: Path) -> None:
    shelf.cut = 300_000
    with pytest.raises(ModelUnavailableError, match="what was received is kept, try again"):
        get(shelf, tmp_path)
    here = (tmp_path / "mine.gguf.part").stat().st_size
    assert 0 < here <= 300_000
    shelf.cut = None
    told: list[int] = []
    file = get(shelf, tmp_path, progress=lambda here, _: told.append(here))
    assert file.read_bytes() == BODY
    assert shelf.asked[-1][1] == f"bytes={here}-"
    assert told[0] == here


def test_ctrl_c_keeps_what_was_received(shelf: Shelf, tmp_path: Path) -> None:
    def stop(here: int, _: int | None) -> None:
        if here:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        get(shelf, tmp_path, progress=stop)
    assert (tmp_path / "mine.gguf.part").stat().st_size > 0
    assert get(shelf, tmp_path).read_bytes() == BODY


def test_a_server_that_cannot_resume_sends_it_all_again(shelf: Shelf, tmp_path: Path) -> None:
    (tmp_path / "mine.gguf.part").write_bytes(BODY[:1000])
    shelf.ranges = False
    assert get(shelf, tmp_path).read_bytes() == BODY


def test_a_server_that_sends_another_part_is_not_believed(shelf: Shelf, tmp_path: Path) -> None:
    (tmp_path / "mine.gguf.part").write_bytes(BODY[:1000])
    shelf.shift = 1
    with pytest.raises(ModelUnavailableError, match="another part than was asked for"):
        get(shelf, tmp_path)
    assert (tmp_path / "mine.gguf.part").read_bytes() == BODY[:1000]


def test_a_part_that_is_whole_already_only_gets_its_name(shelf: Shelf, tmp_path: Path) -> None:
    (tmp_path / "mine.gguf.part").write_bytes(BODY)
    assert get(shelf, tmp_path).read_bytes() == BODY


def test_a_part_longer_than_the_weights_is_removed(shelf: Shelf, tmp_path: Path) -> None:
    (tmp_path / "mine.gguf.part").write_bytes(BODY + b"more")
    with pytest.raises(ModelUnavailableError, match=r"\d+ bytes came, of \d+; it was removed"):
        get(shelf, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_page_in_place_of_weights_is_refused_at_its_first_byte(
    shelf: Shelf, tmp_path: Path
) -> None:
    shelf.body = b"<html>please log in</html>"
    with pytest.raises(ModelUnavailableError, match="holds no GGUF weights; look at the address"):
        get(shelf, tmp_path)
    assert not (tmp_path / "mine.gguf").exists()
    shelf.body = BODY
    assert get(shelf, tmp_path).read_bytes() == BODY


def test_a_wrong_checksum_removes_what_came(shelf: Shelf, tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailableError, match="another checksum than it should"):
        get(shelf, tmp_path, sha256="0" * 64)
    assert list(tmp_path.iterdir()) == []
    right = hashlib.sha256(BODY).hexdigest().upper()
    assert get(shelf, tmp_path, sha256=right).read_bytes() == BODY


@pytest.mark.parametrize(
    ("status", "says"), [(404, "answers 404; look at the address"), (503, "503; try again")]
)
def test_a_refusal_is_told_in_one_line(
    shelf: Shelf, tmp_path: Path, status: int, says: str
) -> None:
    shelf.status = status
    with pytest.raises(ModelUnavailableError, match=says) as told:
        get(shelf, tmp_path)
    assert "\n" not in str(told.value)


def test_a_server_that_is_not_there_is_told_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailableError, match="cannot be had from 'http:"):
        download_weights("mine", url="http://127.0.0.1:9/x", to=tmp_path)


def test_a_mirror_is_asked_for_the_same_path(
    shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(WEIGHTS, "small", Offer("small", "a/b.gguf", 1, "MIT"))
    monkeypatch.setenv("MOM_WEIGHTS_URL", f"http://127.0.0.1:{shelf.server_port}/hub/")
    monkeypatch.setenv("MOM_DATA_DIR", str(tmp_path))
    assert download_weights("small") == tmp_path / "weights" / "small.gguf"
    assert shelf.asked == [("/hub/a/b.gguf", None)]


def test_much_less_than_the_weights_are_known_to_have_is_refused(
    shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(WEIGHTS, "small", Offer("small", "a/b.gguf", 5, "MIT"))
    monkeypatch.setenv("MOM_WEIGHTS_URL", f"http://127.0.0.1:{shelf.server_port}")
    shelf.tells_length = False
    with pytest.raises(ModelUnavailableError, match="and the weights have 5 million"):
        download_weights("small", to=tmp_path)


def test_a_full_disk_is_told_and_nothing_is_lost(shelf: Shelf, tmp_path: Path) -> None:
    def fill(here: int, _: int | None) -> None:
        if here:
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(StorageError, match=r"\(the disk is full\); make room"):
        get(shelf, tmp_path, progress=fill)
    assert get(shelf, tmp_path).read_bytes() == BODY


def test_a_place_that_is_no_folder_is_told(shelf: Shelf, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="set MOM_DATA_DIR"):
        get(shelf, tmp_path / "file")


def test_what_cannot_be_asked_for_is_refused_before_anything_is_sent(
    shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UnknownNameError, match=r"did you mean 'qwen2\.5-0\.5b-instruct'"):
        download_weights("qwen2.5-0.5b", to=tmp_path)
    for name in ("../mine", ".mine", "", "a/b"):
        with pytest.raises(CouncilError, match="weights cannot be called"):
            download_weights(name, url=shelf.url, to=tmp_path)
    monkeypatch.setenv("MOM_WEIGHTS_URL", "http://me:word@127.0.0.1")
    with pytest.raises(CouncilError, match="holds a login") as told:
        download_weights(to=tmp_path)
    assert "word@" not in str(told.value)
    assert shelf.asked == []
