"""What a server that speaks OpenAI's protocol says about its models."""

from __future__ import annotations

import contextlib
from typing import Any

from mom_council.councils.schema import Model
from mom_council.errors import MixtureError
from mom_council.models.providers.ollama_server import ask_ollama
from mom_council.models.resolved import key_of
from mom_council.vendors import vendor_of

_LENGTHS = ("max_model_len", "context_length", "max_context_length", "context_window")
"""What servers call a model's window: vLLM and SGLang, OpenRouter, LM Studio, Groq."""


async def window(spec: Model) -> int | None:
    """Tokens that a model reads at once, as `/v1/models` says; OpenAI's own list has none."""
    if spec.base_url is None or vendor_of(spec.provider).is_at_home(spec.base_url):
        return None
    url = f"{spec.base_url.rstrip('/')}/models"
    with contextlib.suppress(MixtureError):
        listing = await ask_ollama("GET", url, key=key_of(spec), seconds=3.0)
        cards = (listing or {}).get("data")
        for card in cards if isinstance(cards, list) else ():
            if isinstance(card, dict) and card.get("id") == spec.model:
                return _length(card)
    return None


def _length(card: dict[str, Any]) -> int | None:
    return next((card[name] for name in _LENGTHS if isinstance(card.get(name), int)), None)
