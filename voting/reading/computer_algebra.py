"""Sameness in mathematics by a computer algebra system, for what our own reading cannot evaluate.

It is math-verify (with sympy), where it is installed: `pip install 'mom-council[math]'`. It works
in a process of its own, which is ended where a pair takes too long; then the two are different.
Nothing waits for it on an event loop: there, only what was compared before is known.

Source: https://github.com/huggingface/Math-Verify (Apache-2.0).
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import importlib.util
import json
import queue
import subprocess
import sys
import threading
from collections import OrderedDict

_SECONDS = 3.0
"""Time for one pair."""
_SECONDS_TO_START = 30.0
"""Time for the first pair, with loading sympy."""
_MOST = 4096
"""Pairs that are remembered."""
_MOST_STARTS = 5
"""Processes that are started after another was ended, at the most: then it is given up."""
_LONGEST = 300

_remembered: OrderedDict[frozenset[str], bool] = OrderedDict()


def are_equal(one: str, other: str) -> bool:
    """Whether two forms of mathematics are the same value; where it cannot be told, they are not.

    Args:
        one: an answer in LaTeX, or as people write it.
        other: another.
    """
    pair = frozenset((one, other))
    if pair in _remembered:
        return _remembered[pair]
    if len(one) > _LONGEST or len(other) > _LONGEST or _is_on_an_event_loop() or not _exists():
        return False
    same = _PROCESS.ask(one, other)
    _remembered[pair] = same
    while len(_remembered) > _MOST:
        _remembered.popitem(last=False)
    return same


def _exists() -> bool:
    return importlib.util.find_spec("math_verify") is not None


def _is_on_an_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


class _AlgebraProcess:
    """The process that compares, one pair at a time."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.child: subprocess.Popen[str] | None = None
        self.replies: queue.Queue[str] = queue.Queue()
        self.starts = 0

    def ask(self, one: str, other: str) -> bool:
        """Whether two forms are equal; False after the time limit."""
        with self.lock:
            fresh = self.child is None or self.child.poll() is not None
            if fresh and not self.start():
                return False
            child = self.child
            if child is None or child.stdin is None:
                return False
            try:
                child.stdin.write(json.dumps([one, other]) + "\n")
                child.stdin.flush()
                limit = _SECONDS_TO_START if fresh else _SECONDS
                return self.replies.get(timeout=limit).strip() == "equal"
            except (OSError, queue.Empty):
                self.stop()
                return False

    def start(self) -> bool:
        """Start the process; False where it was ended too often."""
        self.stop()
        self.starts += 1
        if self.starts > _MOST_STARTS:
            return False
        self.replies = queue.Queue()
        self.child = subprocess.Popen(  # noqa: S603 - this file, by its full path
            [sys.executable, "-W", "ignore", __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            encoding="utf-8",
        )
        reader = threading.Thread(target=_collect, args=(self.child, self.replies), daemon=True)
        reader.start()
        return True

    def stop(self) -> None:
        """End the process."""
        child, self.child = self.child, None
        if child is None:
            return
        child.kill()
        child.wait()
        for pipe in (child.stdin, child.stdout):
            with contextlib.suppress(OSError):
                if pipe is not None:
                    pipe.close()


def _collect(child: subprocess.Popen[str], replies: queue.Queue[str]) -> None:
    with contextlib.suppress(OSError, ValueError):
        for line in child.stdout or ():
            replies.put(line)


_PROCESS = _AlgebraProcess()
atexit.register(_PROCESS.stop)


def _compare_lines() -> None:
    """The process: a pair of forms a line in, `equal` or `different` a line out."""
    from math_verify import parse, verify

    _limit_memory()
    for line in sys.stdin:
        try:
            one, other = (parse(f"${form}$", parsing_timeout=None) for form in json.loads(line))
            # It compares a relation with an interval in one order alone.
            same = bool(one and other) and (
                verify(one, other, timeout_seconds=None) or verify(other, one, timeout_seconds=None)
            )
        except Exception:
            same = False
        sys.stdout.write("equal\n" if same else "different\n")
        sys.stdout.flush()


def _limit_memory() -> None:
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))


if __name__ == "__main__":
    _compare_lines()
