"""A lock on a file that ends with its process, however that ends."""

from __future__ import annotations

import sqlite3
from pathlib import Path


def hold(path: Path, wait: float = 0) -> sqlite3.Connection | None:
    """Hold the lock until the connection is closed; None where another process keeps it.

    Args:
        path: the lock's file; it is made where it is not there.
        wait: seconds to wait for the other process.
    """
    lock = sqlite3.connect(path, timeout=wait, isolation_level=None)
    try:
        lock.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError:
        lock.close()
        return None
    return lock
