"""Private parts of Python itself: imports that wait until they are used, and the end of threads.

`import langgraph.graph` loads a client for LangGraph's server and LangSmith's generated types: half
of its time, and nothing that a question needs. `defer_imports` puts empty modules in their
place. The first look at an attribute runs the package's own code, in that same module, so whoever
uses it finds everything that belongs there.

The `mom` command does this before it imports anything. The library never does: what a program
imports is that program's affair.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
from collections.abc import Callable, Collection, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

DEFERRED = (
    "langgraph_sdk",
    "langgraph_sdk.auth",
    "langsmith.types",
    "httpx2",
    "psutil",
)
"""Each is imported as a whole, or for one of its submodules; `tests/seams` says when one is not."""


def defer_imports(names: Collection[str] = DEFERRED) -> None:
    """Load these packages when they are first used, and no plugins of pydantic's.

    Looking for pydantic's plugins reads the metadata of every installed distribution; whoever has
    one that should run sets PYDANTIC_DISABLE_PLUGINS to 0.
    """
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "1")
    if not any(isinstance(finder, _DeferringFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _DeferringFinder(names))


class _DeferredModule(ModuleType):
    """A module whose code has not run."""

    def __getattr__(self, name: str) -> Any:
        """Run the module's code, and give what was asked for."""
        if name.startswith("__"):  # inspection, not use
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        loader = getattr(self.__spec__, "loader", None)
        if isinstance(loader, _DeferringLoader):
            loader.load(self)
        return object.__getattribute__(self, name)


class _DeferringLoader:
    """Makes an empty module, and later runs the code that belongs there, once."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader
        self._lock = threading.RLock()
        self._is_begun = False

    def __getattr__(self, name: str) -> Any:
        """What else loaders offer: resources, source."""
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Make the empty module."""
        return _DeferredModule(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Leave it empty."""

    def load(self, module: ModuleType) -> None:
        """Run the code; whoever else needs it waits."""
        with self._lock:
            if not self._is_begun:
                self._is_begun = True
                self._loader.exec_module(module)
                module.__class__ = ModuleType


class _DeferringFinder:
    """Comes before Python's own finders, for these packages alone."""

    def __init__(self, names: Collection[str]) -> None:
        self._names = frozenset(names)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The package's own place, with a loader that waits."""
        if fullname not in self._names:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _DeferringLoader(spec.loader)  # type: ignore[assignment]
        return spec


def call_before_threads_end(act: Callable[[], None]) -> None:
    """Call this at the end of the process, before the interpreter shuts its pools of threads.

    `atexit` comes after that, and `asyncio.to_thread` fails there. The pools themselves are
    registered in the same way; whoever registers later is called earlier.
    """
    register: Any = getattr(threading, "_register_atexit", atexit.register)
    register(act)
