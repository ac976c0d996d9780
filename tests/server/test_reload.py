"""SIGHUP reads the councils and the keys anew, and ends nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from mom_council.councils.trust import accept, review_file
from mom_council.tests.stage import Stage

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="POSIX")]
OLD, NEW = "first-key-of-the-server-0123456789", "second-key-of-the-server-0123456789"


def write_council(file: Path, name: str, stage: Stage) -> None:
    model = f"{{provider: openai, model: ada, base_url: '{stage.openai_url}', api_key_env: null}}"
    file.write_text(
        f"name: {name}\nmodels: {{m: {model}}}\n"
        "characters: [{name: A, model: m}]\nsynthesizer: {model: m}\n"
    )
    accept(review_file(file))


def write_env(file: Path, key: str) -> None:
    file.write_text(f"MOM_SERVER_KEYS=me={key}\n")
    accept(review_file(file))


@pytest.fixture
def server(tmp_path: Path, stage: Stage) -> Iterator[tuple[Any, str]]:
    stage.model("ada", reply="Yes.")
    write_council(tmp_path / "council.yaml", "before", stage)
    write_env(tmp_path / ".env", OLD)
    command = [sys.executable, "-m", "mom_council", "serve", "-c", "council.yaml", "--only"]
    with (
        (tmp_path / "log").open("w") as log,
        subprocess.Popen(
            [*command, "--port", "0"],
            cwd=tmp_path,
            env={**os.environ},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        ) as process,
    ):
        assert process.stdout is not None
        line = process.stdout.readline()
        assert "http://" in line, (tmp_path / "log").read_text()
        try:
            yield process, line.split()[4]
        finally:
            process.terminate()


def councils(url: str, key: str) -> Any:
    """The names that are served; the status code where the key is refused."""
    reply = httpx.get(f"{url}/models", headers={"authorization": f"Bearer {key}"}, timeout=60)
    if reply.status_code != 200:
        return reply.status_code
    return [one["id"] for one in reply.json()["data"] if ":" not in one["id"]]


def until(condition: Callable[[], bool]) -> None:
    """Wait until something is so; the test's own timeout ends it otherwise."""
    while not condition():
        time.sleep(0.1)


def test_a_hangup_reloads_councils_and_keys_and_what_is_wrong_changes_nothing(
    server: tuple[Any, str], tmp_path: Path, stage: Stage
) -> None:
    process, url = server
    file, log = tmp_path / "council.yaml", tmp_path / "log"
    assert councils(url, OLD) == ["before"]
    write_council(file, "after", stage)
    assert councils(url, OLD) == ["before"]
    process.send_signal(signal.SIGHUP)
    until(lambda: councils(url, OLD) == ["after"])
    write_env(tmp_path / ".env", NEW)
    process.send_signal(signal.SIGHUP)
    until(lambda: councils(url, NEW) == ["after"])
    assert councils(url, OLD) == 401
    file.write_text("name: 3\nmodels: []\n")
    process.send_signal(signal.SIGHUP)
    until(lambda: "nothing was reloaded" in log.read_text())
    assert councils(url, NEW) == ["after"]
    assert process.poll() is None
