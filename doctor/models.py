"""Which models could answer: keys, Ollama, the embedded engine and its weights, the GPU."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import AsyncIterator, Iterator, Mapping

from mom_council.doctor.finding import Finding, fail, ok, warn
from mom_council.errors import MixtureError
from mom_council.runs.discovery import find_models
from mom_council.vendors import VENDORS


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
    from mom_council.models.addresses import ollama_address
    from mom_council.models.providers.ollama_server import ask_ollama

    models = await find_models(env)
    url = ollama_address(env)
    if models.ollama_url is None:
        is_set = "OLLAMA_HOST" in env or "OLLAMA_API_URL" in env
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
        yield warn("embedded", "llama.cpp is not installed", "pip install xllamacpp")
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
