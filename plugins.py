"""Entries that installed packages add to a table of ours, by their entry points.

An entry is loaded when it is first looked up, so that a package can import the table's own module.
"""

from __future__ import annotations

import warnings
from collections.abc import ItemsView, Iterator, KeysView, Mapping, ValuesView
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar

T = TypeVar("T")


class PluginTable(dict[str, T]):
    """A table by name: our own entries, then those of installed packages.

    An entry of ours is never replaced. What cannot be loaded is left out, with a warning.

    Args:
        own: our entries.
        kind: the class of every entry.
        group: the group of the entry points; each has the name of its entry.
    """

    def __init__(self, own: Mapping[str, T], kind: type[T], group: str) -> None:
        super().__init__(own)
        self._kind = kind
        self._group = group
        self._not_loaded: dict[str, EntryPoint] | None = None

    def __missing__(self, name: str) -> T:
        self._load(name)
        if super().__contains__(name):
            return self[name]
        raise KeyError(name)

    def __contains__(self, name: object) -> bool:
        if isinstance(name, str) and not super().__contains__(name):
            self._load(name)
        return super().__contains__(name)

    def __iter__(self) -> Iterator[str]:
        self._load_all()
        return super().__iter__()

    def __len__(self) -> int:
        self._load_all()
        return super().__len__()

    def get(self, name: str, default: Any = None) -> Any:
        """The entry of a name, or something else."""
        try:
            return self[name]
        except KeyError:
            return default

    def keys(self) -> KeysView[str]:  # type: ignore[override]
        """Every name."""
        self._load_all()
        return super().keys()

    def values(self) -> ValuesView[T]:  # type: ignore[override]
        """Every entry."""
        self._load_all()
        return super().values()

    def items(self) -> ItemsView[str, T]:  # type: ignore[override]
        """Every name with its entry."""
        self._load_all()
        return super().items()

    def _load_all(self) -> None:
        for name in [*self._points()]:
            self._load(name)

    def _points(self) -> dict[str, EntryPoint]:
        """The entries of installed packages that are not loaded yet."""
        if self._not_loaded is None:
            own = frozenset(super().keys())
            points = entry_points(group=self._group)
            self._not_loaded = {point.name: point for point in points if point.name not in own}
        return self._not_loaded

    def _load(self, name: str) -> None:
        point = self._points().pop(name, None)
        if point is None:
            return
        try:
            entry = point.load()
        except Exception as error:  # it is code of others
            fault = f"{type(error).__name__}: {error}"
        else:
            if isinstance(entry, self._kind) and getattr(entry, "name", None) == name:
                self[name] = entry
                return
            fault = f"{point.value} is no {self._kind.__name__} of that name"
        warnings.warn(f"{self._group}: {name!r} cannot be used ({fault})", stacklevel=2)
