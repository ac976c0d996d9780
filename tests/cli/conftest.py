"""The command, called in this process or in one of its own, and councils in files."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from mom_council.cli.app import run
from mom_council.councils.trust import accept, review_file
from mom_council.tests.graph import desk
from mom_council.tests.stage import Stage

COMMAND = [sys.executable, "-c", "from mom_council.cli import main; main()"]
LOADED = """
from mom_council.cli import main
try:
    print('loaded', flush=True)
    main()
except KeyboardInterrupt:  # between the two lines above, where the command has not begun
    raise SystemExit(130) from None
"""


@dataclass
class Called:
    """How a call of the command ended."""

    code: int
    out: str
    err: str

    @property
    def object(self) -> dict[str, Any]:
        """The one JSON object on stdout."""
        read: dict[str, Any] = json.loads(self.out)
        return read

    def refuses(self, code: int, *parts: str) -> None:
        """It ended with this code and one line on stderr that holds the parts."""
        assert self.code == code, self.err
        lines = self.err.splitlines()
        assert len(lines) == 1, self.err
        assert lines[0].startswith("mom: ")
        for part in parts:
            assert part in lines[0]


Mom = Callable[..., Called]


@pytest.fixture
def mom(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Mom:
    """Calls the command in this process, which is quick."""

    def call(*arguments: str, stdin: bytes = b"") -> Called:
        streams = {}
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8"))
        for name in ("stdout", "stderr"):
            streams[name] = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
            monkeypatch.setattr(sys, name, streams[name])
        with pytest.raises(SystemExit) as left:
            run(list(arguments))
        said = []
        for stream in streams.values():
            stream.flush()
            said.append(stream.buffer.getvalue().decode("utf-8"))  # type: ignore[attr-defined]
        assert "Traceback" not in said[1]
        return Called(int(left.value.code or 0), *said)

    return call


class Processes:
    """Starts the command in processes of its own, as a shell does."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.started: list[subprocess.Popen[bytes]] = []

    def start(self, *arguments: str, **how: Any) -> subprocess.Popen[bytes]:
        """Start it and go on."""
        env = {**os.environ, "PYTHONUNBUFFERED": "", **how.pop("env", {})}
        command = how.pop("command", COMMAND)
        given = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        begun = subprocess.Popen(
            [*command, *arguments], cwd=self.folder, env=env, **{**given, **how}
        )
        self.started.append(begun)
        return begun

    def end(
        self, begun: subprocess.Popen[bytes], stdin: bytes = b"", seconds: float = 60
    ) -> Called:
        """Wait for it; a traceback is never shown."""
        out, err = begun.communicate(stdin, timeout=seconds)
        told = (err or b"").decode("utf-8")
        assert "Traceback" not in told, told
        return Called(begun.returncode, (out or b"").decode("utf-8"), told)

    def call(self, *arguments: str, stdin: bytes = b"", **how: Any) -> Called:
        """Start it and wait."""
        return self.end(self.start(*arguments, **how), stdin)


@pytest.fixture
def processes(tmp_path: Path) -> Any:
    """Processes; those still running at the end of a test are killed."""
    begun = Processes(tmp_path)
    yield begun
    for one in begun.started:
        if one.poll() is None:
            one.kill()
        one.wait()
        for stream in (one.stdin, one.stdout, one.stderr):
            if stream is not None:
                stream.close()


def trust_file(path: Path) -> None:
    """Accept a file as `mom trust` does, with every key that it names."""
    review = review_file(path)
    if review.lines:
        accept(review, review.odd_variables)


@pytest.fixture
def council_file(stage: Stage, tmp_path: Path) -> Callable[..., str]:
    """Writes a council on the stage into a file that its user trusts; returns its path."""

    def write(names: Sequence[str] = ("Ada", "Boris", "Clara"), **changes: Any) -> str:
        path = tmp_path / "desk.yaml"
        path.write_text(yaml.safe_dump(desk.written(stage, names, **changes)), encoding="utf-8")
        trust_file(path)
        return str(path)

    return write
