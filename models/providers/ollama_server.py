"""What an Ollama says of its models, apart from their answers.

Nothing here fails because a server does not answer: then it is not known.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import httpx

from mom_council.councils.schema import Model
from mom_council.errors import MixtureError
from mom_council.models.addresses import is_near, key_of, ollama_address

_SECONDS_TO_SHOW = 3.0
"""Seconds that an Ollama may take to say what a model can do."""

_seeing: dict[tuple[str, str], bool] = {}
"""Whether a model sees, by its server's address and its name."""


async def sees(spec: Model) -> bool:
    """Whether a model sees, as its server says; False where it does not answer."""
    url = (spec.base_url or ollama_address(os.environ)).rstrip("/")
    if (url, spec.model) not in _seeing:
        abilities = await _abilities(url, spec)
        if abilities is None:
            return False  # it may be known the next time
        _seeing[url, spec.model] = "vision" in abilities
    return _seeing[url, spec.model]


async def _abilities(url: str, spec: Model) -> Sequence[str] | None:
    try:
        key = key_of(spec)
        async with httpx.AsyncClient(
            trust_env=not is_near(url), verify=url.startswith("https"), timeout=_SECONDS_TO_SHOW
        ) as client:
            answer = await client.post(
                f"{url}/api/show",
                json={"model": spec.model},
                headers={"authorization": f"Bearer {key}"} if key else {},
            )
            abilities = answer.raise_for_status().json().get("capabilities")
    except (httpx.HTTPError, MixtureError, ValueError, AttributeError):
        return None
    return abilities if isinstance(abilities, list) else None
