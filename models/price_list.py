"""Prices from the package genai-prices, for models that neither the council nor a table prices.

Its data come with the installed package and have no date of their own, so its version says how old
they are. They are never fetched anew over the network. Importing it takes a quarter of a second of
work, so `models.prices` does that in a thread, and only for a model that needs it.

A model is looked up by the address that it is asked at, which has to be its vendor's own: what the
same name costs elsewhere is not known.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from mom_council.councils.models import Section
from mom_council.councils.schema import Model, Price
from mom_council.errors import CouncilError
from mom_council.models.resolved import with_address
from mom_council.vendors import vendor_of

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, ModelPrice

_WAYS = ("service_tier", "speed")
"""Parameters of a request on which its price depends, by their names in the package's data."""
_OTHER_BILLS = {"requests_kcount", "output_audio_mtok", "output_image_mtok", "output_video_mtok"}
"""What the dollars of words alone would leave out."""
_LONGEST_CALL = timedelta(hours=1)
"""A call that begins now may end in an hour that costs more; the dearer one counts."""


class PriceTier(Section):
    """What all tokens of a request cost that reads more than so many; dollars per million."""

    above: int
    input: float
    output: float


class ListPrice(Price):
    """A price that may depend on how many tokens a request reads."""

    tiers: tuple[PriceTier, ...] = ()
    """By rising `above`; the last that is passed holds for the whole request."""

    def usd_of(self, input_tokens: int, output_tokens: int) -> float:
        """As `Price.usd_of`, by the tier that the input reaches."""
        passed = [tier for tier in self.tiers if input_tokens > tier.above]
        if not passed:
            return super().usd_of(input_tokens, output_tokens)
        tier = passed[-1]
        return Price(input=tier.input, output=tier.output).usd_of(input_tokens, output_tokens)

    def in_words(self) -> str:
        """As `Price.in_words`, with the tiers."""
        tiers = (
            f"; ${tier.input:g} and ${tier.output:g} where a request has over {tier.above:,} in"
            for tier in self.tiers
        )
        return "".join([super().in_words(), *tiers])

    def worst_of(self, input_tokens: int) -> Price:
        """As `Price.worst_of`: the dearest of the tiers that so much input can reach."""
        reached = [tier for tier in self.tiers if input_tokens > tier.above]
        return Price(
            input=max([self.input, *(tier.input for tier in reached)]),
            output=max([self.output, *(tier.output for tier in reached)]),
        )


def list_name() -> str:
    """The name of the list with its version, as it is said beside a price: `genai-prices 0.2.3`."""
    return f"genai-prices {version('genai-prices')}"


def has_home_address(spec: Model) -> bool:
    """Whether a model is asked at its vendor's own address, with `OPENAI_BASE_URL` and the like."""
    vendor = vendor_of(spec.provider)
    if spec.chat_model is not None or vendor.base_url is None or not vendor.bills(spec.model):
        return False
    try:
        return vendor.is_at_home(with_address(spec).base_url)
    except CouncilError:
        return False  # the variable holds no address: the question is refused for it elsewhere


def list_price(spec: Model, params: Mapping[str, Any]) -> ListPrice | None:
    """What a model costs now by the package's list; None: the list does not say.

    Args:
        spec: the model; it is asked at its vendor's own address.
        params: those of one request, which stand above the model's.
    """
    info = _find_model(str(vendor_of(spec.provider).base_url), spec.model)
    if info is None:
        return None
    merged = {**spec.params, **params}
    context = {name: merged[name] for name in _WAYS if isinstance(merged.get(name), str)}
    now = datetime.now(UTC)
    both = [
        _to_price(info.get_prices(when, context or None), info.id)
        for when in (now, now + _LONGEST_CALL)
    ]
    known = [price for price in both if price is not None]
    return max(known, key=lambda price: price.input + price.output, default=None)


@cache
def _find_model(address: str, model: str) -> ModelInfo | None:
    from genai_prices.data_snapshot import get_snapshot

    try:
        return get_snapshot().find_provider_model(model, None, None, address)[1]
    except LookupError:
        return None


def _to_price(entry: ModelPrice, name: str) -> ListPrice | None:
    """The price of words; None where words are not all that is billed, or the list is not whole."""
    entries = {key: value for key, value in vars(entry).items() if value is not None}
    read, written = entries.get("input_mtok"), entries.get("output_mtok")
    if read is None or _OTHER_BILLS & entries.keys() or (written is None and "embed" not in name):
        return None
    starts = {tier.start for value in (read, written) for tier in getattr(value, "tiers", ())}
    return ListPrice(
        input=_rate(read, 0),
        output=_rate(written, 0),
        tiers=tuple(
            PriceTier(above=start, input=_rate(read, start + 1), output=_rate(written, start + 1))
            for start in sorted(starts)
        ),
    )


def _rate(value: Any, input_tokens: int) -> float:
    """Dollars per million tokens where a request reads so many."""
    if value is None:
        return 0.0
    rate = getattr(value, "base", value)
    for tier in getattr(value, "tiers", ()):
        if input_tokens > tier.start:
            rate = tier.price
    return float(rate)
