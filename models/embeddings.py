"""Texts as vectors, by a model that LangChain can open: for likeness beyond equal words."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from langchain_core.messages import HumanMessage

from mom_council.councils.schema import Model, Price
from mom_council.errors import CapabilityError, MixtureError, ModelUnavailableError
from mom_council.models.clients import LoopResources, loop_resources, open_in_thread
from mom_council.models.context_window import most_prompt_tokens
from mom_council.models.prices import Meter, find_price
from mom_council.models.providers import opening_of
from mom_council.models.request_budget import metered_request
from mom_council.models.resolved import address_of
from mom_council.models.retry import Failure, read_failure, retry_delay
from mom_council.models.spending import Need
from mom_council.vendors import load_code, vendor_of

if TYPE_CHECKING:
    from langchain_core.embeddings import Embeddings

_LONGEST = 8_000
"""Characters of a text that are embedded; models take some thousand tokens."""


async def embed(
    spec: Model, texts: Sequence[str], *, prices: str | None = None
) -> list[list[float]]:
    """The vectors of some texts, in one request, which is tried again as the model's policy says.

    Args:
        spec: an embedding model; its key goes where a chat model's would, and nowhere else.
        texts: what is embedded; an empty one as a blank.
        prices: the file of prices that the council names.

    Raises:
        ModelUnavailableError: the model cannot be opened, failed, or took too long.
        OverBudgetError: a budget has no room for the request.
    """
    inputs = [text[:_LONGEST] or " " for text in texts]
    meter, price = Meter(), (await find_price(spec, prices)).price
    need = embedding_need(inputs, price)
    tries = 0
    try:
        # Importing a provider takes a second, and reads files.
        opened = await open_in_thread(_open, await loop_resources(), spec)
        async with asyncio.timeout(spec.timeout):
            while True:
                tries += 1
                try:
                    async with metered_request(spec, price, meter, need):
                        meter.begin_request()
                        vectors = await opened.aembed_documents(inputs)
                    break
                except MixtureError:
                    raise
                except Exception as error:
                    delay = _delay(error, tries, spec)
                    if delay is None:
                        raise
                    await asyncio.sleep(delay)
    except MixtureError:
        raise
    except TimeoutError:
        raise ModelUnavailableError(
            f"{spec.model!r} gave no vectors within {spec.timeout:g} s"
        ) from None
    except Exception as error:  # every vendor's client has a tree of its own
        raise ModelUnavailableError(
            f"{spec.model!r} gave no vectors: {_failure(error, spec).reason}"
        ) from None
    if len(vectors) != len(inputs):
        raise ModelUnavailableError(f"{spec.model!r} gave {len(vectors)} vectors for {len(inputs)}")
    return vectors


def embedding_need(texts: Sequence[str], price: Price | None) -> Need:
    """What a request for the vectors of some texts may take."""
    return Need(most_prompt_tokens([HumanMessage(text) for text in texts]), 0, 0, price)


def _failure(error: Exception, spec: Model) -> Failure:
    return read_failure(
        error, model=spec.model, provider=spec.provider, where=address_of(spec) or spec.provider
    )


def _delay(error: Exception, tries: int, spec: Model) -> float | None:
    """Seconds until the next try; None where there is none."""
    if isinstance(error, TimeoutError) or tries > spec.retries:
        return None
    failure = _failure(error, spec)
    return retry_delay(tries, failure) if failure.again else None


def cosine(one: Sequence[float], other: Sequence[float]) -> float:
    """How alike two vectors are, 0..1; what points away counts as unlike."""
    both = sum(a * b for a, b in zip(one, other, strict=True))
    length = math.hypot(*one) * math.hypot(*other)
    return min(1.0, max(0.0, both / length)) if length else 0.0


def _open(here: LoopResources, spec: Model) -> Embeddings:
    opens = vendor_of(spec.provider).embeddings
    if opens is None:
        raise CapabilityError(
            f"{spec.provider} has no embedding models", cure="name another provider's"
        )
    opened: Embeddings = load_code(opens)(opening_of(here, spec))
    return opened
