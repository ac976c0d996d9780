"""Texts as vectors, by a model that LangChain can open: for likeness beyond equal words."""

from __future__ import annotations

import asyncio
import math
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mom_council.councils.schema import Model
from mom_council.errors import MixtureError, ModelUnavailableError
from mom_council.models.clients import LoopResources, loop_resources
from mom_council.models.registry import is_at_home, key_of, provider_of
from mom_council.redaction import redact

if TYPE_CHECKING:
    from langchain_core.embeddings import Embeddings

_LONGEST = 8_000
"""Characters of a text that are embedded; models take some thousand tokens."""


async def embed(spec: Model, texts: Sequence[str]) -> list[list[float]]:
    """The vectors of some texts, in one request.

    Args:
        spec: an embedding model; its key goes where a chat model's would, and nowhere else.
        texts: what is embedded; an empty one as a blank.

    Raises:
        ModelUnavailableError: the model cannot be opened, failed, or took too long.
    """
    given = [text[:_LONGEST] or " " for text in texts]
    try:
        # Importing a provider takes a second, and reads files.
        opened = await asyncio.to_thread(_open, await loop_resources(), spec)
        async with asyncio.timeout(spec.timeout):
            vectors = await opened.aembed_documents(given)
    except MixtureError:
        raise
    except TimeoutError:
        raise ModelUnavailableError(
            f"{spec.model!r} gave no vectors within {spec.timeout:g} s"
        ) from None
    except Exception as error:  # every vendor's client has a tree of its own
        raise ModelUnavailableError(
            f"{spec.model!r} gave no vectors: {redact(' '.join(str(error).split()))[:300]}"
        ) from None
    if len(vectors) != len(given):
        raise ModelUnavailableError(f"{spec.model!r} gave {len(vectors)} vectors for {len(given)}")
    return vectors


def cosine(one: Sequence[float], other: Sequence[float]) -> float:
    """How alike two vectors are, 0..1; what points away counts as unlike."""
    both = sum(a * b for a, b in zip(one, other, strict=True))
    length = math.hypot(*one) * math.hypot(*other)
    return min(1.0, max(0.0, both / length)) if length else 0.0


def _open(here: LoopResources, spec: Model) -> Embeddings:
    from langchain.embeddings import init_embeddings

    params: dict[str, Any] = {**spec.params}
    if spec.provider == "openai":
        import httpx2

        home = str(provider_of(spec).home)
        # Other servers want words, not the token numbers of OpenAI's own models.
        params |= {
            "base_url": spec.base_url or home,
            "api_key": key_of(spec) or "none",
            "max_retries": spec.retries,
            "check_embedding_ctx_length": is_at_home(spec, provider_of(spec)),
            # The room's client, which is closed with the loop; nobody calls the blocking one.
            "http_async_client": here.sdk,
            "http_client": httpx2.Client(transport=httpx2.BaseTransport()),
        }
    elif spec.provider == "ollama":
        import httpx

        from mom_council.models.transport import AiohttpTransport

        key = key_of(spec)
        # Ollama's client would send this variable's key to any host that it is pointed at.
        stray = os.environ.get("OLLAMA_API_KEY")
        withheld = f"Bearer {stray}" if stray and not key else None
        params |= {
            "base_url": spec.base_url,
            "client_kwargs": {"headers": {"authorization": f"Bearer {key}"}} if key else {},
            "async_client_kwargs": {
                "transport": AiohttpTransport(here.sessions, withhold=withheld)
            },
            "sync_client_kwargs": {"transport": httpx.BaseTransport()},
        }
    elif spec.base_url is not None:
        params["base_url"] = spec.base_url
    if spec.provider not in ("openai", "ollama") and (key := key_of(spec)) is not None:
        params["api_key"] = key
    return init_embeddings(spec.model, provider=spec.provider, **params)
