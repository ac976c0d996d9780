"""What an Ollama server says about its models.

Nothing here fails because a server does not answer, or something else does: then it is not known.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mom_council.councils.schema import Model
from mom_council.errors import MixtureError
from mom_council.models.resolved import is_near, key_of, ollama_address

if TYPE_CHECKING:
    from mom_council.models.resolved import ModelInstance

_MOST_BYTES = 16_000_000
"""Bytes of an answer that are read; a list of a thousand models has less than one million."""

_seeing: dict[tuple[str, str], bool] = {}
"""Whether a model sees, by its server's address and its name."""


async def ask_ollama(
    how: str, url: str, body: Any = None, *, key: str | None = None, seconds: float = 1.0
) -> dict[str, Any] | None:
    """What an Ollama says within so many seconds; None where it does not answer."""
    import httpx

    with contextlib.suppress(Exception):  # something else may listen there, and say anything
        async with (
            asyncio.timeout(seconds),
            httpx.AsyncClient(
                trust_env=not is_near(url),  # a proxy is no way to this machine
                verify=url.startswith("https"),  # reading certificates takes 20 ms
                timeout=seconds,
            ) as client,
        ):
            headers = {"authorization": f"Bearer {key}"} if key else {}
            async with client.stream(how, url, json=body, headers=headers) as answer:
                answer.raise_for_status()
                text = b""
                async for piece in answer.aiter_bytes():
                    text += piece
                    if len(text) > _MOST_BYTES:
                        return None
            values = json.loads(text)
            return values if isinstance(values, dict) else None
    return None


async def installed(url: str) -> frozenset[str] | None:
    """The full names of the models that the server at `url` has; None: it does not answer."""
    listing = await ask_ollama("GET", f"{url.rstrip('/')}/api/tags")
    if listing is None:
        return None
    return frozenset(str(card.get("name")) for card in _cards(listing.get("models")))


async def sees(spec: Model) -> bool:
    """Whether a model sees, as its server says; False where it does not answer."""
    url = (spec.base_url or ollama_address(os.environ)).rstrip("/")
    if (url, spec.model) not in _seeing:
        with contextlib.suppress(MixtureError):
            card = await ask_ollama(
                "POST", f"{url}/api/show", {"model": spec.model}, key=key_of(spec), seconds=3.0
            )
            abilities = (card or {}).get("capabilities")
            if isinstance(abilities, list):
                _seeing[url, spec.model] = "vision" in abilities
    # What did not answer may be known the next time.
    return _seeing.get((url, spec.model), False)


async def window(spec: Model) -> int | None:
    """Tokens that a model can read at once, as its server says; however it is loaded."""
    url = (spec.base_url or ollama_address(os.environ)).rstrip("/")
    body = {"model": spec.model}
    with contextlib.suppress(MixtureError):
        card = await ask_ollama("POST", f"{url}/api/show", body, key=key_of(spec), seconds=3.0)
        info = (card or {}).get("model_info")
        for name, value in info.items() if isinstance(info, dict) else ():
            if str(name).endswith(".context_length") and isinstance(value, int):
                return value
    return None


async def loaded_among(
    instances: Sequence[ModelInstance],
) -> tuple[list[ModelInstance], list[ModelInstance]]:
    """Which of some models are in memory, and of which that is known."""
    loaded: list[ModelInstance] = []
    observed: list[ModelInstance] = []
    for url in dict.fromkeys(map(_address, instances)):
        running = await ask_ollama("GET", f"{url}/api/ps")
        if running is not None:
            there = [one for one in instances if _address(one) == url]
            observed += there
            loaded += [one for one in there if _is_among(running.get("models"), one)]
    return loaded, observed


async def model_sizes(instances: Sequence[ModelInstance]) -> list[int | None]:
    """Bytes of each model, where all are on one server of this machine; else unknown."""
    unknown: list[int | None] = [None] * len(instances)
    urls = {_address(one) for one in instances}
    if len(urls) != 1 or not is_near(url := urls.pop()) or not _is_here(url):
        return unknown
    listing = await ask_ollama("GET", f"{url}/api/tags")
    if listing is None:
        return unknown
    sizes = {card.get("name"): card.get("size") for card in _cards(listing.get("models"))}
    listed = [sizes.get(one.model) for one in instances]
    return [size if isinstance(size, int) else None for size in listed]


async def unload(instance: ModelInstance) -> None:
    """Take a model out of the server's memory."""
    body = {"model": instance.model, "keep_alive": 0}
    await ask_ollama("POST", f"{_address(instance)}/api/generate", body)


def _address(instance: ModelInstance) -> str:
    return (instance.base_url or ollama_address(os.environ)).rstrip("/").removesuffix("/v1")


def _is_here(url: str) -> bool:
    return any(f"//{host}" in url for host in ("127.", "localhost", "[::1]"))


def _is_among(cards: Any, instance: ModelInstance) -> bool:
    context = dict(instance.options).get("num_ctx")
    return any(
        instance.model in (card.get("name"), card.get("model"))
        and context in (None, card.get("context_length") or context)
        for card in _cards(cards)
    )


def _cards(values: Any) -> list[Mapping[str, Any]]:
    return [card for card in values if isinstance(card, dict)] if isinstance(values, list) else []
