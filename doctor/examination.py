"""Every check at once, each within its time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Any

from mom_council.doctor import council, machine
from mom_council.doctor import council as models
from mom_council.doctor import machine as storage
from mom_council.doctor.finding import Finding, warn
from mom_council.redaction import redact

SECONDS = 8.0
"""For one part; together they take no longer than the slowest."""

PARTS: dict[str, Callable[[Mapping[str, str]], Iterable[Finding] | AsyncIterator[Finding]]] = {
    "python": machine.version,
    "packages": machine.packages,
    "extras": machine.extras,
    "data": storage.data_folder,
    "databases": storage.databases,
    "settings": storage.settings,
    "keys": models.keys,
    "ollama": models.ollama,
    "embedded": models.embedded,
    "gpu": models.gpu,
    "ports": machine.ports,
    "clock": machine.clock,
    "langsmith": machine.langsmith,
    "graph": machine.graph,
}


async def examine(env: Mapping[str, str], named: str | None = None) -> list[Finding]:
    """Run every check; with a council's name, also check what that council needs."""
    parts = dict(PARTS)
    chosen = named or env.get("MOM_COUNCIL")
    if chosen:
        parts["council"] = lambda env: council.council(chosen, env)
    reports = await asyncio.gather(*(_check(name, part, env) for name, part in parts.items()))
    return [_without_keys(finding) for findings in reports for finding in findings]


def _without_keys(finding: Finding) -> Finding:
    return finding.model_copy(update={"says": redact(finding.says), "cure": redact(finding.cure)})


async def _check(name: str, part: Callable[..., Any], env: Mapping[str, str]) -> list[Finding]:
    try:
        async with asyncio.timeout(SECONDS):
            findings = part(env)
            if isinstance(findings, AsyncIterator):
                return [finding async for finding in findings]
            return await asyncio.to_thread(list, findings)
    except TimeoutError:
        return [warn(name, f"did not answer in {SECONDS:g} s", "try again when less is running")]
    except Exception as error:
        # A doctor that dies of what it finds helps nobody.
        says = f"cannot be checked ({type(error).__name__}: {error})"
        return [warn(name, says, "report this with the line above")]
