"""A key that comes as an argument: kept in this process's environment, and nowhere else.

A council names the variable that holds a key, never the key. So an argument gets a variable of its
own, and what is stored, traced or shown is the variable's name.
"""

from __future__ import annotations

import os
import threading

_PREFIX = "MOM_COMPAT_KEY_"
_lock = threading.Lock()
_users: dict[str, int] = {}


def lend_variable(key: str) -> str:
    """The name of a variable of this process that holds the key; give it back when done."""
    with _lock:
        held = next((name for name in _users if os.environ.get(name) == key), None)
        name = held or f"{_PREFIX}{_free()}"
        os.environ[name] = key
        _users[name] = _users.get(name, 0) + 1
        return name


def give_back(name: str) -> None:
    """The variable is gone when the last who borrowed it has given it back."""
    with _lock:
        left = _users.get(name, 0) - 1
        if left > 0:
            _users[name] = left
        elif name in _users:
            del _users[name]
            os.environ.pop(name, None)


def _free() -> int:
    number = 1
    while f"{_PREFIX}{number}" in os.environ:
        number += 1
    return number
