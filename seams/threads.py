"""Python's own end of a process, where it is private."""

from __future__ import annotations

import atexit
import threading
from collections.abc import Callable
from typing import Any


def call_before_threads_end(act: Callable[[], None]) -> None:
    """Call this at the end of the process, before the interpreter shuts its pools of threads.

    `atexit` comes after that, and `asyncio.to_thread` fails there. The pools themselves are
    registered in the same way; whoever registers later is called earlier.
    """
    register: Any = getattr(threading, "_register_atexit", atexit.register)
    register(act)
