"""What is installed: the models of an Ollama, and those that a server of OpenAI's protocol has.

Nothing here fails because a server does not answer, or something else does: then it has none.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mom_council.models.memory import ModelMemory, memory_for_models
from mom_council.models.providers.ollama_server import ask_ollama
from mom_council.models.resolved import is_near
from mom_council.vendors import VENDORS
from mom_council.vendors.openai import OPENAI

TIMEOUT = 0.5
"""Seconds that a question may be held up by a server that does not answer."""

_MOST_DESCRIBED = 32
"""Models whose abilities are asked for one by one, where the list does not tell them."""

_NOT_FOR_CHAT = (
    (r"embed|minilm|(^|[/-])(bge|gte|e5)-|paraphrase-|jina-|colbert", "it is for embeddings"),
    (r"rerank|reward|(^|[-:])prm", "it sorts texts"),
    (r"guard|safeguard|shieldgemma|minicheck", "it checks texts"),
    (r"ocr|moondream|nuextract|reader-lm|translategemma|functiongemma", "it has one special task"),
    (r"sqlcoder|nsql|starcoder(?!2:.*instruct)", "it completes code and does not chat"),
    (r":(.*-)?(code|python|fim)(-|$)|^codegemma:2b", "it completes code and does not chat"),
    (r"(-|:)(base|text|pt|pretrained|foundation)(-|:|$)", "it is a base model and does not chat"),
    (r"whisper|(^|[/:-])(tts|flux|sdxl|sd3)|diffusion", "it does not write text"),
)
"""Parts of the names of models that do not chat, and why not."""
_FAMILIES_NOT_FOR_CHAT = ("bert", "roberta", "embed", "clip", "t5")


@dataclass(frozen=True, slots=True)
class InstalledModel:
    """A model that is on this machine."""

    name: str
    size: int
    """Bytes."""
    family: str = ""
    parameters: float | None = None
    """Billions; None: nobody said."""
    quantization: str = ""
    abilities: tuple[str, ...] = ()
    """What its server says that it can: completion, tools, vision, thinking, insert, embedding."""

    @property
    def title(self) -> str:
        """Its name as people write it."""
        return self.name.removesuffix(":latest")


@dataclass(frozen=True, slots=True)
class AvailableModels:
    """What could be asked. Keys are told by the name of their provider; they are not kept."""

    ollama_url: str | None = None
    """Where Ollama answers; None: it does not."""
    trouble: str = ""
    """What is wrong with an Ollama that is there and does not say which models it has."""
    ollama: tuple[InstalledModel, ...] = ()
    """Its chat models, smallest first."""
    silent: tuple[InstalledModel, ...] = ()
    """Its other models."""
    memory: ModelMemory | None = None
    """How much memory it has for them; None: it has no models."""
    server: str | None = None
    """Where another server that speaks OpenAI's protocol answers."""
    served: tuple[str, ...] = ()
    """The models that it offers for chat."""
    server_key: bool = False
    """Whether a key goes there."""
    keys: tuple[str, ...] = ()
    """Providers whose key and whose package are here."""
    lacking: tuple[str, ...] = ()
    """Providers whose key is here and whose package is not."""
    weights: tuple[InstalledModel, ...] = ()
    """Downloaded, smallest first; none where llama.cpp is not installed."""


def install_line(vendor: str) -> str:
    """What to install for a vendor whose key is set."""
    one = VENDORS[vendor]
    return f"{one.key_env} is set too: `{one.install}` to use it."


def why_no_chat(model: InstalledModel) -> str | None:
    """Why a model does not chat; None: it does."""
    if model.abilities and "completion" not in model.abilities:
        return "it is for embeddings" if "embedding" in model.abilities else "it does not chat"
    if any(part in model.family.lower() for part in _FAMILIES_NOT_FOR_CHAT):
        return "it is for embeddings"
    name = model.name.lower().removesuffix(":latest")
    return next((why for part, why in _NOT_FOR_CHAT if re.search(part, name)), None)


async def describe_models(
    url: str, cards: list[dict[str, Any]], env: Mapping[str, str]
) -> tuple[tuple[InstalledModel, ...], ModelMemory | None]:
    """The models of an Ollama, each once, smallest first, and the memory for them."""

    async def abilities(card: dict[str, Any], place: int) -> Any:
        if card.get("capabilities") or place >= _MOST_DESCRIBED:
            return card.get("capabilities")
        body = {"model": card["name"]}
        shown = await ask_ollama("POST", f"{url}/api/show", body, seconds=TIMEOUT)
        return (shown or {}).get("capabilities")

    running, *able = await asyncio.gather(
        ask_ollama("GET", f"{url}/api/ps", seconds=TIMEOUT),
        *(abilities(card, place) for place, card in enumerate(cards)),
    )
    loaded = (running or {}).get("models")
    loaded = [one for one in loaded if isinstance(one, dict)] if isinstance(loaded, list) else []
    available: dict[str, InstalledModel] = {}
    try:
        for card, can in zip(cards, able, strict=True):
            # One model may be there by two names.
            available.setdefault(str(card.get("digest") or card["name"]), _installed(card, can))
    except Exception:  # as above
        return (), None
    memory = await asyncio.to_thread(memory_for_models, loaded, here=_on_this_machine(url), env=env)
    return tuple(sorted(available.values(), key=lambda one: (one.size, one.name))), memory


def _installed(card: dict[str, Any], abilities: Any) -> InstalledModel:
    details = card.get("details") or {}
    written = re.fullmatch(r"([\d.]+)\s*([MB])", str(details.get("parameter_size") or "").upper())
    return InstalledModel(
        card["name"],
        int(card.get("size") or 0),
        str(details.get("family") or ""),
        float(written[1]) / (1000 if written[2] == "M" else 1) if written else None,
        str(details.get("quantization_level") or ""),
        tuple(map(str, abilities)) if isinstance(abilities, list) else (),
    )


def _on_this_machine(url: str) -> bool:
    return any(f"//{host}" in url for host in ("127.", "localhost", "[::1]"))


async def served_models(url: str, env: Mapping[str, str]) -> tuple[str, ...] | None:
    """The models for chat of the server at `url`, as it lists them; None: it does not answer."""
    key = env.get(str(OPENAI.key_env), "").strip() or None
    seconds = TIMEOUT if is_near(url) else 3.0
    listing = await ask_ollama("GET", f"{url}/models", key=key, seconds=seconds)
    if listing is None:
        return None
    cards = listing.get("data")
    names = [
        str(card["id"])
        for card in (cards if isinstance(cards, list) else ())
        if isinstance(card, dict) and card.get("id")
    ]
    return tuple(one for one in names if why_no_chat(InstalledModel(one, 0)) is None)
