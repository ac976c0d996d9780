"""Which models could answer: keys, Ollama, the embedded engine and its weights, the GPU.

Whether this machine has what one council needs: its file, packages, keys, models, tools.
"""

from __future__ import annotations

import asyncio
import importlib.util
import re
import shutil
from collections.abc import AsyncIterator, Iterator, Mapping

from mom_council.councils.schema import Council, Model, Server
from mom_council.councils.trust import load_trusted_council
from mom_council.doctor import Finding, fail, failed, ok, warn
from mom_council.errors import CouncilError, MixtureError
from mom_council.extensions.hook_run import under_extensions
from mom_council.extensions.loaded import problems_of
from mom_council.models.clients import loop_resources
from mom_council.models.context_window import window_of
from mom_council.models.lanes import answer_bound
from mom_council.models.prices import read_table
from mom_council.models.providers import missing
from mom_council.models.providers.embedded import find_weights
from mom_council.models.resolved import is_near, ollama_address, with_address
from mom_council.models.tools.toolset import tool_problems
from mom_council.runs.discovery import calls_at_most, costs_money, find_models, listens
from mom_council.runs.words import counted
from mom_council.vendors import VENDORS, load_code, vendor_of
from mom_council.vendors.ollama import OLLAMA


def keys(env: Mapping[str, str]) -> Iterator[Finding]:
    """Which keys are set; none is ever shown."""
    good = []
    for name, provider in VENDORS.items():
        variable = provider.key_env
        if variable is None or variable not in env:
            continue
        if fault := _fault(env[variable]):
            yield warn("keys", f"{variable} {fault}", "set it again, without quotes and spaces")
        elif importlib.util.find_spec(provider.package) is None:
            cure = provider.install or f"pip install {provider.package}"
            yield warn(
                "keys", f"{variable} is set, but the package of {name} is not installed", cure
            )
        else:
            good.append(variable)
    if good:
        yield ok("keys", f"set: {', '.join(good)}")
    else:
        yield ok("keys", "none is set, so no vendor can be asked")


def _fault(key: str) -> str:
    if not key.strip():
        return "is empty"
    if re.search(r"\s", key.strip()) or key.strip()[0] in "\"'":
        return "holds spaces or quotes"
    return ""


async def ollama(env: Mapping[str, str]) -> AsyncIterator[Finding]:
    """Whether Ollama answers, and what was pulled."""
    from mom_council.models.providers.ollama_server import ask_ollama
    from mom_council.models.resolved import ollama_address

    models = await find_models(env)
    url = ollama_address(env)
    if models.ollama_url is None:
        is_set = any(name in env for name in OLLAMA.address_variables)
        says = f"does not answer at {url}"
        cure = "start it (`ollama serve`), or correct OLLAMA_HOST"
        without = "install it from ollama.com for models of your own"
        yield warn("ollama", says, cure if is_set else f"{cure}; {without}")
        return
    names = ", ".join(one.name for one in models.ollama[:8])
    if not names:
        yield warn("ollama", f"answers at {url} without a chat model", "ollama pull llama3.2")
        return
    more = f" and {len(models.ollama) - 8} more" if len(models.ollama) > 8 else ""
    running = await ask_ollama("GET", f"{url}/api/ps")
    loaded = [str(card.get("name")) for card in (running or {}).get("models") or ()]
    memory = f"; in memory: {', '.join(loaded)}" if loaded else ""
    yield ok("ollama", f"answers at {url}: {names}{more}{memory}")


def embedded(env: Mapping[str, str]) -> Iterator[Finding]:
    """Whether llama.cpp starts with the weights that came along, and downloads are whole."""
    from mom_council.councils.schema import Model
    from mom_council.models.providers.embedded import (
        is_installed,
        is_running,
        open_embedded,
        stop_embedded,
    )
    from mom_council.models.weights import SHIPPED, WEIGHTS, downloaded_weights, is_gguf

    if not is_installed():
        yield warn("embedded", "llama.cpp is not installed", "mom download engine")
        return
    shipped = [*downloaded_weights(SHIPPED)]
    try:
        for name in shipped:
            spec = Model(provider="embedded", model=name)
            if not is_running(spec):
                open_embedded(spec)
                stop_embedded(spec)
    except MixtureError as error:
        cure = "pip install --force-reinstall mom-council xllamacpp"
        yield fail("embedded", str(error), cure)
        return
    if not shipped:
        cure = "pip install --force-reinstall mom-council"
        yield fail("embedded", "the tiny models are missing from the package", cure)
        return
    whole = []
    for name, file in downloaded_weights().items():
        offer = WEIGHTS.get(name)
        short = offer is not None and file.stat().st_size < offer.megabytes * 900_000
        if short or not is_gguf(file):
            cure = f"remove {file} and run `mom download {name}`"
            yield fail("embedded", f"the weights {name!r} are incomplete", cure)
        else:
            whole.append(name)
    downloads = f"; downloaded: {', '.join(whole)}" if whole else ""
    yield ok("embedded", f"llama.cpp serves {', '.join(shipped)}{downloads}")


