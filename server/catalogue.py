"""The councils that a server offers, by the names that clients ask for as models.

`name` is a council, `name:method` the same council counting its votes by another method. A client's
name is looked up here and nowhere else: it is never a path.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from langgraph.checkpoint.base import BaseCheckpointSaver

from mom_council.councils.loader import load_council, preset_names, saved_councils
from mom_council.councils.schema import Council
from mom_council.councils.trust import load_trusted_council
from mom_council.errors import CouncilError
from mom_council.redaction import quote
from mom_council.runs.ask import OpenCouncil
from mom_council.server.errors import Refusal
from mom_council.voting.methods import ALIASES, METHODS


@dataclass(frozen=True, slots=True)
class ServedCouncil:
    """A council that a client asked for, ready to be asked."""

    model: str
    """As the client named it."""
    opened: OpenCouncil

    @property
    def council(self) -> Council:
        """Its rules."""
        return self.opened.council


class Catalogue:
    """What can be asked for.

    Args:
        first: councils that were named, the default one first.
        presets: whether those that come with the package are offered too.
        saved: gives the files of the councils that the chat page keeps, by name; read again for
            every list and every name that is not known yet.
    """

    def __init__(
        self,
        first: Iterable[Council],
        *,
        presets: bool = True,
        saved: Callable[[], dict[str, Path]] | None = saved_councils,
    ) -> None:
        self._sources: dict[str, Council | str | Path] = {}
        for council in first:
            if council.name in self._sources:
                raise CouncilError(
                    f"two councils are called {council.name!r}", cure="rename one in its file"
                )
            self._sources[council.name] = council
        self._named = frozenset(self._sources)
        self._began = int(time.time())
        self._presets = preset_names() if presets else ()
        self._saved = saved
        self._ready: dict[tuple[str, str | None, bool], tuple[float, ServedCouncil]] = {}
        self._making = asyncio.Lock()

    @property
    def named(self) -> list[str]:
        """The councils that were named when the server was started."""
        return [name for name in self._sources if name in self._named]

    async def councils(self) -> list[str]:
        """The councils that there are, the default one first."""
        return [*await asyncio.to_thread(self._sources_by_name)]

    async def names(self) -> list[str]:
        """Every model that there is, councils before their variants."""
        councils = await self.councils()
        return [*councils, *(f"{name}:{method}" for name in councils for method in METHODS)]

    async def created(self, model: str) -> int:
        """When a council was last written, in epoch seconds; else when the server was started."""
        name = model.partition(":")[0]
        if self._saved is not None and name not in self._named:
            written = await asyncio.to_thread(_changed, self._saved, name)
            if written:
                return int(written)
        return self._began

    async def find(
        self, model: str, saver: BaseCheckpointSaver[Any] | None = None
    ) -> ServedCouncil:
        """The council called `model`, its threads kept by `saver`, or nowhere.

        Raises:
            Refusal: there is no such council.
            CouncilError: it cannot sit.
        """
        name, _, method = model.partition(":")
        method = ALIASES.get(method, method)
        if ":" in model and method not in METHODS:
            raise Refusal(
                404,
                f"The model {quote(model)} does not exist: votes are not counted that way; there "
                f"are {', '.join(METHODS)}.",
                param="model",
                code="model_not_found",
            )
        key = (name, method or None, saver is not None)
        written = 0.0
        if self._saved and name not in self._sources:
            written = await asyncio.to_thread(_changed, self._saved, name)
        if key not in self._ready or self._ready[key][0] != written:
            async with self._making:
                if key not in self._ready or self._ready[key][0] != written:
                    served = await asyncio.to_thread(self._make, *key[:2], saver)
                    self._ready[key] = (written, served)
        return self._ready[key][1]

    def _make(self, name: str, method: str | None, saver: Any) -> ServedCouncil:
        names = self._sources_by_name()
        if name not in names:
            raise Refusal(
                404,
                f"The model {quote(name)} does not exist; there are {', '.join(names)}.",
                param="model",
                code="model_not_found",
            )
        source = names[name]
        own = isinstance(source, Council)
        council = source if own else load_trusted_council(str(source))
        if method and method != council.deliberation.method:
            rules = council.deliberation.model_copy(update={"method": method})
            council = load_council(council.model_copy(update={"deliberation": rules}))
        model = f"{name}:{method}" if method else name
        return ServedCouncil(model, OpenCouncil(council, saver))

    def _sources_by_name(self) -> dict[str, Any]:
        names: dict[str, Any] = dict(self._sources)
        for name, file in (self._saved() if self._saved else {}).items():
            names.setdefault(name, file)
        for name in self._presets:
            names.setdefault(name, name)
        return names


def _changed(saved: Callable[[], dict[str, Path]], name: str) -> float:
    """When the page last changed the council of that name; 0: it keeps none."""
    file = saved().get(name)
    try:
        return file.stat().st_mtime if file else 0.0
    except OSError:
        return 0.0
