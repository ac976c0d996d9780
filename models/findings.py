"""What this machine could ask: a running Ollama, keys in the environment, downloaded weights.

Nothing here fails because something is missing or broken: what cannot be used was not found.
"""

from __future__ import annotations

import asyncio
import importlib.util
import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mom_council.models.providers import PROVIDERS
from mom_council.models.providers.embedded import is_installed
from mom_council.models.weights import downloaded_weights
from mom_council.redaction import fault_in_address

OLLAMA = "http://127.0.0.1:11434"
OLLAMA_TIMEOUT = 0.5
"""Seconds that a question may be held up by an Ollama that does not answer."""

_NO_TALKERS = ("embed", "minilm", "bge-", "rerank", "guard", "-ocr", "moondream")
"""Parts of names of models that do not chat; their families say so too, when they are told."""
_NO_TALKING_FAMILIES = ("bert", "xlm-roberta", "embed", "clip")


@dataclass(frozen=True, slots=True)
class Weights:
    """A model that is on this machine."""

    name: str
    size: int
    """Bytes."""
    family: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """What could be asked. Keys are told by the name of their provider; they are not kept."""

    ollama_url: str | None = None
    """Where Ollama answers; None: it does not."""
    ollama: tuple[Weights, ...] = ()
    """Its chat models, smallest first."""
    keys: tuple[str, ...] = ()
    """Providers whose key and whose package are here."""
    lacking: tuple[str, ...] = ()
    """Providers whose key is here and whose package is not."""
    weights: tuple[Weights, ...] = ()
    """Downloaded, smallest first; none where llama.cpp is not installed."""


async def find_voices(
    env: Mapping[str, str], *, ollama_url: str | None = None, weights_dir: Path | None = None
) -> Found:
    """Look for everything at once; takes at most half a second, and a tenth of it as a rule."""
    url = ollama_url or ollama_address(env)
    (answers, talkers), weights = await asyncio.gather(
        _installed_in(url), asyncio.to_thread(_weights, weights_dir)
    )
    keyed = [name for name, one in PROVIDERS.items() if env.get(one.key_env or "", "").strip()]
    here = [name for name in keyed if importlib.util.find_spec(PROVIDERS[name].package)]
    return Found(
        ollama_url=url if answers else None,
        ollama=talkers,
        keys=tuple(here),
        lacking=tuple(name for name in keyed if name not in here),
        weights=weights,
    )


def ollama_address(env: Mapping[str, str]) -> str:
    """Where Ollama should be: OLLAMA_API_URL, else OLLAMA_HOST as Ollama itself reads it."""
    named = (env.get("OLLAMA_API_URL") or env.get("OLLAMA_HOST") or "").strip().rstrip("/")
    if not named:
        return OLLAMA
    scheme, cut, rest = named.partition("://")
    place, slash, path = (rest if cut else named).partition("/")
    if place.startswith(":"):
        place = f"127.0.0.1{place}"
    # Where a server listens on every address, a client goes to this machine.
    place = place.replace("0.0.0.0", "127.0.0.1").replace("[::]", "[::1]")  # noqa: S104
    if not place.rpartition("]")[2].count(":"):
        place += {"https": ":443", "http": ":80"}.get(scheme if cut else "", ":11434")
    return f"{scheme if cut else 'http'}://{place}{slash}{path.removesuffix('api')}".rstrip("/")


def is_near(url: str) -> bool:
    """Whether an address is on this machine or in this house, where no proxy and no bill stand."""
    try:
        host = urlsplit(url).hostname or ""
        if host.endswith((".local", ".lan")) or not re.search(r"[.:]", host):
            return True
        return ip_address(host).is_private
    except ValueError:
        return False


async def _installed_in(url: str) -> tuple[bool, tuple[Weights, ...]]:
    """Whether Ollama answers there, and its chat models."""
    import httpx

    if fault_in_address(url):
        return False, ()
    try:
        async with (
            asyncio.timeout(OLLAMA_TIMEOUT),
            httpx.AsyncClient(
                trust_env=not is_near(url),  # a proxy is no way to this machine
                verify=url.startswith("https"),  # reading certificates takes 20 ms
                timeout=OLLAMA_TIMEOUT,
            ) as client,
        ):
            answer = await client.get(f"{url}/api/tags")
            answer.raise_for_status()
            cards = answer.json()["models"]
            return True, _talkers(cards)
    except Exception:  # something else may well listen there, and say anything at all
        return False, ()


def _talkers(cards: list[dict[str, Any]]) -> tuple[Weights, ...]:
    found: dict[str, Weights] = {}
    for card in cards:
        name, size = card["name"], int(card.get("size") or 0)
        family = str((card.get("details") or {}).get("family") or name.partition(":")[0])
        can = card.get("capabilities") or ["completion"]
        # What runs in a cloud is not on this machine, and may cost money.
        away = card.get("remote_host") or name.endswith(("-cloud", ":cloud"))
        silent = any(part in name.lower() for part in _NO_TALKERS) or any(
            part in family.lower() for part in _NO_TALKING_FAMILIES
        )
        if name and "completion" in can and not away and not silent:
            # One model may be there by two names.
            found.setdefault(str(card.get("digest") or name), Weights(name, size, family))
    return tuple(sorted(found.values(), key=lambda one: (one.size, one.name)))


def _weights(folder: Path | None) -> tuple[Weights, ...]:
    if not is_installed():
        return ()
    files = downloaded_weights(folder)
    sized = [Weights(name, file.stat().st_size) for name, file in files.items()]
    return tuple(sorted(sized, key=lambda one: (one.size, one.name)))
