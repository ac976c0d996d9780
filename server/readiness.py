"""Whether a server can answer: it is warm, its database is reached, and models of its councils too.

What is looked at costs nothing: a statement that reads no table, a list of installed models, a
connection that is opened and closed. It is looked at once in some seconds, however many ask.
"""

from __future__ import annotations

import asyncio
import os
import time
from typing import Any

from mom_council.councils.schema import Council
from mom_council.doctor.council import unreachable_models
from mom_council.errors import MixtureError
from mom_council.models.clients import loop_resources
from mom_council.models.providers import open_model
from mom_council.models.resolved import resolve_model
from mom_council.redaction import logger
from mom_council.runs.tables import Tables
from mom_council.server.state import ServerState
from mom_council.vendors import vendor_of

_log = logger(__name__)

FRESH = 5.0
"""Seconds for which a look counts."""
PATIENCE = 4.0
"""Seconds that one thing may take to answer."""


async def warm_up(server: ServerState) -> None:
    """Do before the first question what it would wait for: graphs, packages, clients of models.

    Weights are not loaded: on one GPU a council's models may have no place beside each other.
    What cannot be opened is said in the log, and asked for again by the first question.
    """
    for name in server.catalogue.named:
        try:
            council = (await server.catalogue.find(name)).council
            await _open_models(council)
        except Exception as error:
            _log.warning("council %r is not warm: %s", name, error)


async def _open_models(council: Council) -> None:
    resources = await loop_resources()
    for key in council.models:
        model = resolve_model(council, key)
        if vendor_of(model.settings.provider).engine is None and not model.is_person:
            try:
                await open_model(resources, model.settings)
            except MixtureError as error:
                _log.warning("model %r of %r is not warm: %s", key, council.name, error)


class Readiness:
    """What `/ready` says.

    Args:
        server: whose.
    """

    def __init__(self, server: ServerState) -> None:
        self._server = server
        self._looking = asyncio.Lock()
        self._report: dict[str, Any] = {}
        self._looked: float | None = None

    async def report(self) -> dict[str, Any]:
        """The state of the database and of each council that was named; `ready`: all are usable."""
        async with self._looking:
            now = time.monotonic()
            if self._looked is None or now - self._looked >= FRESH:
                self._report = await self._look()
                self._looked = time.monotonic()
            return self._report

    async def _look(self) -> dict[str, Any]:
        catalogue = self._server.catalogue
        database, *councils = await asyncio.gather(
            self._database(), *(self._council(name) for name in catalogue.named)
        )
        by_name = dict(zip(catalogue.named, councils, strict=True))
        is_ready = database != "unreachable" and all(one["ready"] for one in by_name.values())
        status = "ready" if is_ready else "not ready"
        return {"status": status, "database": database, "councils": by_name}

    async def _database(self) -> str:
        saver = self._server.opened_saver
        if saver is None:
            return "not used"
        try:
            async with asyncio.timeout(PATIENCE):
                await Tables(saver).run("SELECT 1")
        except (MixtureError, TimeoutError) as error:
            _log.warning("the database is not reached: %s", error or "no answer in time")
            return "unreachable"
        return "ok"

    async def _council(self, name: str) -> dict[str, Any]:
        """Whether enough of a council's members can be asked."""
        try:
            async with asyncio.timeout(PATIENCE):
                council = (await self._server.catalogue.find(name)).council
                unreachable = await unreachable_models(council, os.environ)
        except (MixtureError, TimeoutError) as error:
            _log.warning("council %r cannot be looked at: %s", name, error or "no answer in time")
            return {"ready": False, "members": 0, "unreachable": []}
        able = [one for one in council.characters if _can_speak(council, one.model, unreachable)]
        for key, finding in unreachable.items():
            _log.info("model %r of council %r: %s", key, name, finding.says)
        return {
            "ready": len(able) >= council.deliberation.minimum,
            "members": len(able),
            "unreachable": sorted(unreachable),
        }


def _can_speak(council: Council, key: str, unreachable: Any) -> bool:
    """Whether a character's model, or one of its fallbacks, can be asked."""
    chain = resolve_model(council, key).chain
    return any(one.key not in unreachable and not one.is_person for one in chain)