def gpu(env: Mapping[str, str]) -> Iterator[Finding]:
    """Whether a temperature can be read."""
    from mom_council.models.memory import gpu_memory
    from mom_council.models.thermal import read_temperatures

    readings = read_temperatures()
    if not readings:
        yield ok("gpu", "no GPU temperature sensor found; temperature checks are off")
        return
    memory = gpu_memory()
    size = f", {memory / 1e9:.0f} GB of memory" if memory else ""
    degrees = ", ".join(f"{one.device} at {one.celsius:.0f} °C" for one in readings)
    yield ok("gpu", f"{degrees}{size}")


def council_extras(council: Council, env: Mapping[str, str]) -> Iterator[Finding]:
    """What is wrong with its table of prices, extensions and tools.

    Extensions are loaded, tools are not run.
    """
    try:
        read_table(council.prices)
    except CouncilError as error:
        yield failed("council", error, "fix the table of prices, or move it away")
    yield from _extensions(council)
    yield from _tools(council, env)


def _extensions(council: Council) -> Iterator[Finding]:
    try:
        under_extensions(council)
    except CouncilError as error:
        yield failed("council", error, "fix `extensions` in the council's file")
        return
    for problem in problems_of(council):
        yield warn("council", problem, "fix it; until then the council runs without this extension")


def _tools(council: Council, env: Mapping[str, str]) -> Iterator[Finding]:
    refused = [*tool_problems(council.tools, env=env)]
    for error in refused:
        yield failed("council", error, "ask it from Python")
    if refused:
        return
    for name, tool in council.tools.items():
        if tool.python and (says := _missing_module(tool.python)):
            yield fail("council", f"tool {name!r}: {says}", "install it, or set PYTHONPATH")
        if tool.mcp and (need := _missing_server(tool.mcp)):
            says, cure = need
            yield fail("council", f"tool {name!r}: {says}", cure)


def _missing_module(place: str) -> str:
    """Why a function's package cannot be imported; empty where it can. Nothing is run."""
    package = place.partition(":")[0].partition(".")[0]
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        spec = None
    return "" if spec else f"there is no module {package!r} here"


def _missing_server(server: Server) -> tuple[str, str] | None:
    """Why a server cannot be reached, and the cure; it is not started."""
    if importlib.util.find_spec("langchain_mcp_adapters") is None:
        return "MCP servers need a package", "pip install 'mom-council[mcp]'"
    if server.command and shutil.which(server.command[0]) is None:
        says = f"there is no program {server.command[0]!r}"
        return says, "install it, or write its full path"
    return None


async def council(name: str, env: Mapping[str, str]) -> AsyncIterator[Finding]:
    """Everything that the council needs."""
    try:
        loaded = await asyncio.to_thread(load_trusted_council, name)
    except CouncilError as error:
        yield failed("council", error, "fix the file; `mom councils list` names the presets")
        return
    sound = True
    for need in await asyncio.to_thread(missing, loaded.models.values()):
        sound = False
        yield failed("council", need)
    for finding in [
        *{one.says: one for one in (await _absent_models(loaded, env)).values()}.values(),
        *await asyncio.to_thread(lambda: [*council_extras(loaded, env)]),
    ]:
        sound = sound and finding.state != "fail"
        yield finding
    for finding in [*_advice(loaded), *await _small_windows(loaded)]:
        yield finding
    if sound:
        most = calls_at_most(loaded)
        yield ok("council", f"{loaded.name!r} is ready: at most {counted(most, 'call')} a question")


async def unreachable_models(loaded: Council, env: Mapping[str, str]) -> dict[str, Finding]:
    """The models of a council that cannot be asked now, by their keys, and why.

    Packages, keys and weights that are missing; servers that do not answer, or have not pulled a
    model. Nothing is asked that costs.
    """
    needs = {key: missing([model]) for key, model in loaded.models.items()}
    lacking = {key: failed("council", need[0]) for key, need in needs.items() if need}
    return {**await _absent_models(loaded, env), **lacking}


