"""What runs inside the sandbox, as a script: set the limits, run both parts, show the secret.

Given: the folder, seconds, megabytes of memory, megabytes of a file; the secret on stdin. It
imports nothing of ours, because it runs with an empty environment and without site-packages.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
from pathlib import Path

_NEW_USER, _NEW_NET, _NEW_PID, _NEW_IPC = 0x10000000, 0x40000000, 0x20000000, 0x08000000
_DIE_WITH_PARENT = 1


def main() -> None:
    """Fence the process in, and run what is in the folder."""
    folder, seconds, megabytes, file_megabytes = sys.argv[1], *map(int, sys.argv[2:5])
    token = os.read(0, 64).decode()
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    shown = os.open(Path(folder) / "shown", os.O_WRONLY | os.O_CREAT, 0o600)
    fenced = _unshare()
    if fenced and (child := os.fork()):
        # The child is the first process of its tree: when it ends, everything that it started does.
        _, status = os.waitpid(child, 0)
        code = os.waitstatus_to_exitcode(status)
        os._exit(code if code >= 0 else 128 - code)
    if fenced:
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
    _limit(seconds, megabytes, file_megabytes)
    os.chdir(folder)
    code = _play(Path(folder))
    sys.stdout.flush()
    if code == 0:
        os.write(shown, (token + (" fenced" if fenced else "")).encode())
    os._exit(code)


def _play(folder: Path) -> int:
    parts = [(folder / name).read_text(encoding="utf-8") for name in ("source.py", "check.py")]
    names = {"__name__": "__main__", "__builtins__": __builtins__}
    try:
        for name, text in zip(("answer", "check"), parts, strict=True):
            exec(compile(text, name, "exec"), names)  # noqa: S102 - what the sandbox is for
    except BaseException as error:
        # SystemExit too: who leaves before the check has not passed it.
        line = " ".join(str(error).split())[:250]
        os.write(2, f"\n{type(error).__name__}: {line}\n".encode())
        return 1
    return 0


def _limit(seconds: int, megabytes: int, file_megabytes: int) -> None:
    for what, most in (
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_AS, megabytes * 2**20),
        (resource.RLIMIT_FSIZE, file_megabytes * 2**20),
        (resource.RLIMIT_NOFILE, 64),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NPROC, 64),
    ):
        try:
            resource.setrlimit(what, (most, most))
        except (ValueError, OSError):
            continue  # a lower limit holds already, or this system has none


def _unshare() -> bool:
    """Leave the network and the process tree; whether the system let us."""
    if not sys.platform.startswith("linux"):
        return False
    everything = _NEW_USER | _NEW_NET | _NEW_PID | _NEW_IPC
    return bool(ctypes.CDLL(None, use_errno=True).unshare(everything) == 0)


if __name__ == "__main__":
    main()
