"""The whole examination: every part at once, each within its time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Any

from mom_council.doctor import council, storage
from mom_council.doctor import machine as house
from mom_council.doctor import machine as python
from mom_council.doctor import models as voices
from mom_council.doctor.finding import Finding, warn
from mom_council.redaction import redact

SECONDS = 8.0
"""For one part; together they take no longer than the slowest."""

PARTS: dict[str, Callable[[Mapping[str, str]], Iterable[Finding] | AsyncIterator[Finding]]] = {
    "python": python.version,
    "packages": python.packages,
    "extras": python.extras,
    "data": storage.data_folder,
    "databases": storage.databases,
    "settings": storage.settings,
    "keys": voices.keys,
    "ollama": voices.ollama,
    "embedded": voices.embedded,
    "gpu": voices.gpu,
    "ports": house.ports,
    "clock": house.clock,
    "langsmith": house.langsmith,
    "graph": house.graph,
}


async def examine(env: Mapping[str, str], named: str | None = None) -> list[Finding]:
    """Look at everything; with a council's name, also at whether that one can sit here."""
    parts = dict(PARTS)
    chosen = named or env.get("MOM_COUNCIL")
    if chosen:
        parts["council"] = lambda env: council.council(chosen, env)
    found = await asyncio.gather(*(_look(name, part, env) for name, part in parts.items()))
    return [_without_keys(finding) for findings in found for finding in findings]


def _without_keys(finding: Finding) -> Finding:
    return finding.model_copy(update={"says": redact(finding.says), "cure": redact(finding.cure)})


async def _look(name: str, part: Callable[..., Any], env: Mapping[str, str]) -> list[Finding]:
    try:
        async with asyncio.timeout(SECONDS):
            looking = part(env)
            if isinstance(looking, AsyncIterator):
                return [finding async for finding in looking]
            return await asyncio.to_thread(list, looking)
    except TimeoutError:
        return [warn(name, f"did not answer in {SECONDS:g} s", "try again when less is going on")]
    except Exception as error:
        # A doctor that dies of what it finds helps nobody.
        says = f"cannot be looked at ({type(error).__name__}: {error})"
        return [warn(name, says, "report this with the line above")]
