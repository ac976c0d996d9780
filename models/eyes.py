"""Who can see, and what each is shown: the pictures, or words in their place.

A question with pictures is sent to every model in the same form: its pictures, and in the message's
`additional_kwargs` what to tell a model that cannot see. Which of the two goes out is decided here,
for each model of a fallback chain by itself, so that no text is lost with a picture.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mom_council.councils.schema import Model
from mom_council.errors import MixtureError
from mom_council.models import capabilities
from mom_council.models.findings import is_near, ollama_address
from mom_council.models.images import is_picture
from mom_council.models.registry import key_of
from mom_council.models.weights import eyes_of, find_weights

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage

IN_WORDS = "in_words"
"""The key of a message's `additional_kwargs` under which stands its text for who cannot see."""

_LOOK = 3.0
"""Seconds that an Ollama may take to say what a model can do."""

_SEEING = {
    "openai": r"gpt-(4o|4\.1|4\.5|5)|o1(?!-mini|-preview)|o3(?!-mini)|o4|chatgpt-4o",
    "anthropic": r"claude-(3|opus|sonnet|haiku|[4-9])",
    "mistralai": r"pixtral|mistral-(small|medium)-latest",
    "cohere": r"command-a-vision|c4ai-aya-vision",
    "google_genai": r"gemini-[1-9]",
}
"""How the names of each vendor's seeing models begin; any other has to be declared."""

_known: dict[tuple[str, str], bool] = {}
"""What Ollama said of a model, by its address and name."""


async def can_see(spec: Model) -> bool:
    """Whether a model can look at pictures: as the council says, else as was probed or is known.

    Ollama is asked what the model can do; embedded weights see with the second file beside them; of
    the vendors' own models the names tell. What nobody knows is taken not to see, because a model
    that cannot answers a picture with an error, and the words about it it can read.
    """
    if spec.vision is not None:
        return spec.vision
    await capabilities.refresh()
    if (probed := capabilities.known(spec).vision) is not None:
        return probed
    if spec.provider == "ollama":
        return await _ollama_says(spec)
    if spec.provider == "embedded":
        try:
            return eyes_of(find_weights(spec.model)) is not None
        except MixtureError:
            return False
    pattern = _SEEING.get(spec.provider) if spec.base_url is None else None
    return bool(pattern and re.match(pattern, spec.model))


async def messages_for(spec: Model, messages: Sequence[BaseMessage]) -> list[BaseMessage]:
    """The messages as this model is sent them: with pictures, or with words in their place."""
    if not any(_has_pictures(message) for message in messages):
        return list(messages)
    able = await can_see(spec)
    return [_turned(one, able) if _has_pictures(one) else one for one in messages]


def _has_pictures(message: BaseMessage) -> bool:
    return isinstance(message.content, list) and any(map(is_picture, message.content))


def _turned(message: BaseMessage, able: bool) -> BaseMessage:
    kept = {key: value for key, value in message.additional_kwargs.items() if key != IN_WORDS}
    words = message.additional_kwargs.get(IN_WORDS, message.text)
    content = message.content if able else words
    return message.model_copy(update={"content": content, "additional_kwargs": kept})


async def _ollama_says(spec: Model) -> bool:
    url = (spec.base_url or ollama_address(os.environ)).rstrip("/")
    if (url, spec.model) not in _known:
        told = await _capabilities(url, spec)
        if told is None:
            return False  # it may be known the next time
        _known[url, spec.model] = "vision" in told
    return _known[url, spec.model]


async def _capabilities(url: str, spec: Model) -> Sequence[str] | None:
    import httpx

    try:
        key = key_of(spec)
        async with httpx.AsyncClient(
            trust_env=not is_near(url), verify=url.startswith("https"), timeout=_LOOK
        ) as client:
            answer = await client.post(
                f"{url}/api/show",
                json={"model": spec.model},
                headers={"authorization": f"Bearer {key}"} if key else {},
            )
            told = answer.raise_for_status().json().get("capabilities")
    except (httpx.HTTPError, MixtureError, ValueError, AttributeError):
        return None
    return told if isinstance(told, list) else None
