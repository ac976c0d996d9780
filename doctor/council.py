"""Whether one council can sit here: its file, its packages and keys, its models."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping

from mom_council.councils.loader import load_council
from mom_council.councils.schema import Council
from mom_council.doctor.belongings import belongings
from mom_council.doctor.finding import Finding, fail, ok, warn
from mom_council.errors import CouncilError, MixtureError
from mom_council.models.discovery import calls_at_most, costs_money
from mom_council.models.findings import ollama_address
from mom_council.models.memory import ollama_says
from mom_council.models.registry import missing
from mom_council.models.voices import full_name
from mom_council.models.weights import find_weights


async def council(named: str, env: Mapping[str, str]) -> AsyncIterator[Finding]:
    """Everything that the council needs."""
    try:
        loaded = await asyncio.to_thread(load_council, named)
    except CouncilError as error:
        yield fail("council", str(error), "mend the file; `mom councils list` names the presets")
        return
    sound = True
    for line in await asyncio.to_thread(missing, loaded):
        sound = False
        says, _, cure = line.partition(": ")
        yield fail("council", says, cure)
    for finding in [
        *await _unpulled(loaded, env),
        *await asyncio.to_thread(_weights, loaded),
        *await asyncio.to_thread(lambda: [*belongings(loaded, env)]),
    ]:
        sound = sound and finding.state != "fail"
        yield finding
    for finding in _advice(loaded):
        yield finding
    if sound:
        most = calls_at_most(loaded)
        yield ok("council", f"{loaded.name!r} can sit: at most {most} calls a question")


async def _unpulled(loaded: Council, env: Mapping[str, str]) -> list[Finding]:
    """The models that an Ollama should have and has not."""
    wanted: dict[str, set[str]] = {}
    for model in loaded.models.values():
        if model.provider == "ollama":
            wanted.setdefault(model.base_url or ollama_address(env), set()).add(model.model)
    found: list[Finding] = []
    for url, names in wanted.items():
        told = await ollama_says("GET", f"{url.rstrip('/')}/api/tags")
        if told is None:
            says = f"Ollama does not answer at {url}"
            found.append(fail("council", says, "start it (`ollama serve`), or correct `base_url`"))
            continue
        here = {
            str(card.get("name")) for card in told.get("models") or () if isinstance(card, dict)
        }
        found += [
            fail("council", f"{name!r} is not pulled at {url}", f"ollama pull {name}")
            for name in sorted(names)
            if full_name(name) not in here
        ]
    return found


def _weights(loaded: Council) -> list[Finding]:
    found = []
    for model in loaded.models.values():
        if model.provider == "embedded":
            try:
                find_weights(model.model)
            except MixtureError as error:
                says, _, cure = str(error).rpartition("; ")
                found.append(fail("council", says, cure))
    return found


def _advice(loaded: Council) -> list[Finding]:
    """What would work, and could be better."""
    found = []
    loose = {
        full_name(model.model)
        for model in loaded.models.values()
        if model.provider == "ollama" and model.lane is None and model.concurrency is None
    }
    if len(loose) > 1:
        says = f"{len(loose)} Ollama models share no lane, and may unload each other"
        cure = "write `lane: gpu, concurrency: 1` into them where one GPU has to take turns"
        found.append(warn("council", says, cure))
    if costs_money(loaded) and loaded.budget == type(loaded.budget)():
        found.append(
            warn("council", "it may cost money, and has no budget", "`budget: {calls: 40}`")
        )
    return found