async def _absent_models(loaded: Council, env: Mapping[str, str]) -> dict[str, Finding]:
    """The models whose server or weights are not there, by their keys."""
    weightless = await asyncio.to_thread(_weightless, loaded)
    return {**await _unpulled(loaded, env), **await _silent(loaded, env), **weightless}


async def _unpulled(loaded: Council, env: Mapping[str, str]) -> dict[str, Finding]:
    """The models that a server on this machine should have and has not."""
    needed: dict[tuple[str, str], dict[str, str]] = {}
    for key, model in loaded.models.items():
        if vendor_of(model.provider).installed:
            url = with_address(model, env).base_url or ollama_address(env)
            needed.setdefault((model.provider, url), {})[key] = model.model
    findings: dict[str, Finding] = {}
    for (provider, url), names in needed.items():
        vendor = vendor_of(provider)
        there = await load_code(str(vendor.installed))(url)
        for key, name in sorted(names.items(), key=lambda pair: pair[1]):
            if there is None:
                cure = f"start it (`{vendor.start}`), or correct `base_url`"
                says = f"{vendor.title} does not answer at {url}"
                findings[key] = fail("council", says, cure)
            elif vendor.full_name(name) not in there:
                cure = str(vendor.fetch).format(model=name)
                findings[key] = fail("council", f"{name!r} is not pulled at {url}", cure)
    return findings


async def _silent(loaded: Council, env: Mapping[str, str]) -> dict[str, Finding]:
    """The models whose own server, on this machine or beside it, takes no connection."""
    urls: dict[str, list[str]] = {}
    for key, model in loaded.models.items():
        url = with_address(model, env).base_url
        if url and is_near(url) and not vendor_of(model.provider).installed:
            urls.setdefault(url, []).append(key)
    listening = await asyncio.gather(*map(listens, urls))
    cure = "start it, or correct `base_url`"
    return {
        key: fail("council", f"nothing listens at {url}", cure)
        for (url, keys), is_there in zip(urls.items(), listening, strict=True)
        if not is_there
        for key in keys
    }


def _weightless(loaded: Council) -> dict[str, Finding]:
    findings = {}
    for key, model in loaded.models.items():
        if vendor_of(model.provider).engine:
            try:
                find_weights(model.model)
            except MixtureError as error:
                findings[key] = failed("council", error)
    return findings


_PROMPT = 1_200
"""Tokens of a prompt besides the proposals in it, with a question of a page."""
_USUAL_ANSWER = 500
"""Tokens of an answer without a limit of its own."""


async def _small_windows(loaded: Council) -> list[Finding]:
    """The models that may not be able to read what the council writes; windows are asked for."""
    readers = dict.fromkeys([*(who.model for who in loaded.characters), loaded.synthesizer.model])
    longest = _PROMPT + max(
        sum(_longest_answer(loaded.models[loaded.character(name).model]) for name in layer)
        for layer in loaded.seats
    )
    findings = []
    here = await loop_resources()
    for key in readers:
        settings = loaded.models[key]
        window = await window_of(settings, here)
        needed = longest + _longest_answer(settings)
        if window is not None and window < needed:
            says = (
                f"{key!r} reads {window:,} tokens, and may be sent about {needed:,}: long "
                "proposals will be shortened"
            )
            cure = "name a model that reads more, or limit the members' answers (`max_tokens`)"
            findings.append(warn("council", says, cure))
    return findings


def _longest_answer(settings: Model) -> int:
    return answer_bound(settings.params) or _USUAL_ANSWER


def _advice(loaded: Council) -> list[Finding]:
    """What would work, and could be better."""
    findings = []
    loose: dict[str, set[str]] = {}
    for model in loaded.models.values():
        vendor = vendor_of(model.provider)
        if vendor.installed and model.lane is None and model.concurrency is None:
            loose.setdefault(vendor.title, set()).add(vendor.full_name(model.model))
    for title, names in loose.items():
        if len(names) < 2:
            continue
        says = f"{len(names)} {title} models share no lane, and may unload each other"
        cure = "write `lane: gpu, concurrency: 1` into them where one GPU has to take turns"
        findings.append(warn("council", says, cure))
    if costs_money(loaded) and loaded.budget == type(loaded.budget)():
        findings.append(
            warn("council", "it may cost money, and has no budget", "`budget: {calls: 40}`")
        )
    return findings
