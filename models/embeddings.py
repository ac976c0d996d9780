"""Texts as vectors, by a model that LangChain can open: for likeness beyond equal words."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mom_council.councils.schema import Model
from mom_council.errors import MixtureError, ModelUnavailableError
from mom_council.models.clients import LoopResources, loop_resources
from mom_council.models.providers import load_code
from mom_council.models.registry import opening_of
from mom_council.redaction import redact
from mom_council.vendors import vendor_of

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
    inputs = [text[:_LONGEST] or " " for text in texts]
    try:
        # Importing a provider takes a second, and reads files.
        opened = await asyncio.to_thread(_open, await loop_resources(), spec)
        async with asyncio.timeout(spec.timeout):
            vectors = await opened.aembed_documents(inputs)
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
    if len(vectors) != len(inputs):
        raise ModelUnavailableError(f"{spec.model!r} gave {len(vectors)} vectors for {len(inputs)}")
    return vectors


def cosine(one: Sequence[float], other: Sequence[float]) -> float:
    """How alike two vectors are, 0..1; what points away counts as unlike."""
    both = sum(a * b for a, b in zip(one, other, strict=True))
    length = math.hypot(*one) * math.hypot(*other)
    return min(1.0, max(0.0, both / length)) if length else 0.0


def _open(here: LoopResources, spec: Model) -> Embeddings:
    opened: Embeddings = load_code(vendor_of(spec.provider).embeddings)(opening_of(here, spec))
    return opened
