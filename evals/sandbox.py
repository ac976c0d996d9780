"""Running code that a model wrote: in another process, with limits, and without the network.

The code runs in its own Python with an empty environment, in a fresh folder, under limits of CPU
time, memory, file size and open files (`setrlimit`), and is killed with all its children when its
time is over. On Linux, where the system lets it, it also gets namespaces of its own: no network,
and a process tree that ends with it. `Outcome.fenced` says whether it did.

It keeps mistakes and runaways from doing harm. It is no jail: the code can read the files that
you can read, and code that sets out to forge its own success can look for the secret it is to
show. For code of an adversary, run the evaluation in a machine made for that.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

SECONDS = 10.0
MEGABYTES = 512
FILE_MEGABYTES = 1
_TOLD = 2_000  # bytes of what the code printed that are looked at

_LAUNCHER = Path(__file__).with_name("sandboxed.py")


class SandboxResult(NamedTuple):
    """How the code ended."""

    ok: bool
    """Both parts ran to their end."""
    why: str = ""
    """The last line it said, or what limit it met."""
    fenced: bool = False
    """It had no network."""


def run_python(
    source: str, check: str = "", *, seconds: float = SECONDS, megabytes: int = MEGABYTES
) -> SandboxResult:
    """Run `source`, then `check` in the same module, under limits. It blocks; it never raises.

    Args:
        source: what the model wrote.
        check: what must run after it without raising: assertions.
        seconds: of wall and of CPU time, for both together.
        megabytes: of address space.
    """
    if os.name != "posix":
        return SandboxResult(ok=False, why="the sandbox needs a POSIX system: Linux or macOS")
    token = secrets.token_hex(16)
    folder = Path(tempfile.mkdtemp(prefix="mom-code-"))
    try:
        for name, text in (("source.py", source), ("check.py", check)):
            (folder / name).write_text(text, encoding="utf-8", errors="replace")
        return _run(folder, token, seconds, megabytes)
    except OSError as error:
        return SandboxResult(ok=False, why=f"the sandbox could not be set up: {error}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run(folder: Path, token: str, seconds: float, megabytes: int) -> SandboxResult:
    limits = (str(max(1, round(seconds))), str(megabytes), str(FILE_MEGABYTES))
    with (folder / "said").open("w+b") as said, (folder / "told").open("w+b") as told:
        child = subprocess.Popen(  # noqa: S603 - our own launcher, by its full path
            [sys.executable, "-I", "-S", "-B", str(_LAUNCHER), str(folder), *limits],
            stdin=subprocess.PIPE,
            stdout=said,
            stderr=told,
            env={},
            cwd=folder,
            start_new_session=True,
        )
        late = False
        try:
            child.communicate(token.encode(), timeout=seconds)
        except subprocess.TimeoutExpired:
            late = True
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
        lines = _end(said), _end(told)
    shown = (folder / "shown").read_text() if (folder / "shown").is_file() else ""
    fenced = shown.endswith("fenced")
    if shown.startswith(token):
        return SandboxResult(ok=True, fenced=fenced)
    return SandboxResult(
        ok=False, why=_why(late, seconds, child.returncode, lines[1]), fenced=fenced
    )


def _why(late: bool, seconds: float, code: int, stderr: str) -> str:
    if late or code in (-signal.SIGXCPU, 128 + signal.SIGXCPU):
        return f"it took longer than {seconds:g} s"
    last = stderr.strip().rpartition("\n")[2]
    if last:
        return last[:300]
    return f"it ended by signal {-code}" if code < 0 else f"it left early, with code {code}"


def _end(file: object) -> str:
    with contextlib.suppress(OSError, AttributeError):
        size = file.seek(0, os.SEEK_END)  # type: ignore[attr-defined]
        file.seek(max(0, size - _TOLD))  # type: ignore[attr-defined]
        return bytes(file.read()).decode("utf-8", "replace")  # type: ignore[attr-defined]
    return ""
