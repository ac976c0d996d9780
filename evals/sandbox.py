"""Run code that a model wrote, and a case's check of it, where neither can do harm.

Two processes of their own (`sandboxed`), with empty environments, each isolated as far as the
system allows:

- Linux with user namespaces: a root folder of its own (the system's files read-only, a folder in
  memory of a few megabytes, no home, no /proc), no network, no unix sockets of others, its own
  processes alone, no capabilities; Landlock and seccomp on top where the kernel has them;
- Linux without them: Landlock for files, and seccomp against network, sockets and signals;
- otherwise it is not isolated, says so, and runs nothing unless that is allowed.

In every case time, memory, the size of files, open files and processes are limited, and both are
killed when the time is over. With seccomp the code starts no other process: each would have these
limits for itself. Threads are allowed.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import IO, Any, NamedTuple

SECONDS = 10.0
MEGABYTES = 512
FILE_MEGABYTES = 1
_LONGEST_OUTPUT = 2_000  # bytes of what the code printed that are looked at

_LAUNCHER = Path(__file__).with_name("sandboxed.py")

NOT_ISOLATED = (
    "not isolated: this system has neither user namespaces nor Landlock, so the code was not run; "
    "--not-isolated runs it with limits alone"
)

may_be_open: ContextVar[bool] = ContextVar("may_be_open", default=False)
"""Whether scorers may run code where it is not isolated; its user says so."""


class SandboxResult(NamedTuple):
    """How the code ended."""

    ok: bool
    """Both parts ran to their end."""
    why: str = ""
    """The last line it said, or what limit it met."""
    fenced: bool = False
    """It was isolated: no home, no network, no other processes."""


def run_python(
    source: str,
    check: str = "",
    *,
    seconds: float = SECONDS,
    megabytes: int = MEGABYTES,
    may_be_open: bool = False,
) -> SandboxResult:
    """Run `source`, then `check` on its names, isolated. It blocks; it never raises.

    Args:
        source: what the model wrote.
        check: what must run after it without raising: assertions. It runs in another process, and
            what it calls in the answer comes back as plain data.
        seconds: of wall and of CPU time, for both together.
        megabytes: of address space, each.
        may_be_open: run it under limits alone where the system isolates nothing.
    """
    if os.name != "posix":
        return SandboxResult(ok=False, why="the sandbox needs a POSIX system: Linux or macOS")
    folder = Path(tempfile.mkdtemp(prefix="mom-code-"))
    try:
        return _Pair(folder, seconds, megabytes, may_be_open).run(source, check)
    except OSError as error:
        return SandboxResult(ok=False, why=f"the sandbox could not be set up: {error}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class _Pair:
    """The two processes of one run."""

    def __init__(self, folder: Path, seconds: float, megabytes: int, may_be_open: bool) -> None:
        self._folder, self._seconds = folder, seconds
        self._limits = (max(1, round(seconds)), megabytes, FILE_MEGABYTES, int(may_be_open))

    def run(self, source: str, check: str) -> SandboxResult:
        with contextlib.ExitStack() as stack:
            ends = [stack.enter_context(one) for one in socket.socketpair()]
            read, write = os.pipe()
            verdict = stack.enter_context(open(read, "rb"))  # noqa: PTH123 - a pipe
            written = stack.enter_context(open(write, "wb"))  # noqa: PTH123
            errors = stack.enter_context(tempfile.TemporaryFile())
            answer = stack.enter_context(
                self._start_process("answer", source, ends[0], written, errors)
            )
            checking = stack.enter_context(
                self._start_process("check", check, ends[1], written, subprocess.DEVNULL)
            )
            for end in ends:
                end.close()
            written.close()
            late = False
            try:
                checking.wait(self._seconds)
            except subprocess.TimeoutExpired:
                late = True
            if not late and checking.returncode == 0:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    answer.wait(1)
            _kill(checking)
            _kill(answer)
            result = _read_verdict(verdict.read())
            return self._result(result, late, answer.returncode, _end(errors))

    def _result(self, result: dict[str, Any], late: bool, code: int, stderr: str) -> SandboxResult:
        fenced, why = result.get("isolated") is True, str(result.get("why", ""))
        if why == "not isolated":
            return SandboxResult(ok=False, why=NOT_ISOLATED)
        if result.get("ok") is True:
            return SandboxResult(ok=True, fenced=fenced)
        if late or code in (-signal.SIGXCPU, 128 + signal.SIGXCPU):
            return SandboxResult(ok=False, why=f"it took longer than {self._seconds:g} s")
        return SandboxResult(ok=False, why=why or _last(stderr, code), fenced=fenced)

    @contextlib.contextmanager
    def _start_process(
        self, role: str, text: str, end: socket.socket, verdict: IO[bytes], errors: Any
    ) -> Iterator[subprocess.Popen[bytes]]:
        folder = self._folder / role
        folder.mkdir()
        numbers = (end.fileno(), verdict.fileno())
        words = [role, str(folder), *map(str, numbers), *map(str, self._limits)]
        child = subprocess.Popen(  # noqa: S603 - our own launcher, by its full path
            [sys.executable, "-I", "-S", "-B", str(_LAUNCHER), *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            env={},
            cwd=folder,
            pass_fds=numbers,
            start_new_session=True,
        )
        try:
            with contextlib.suppress(BrokenPipeError):
                stdin: Any = child.stdin
                stdin.write(text.encode("utf-8", "replace"))
                stdin.close()
            yield child
        finally:
            _kill(child)


def _kill(child: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def _read_verdict(content: bytes) -> dict[str, Any]:
    try:
        result = json.loads(content)
    except ValueError:
        return {}
    return result if isinstance(result, dict) else {}


def _last(stderr: str, code: int) -> str:
    if last := stderr.strip().rpartition("\n")[2]:
        return last[:300]
    return f"it ended by signal {-code}" if code < 0 else f"it left early, with code {code}"


def _end(file: IO[bytes]) -> str:
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _LONGEST_OUTPUT))
    return file.read().decode("utf-8", "replace")
