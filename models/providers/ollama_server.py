"""What an Ollama says of its models, apart from their answers.

Nothing here fails because a server does not answer, or something else does: then it is not known.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from typing import Any

from mom_council.councils.schema import Model
from mom_council.errors import MixtureError
from mom_council.models.addresses import is_near, key_of, ollama_address

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
            answer = await client.request(how, url, json=body, headers=headers)
            answer.raise_for_status()
            values = answer.json()
            return values if isinstance(values, dict) else None
    return None


async def installed(url: str) -> frozenset[str] | None:
    """The full names of the models that the server at `url` has; None: it does not answer."""
    listing = await ask_ollama("GET", f"{url.rstrip('/')}/api/tags")
    if listing is None:
        return None
    cards = listing.get("models") or ()
    return frozenset(str(card.get("name")) for card in cards if isinstance(card, dict))


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
