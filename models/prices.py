"""What models cost: as the council says, by a table of the user's own, or by genai-prices.

The council's `prices` names the table's file; else it is `prices.yaml` in the configuration folder,
where there is one::

    openai:                             # a provider: its own address only
      some-model: {input: 0.15, output: 0.6}
      "some-model-*": {input: 0.2, output: 0.8}
    "https://openrouter.ai/api/v1":     # any other address
      "*": {input: 1, output: 2}

Dollars per million tokens. A model's own `price` counts before the table, a whole name before
a pattern, and of patterns the first. What is in neither is looked up in the data of the package
genai-prices, by the address of the request, which must be the vendor's own: elsewhere the same name
may cost something else. A price that is not known is unknown, which is not 0.

The data of genai-prices come with the installed package and have no date of their own, so its
version says how old they are; they are never fetched. The import takes a quarter of a second of
work, so it happens in a thread, and only for a model that needs it.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import TypeAdapter

from mom_council.councils.models import Section
from mom_council.councils.schema import Council, Model, Price
from mom_council.councils.yaml import read_settings
from mom_council.errors import CouncilError, StorageError
from mom_council.models.resolved import with_address
from mom_council.paths import CONFIG_VARIABLE, config_dir
from mom_council.records import NO_USAGE, Usage
from mom_council.redaction import quote
from mom_council.vendors import vendor_of

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, ModelPrice

    from mom_council.models.spending import Account


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
    prices = [price for price in both if price is not None]
    return max(prices, key=lambda price: price.input + price.output, default=None)


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


NAME = "prices.yaml"
GOOD_FOR = 10.0
"""Seconds for which a file is not looked at again."""

Prices = Mapping[str, Mapping[str, Price]]

_SHAPE = TypeAdapter(dict[str, dict[str, Price]])
_read: dict[tuple[str | None, ...], tuple[float, Prices]] = {}
"""Tables by what says where they are, with the time at which they were read."""


class FoundPrice(NamedTuple):
    """What a model costs, and who says so."""

    price: Price | None
    """None: nobody knows."""
    source: str = ""
    """`the council`, the table's file, or the list with its version."""

    def in_words(self) -> str:
        """Both, for people: `$2.5 in, $15 out per million tokens (genai-prices 0.2.3)`."""
        return "not known" if self.price is None else f"{self.price.in_words()} ({self.source})"

    def as_object(self) -> dict[str, Any]:
        """Both, for programs; `input` and `output` are dollars per million tokens."""
        price = {} if self.price is None else self.price.model_dump(exclude_defaults=True)
        return {**price, "source": self.source or None}


async def find_price(
    spec: Model, file: str | None, params: Mapping[str, Any] | None = None
) -> FoundPrice:
    """What a model costs: by the council, else by the table, else by genai-prices.

    Args:
        spec: the model.
        file: the file of prices that the council names; None: the usual one.
        params: of the request, where they stand above the model's.

    Raises:
        CouncilError: the table cannot be read.
    """
    if spec.price is not None:
        return FoundPrice(spec.price, "the council")
    written = price_of(spec, await prices_of(file))
    if written is not None:
        return FoundPrice(written, file or NAME)
    vendor = vendor_of(spec.provider)
    if vendor.base_url is None or not vendor.bills(spec.model):
        return FoundPrice(None)

    if not has_home_address(spec):
        return FoundPrice(None)
    listed = await asyncio.to_thread(list_price, spec, params or {})
    return FoundPrice(None) if listed is None else FoundPrice(listed, list_name())


async def prices_of(file: str | None) -> Prices:
    """The table in the file that a council names, else the usual one; read off the event loop.

    Raises:
        CouncilError: there is no such file, or it is no such table.
    """
    key = (file, os.environ.get(CONFIG_VARIABLE), os.environ.get("XDG_CONFIG_HOME"))
    entry = _read.get(key)
    if entry is None or time.monotonic() - entry[0] > GOOD_FOR:
        table = await asyncio.to_thread(read_table, file)
        entry = _read[key] = (time.monotonic(), table)
    return entry[1]


def price_of(spec: Model, prices: Prices) -> Price | None:
    """What a voice costs by the council or the table; None where neither says."""
    if spec.price is not None:
        return spec.price
    home = vendor_of(spec.provider).is_at_home(spec.base_url)
    models = prices.get(spec.provider if home else str(spec.base_url).rstrip("/"), {})
    if exact := models.get(spec.model):
        return exact
    return next((price for name, price in models.items() if fnmatchcase(spec.model, name)), None)


def read_prices(path: Path) -> Prices:
    """Read a table.

    Raises:
        CouncilError: it cannot be read, or holds something else; each line names a place.
    """
    table = read_settings(
        path, _SHAPE, "providers or addresses to models and their prices", Council
    )
    return {whose.rstrip("/"): models for whose, models in table.items()}


def read_table(file: str | None) -> Prices:
    """The table in the file that a council names, else the usual one, read anew.

    Raises:
        CouncilError: there is no such file, or it is no such table.
    """
    if file is not None:
        path = Path(os.path.expanduser(file))  # noqa: PTH111  (Path's raises without a home)
        if not path.exists():
            raise CouncilError(f"{quote(file)}: there is no such file; `prices` names it")
        try:
            return read_prices(path)
        except CouncilError:
            # The council may be a stranger's, and the file any file of this machine: no quotes.
            raise CouncilError(
                f"{quote(file)}: is no table of prices that can be read",
                cure="each entry is `provider: {model: {input: 0.15, output: 0.6}}`",
            ) from None
    try:
        usual = config_dir() / NAME
    except StorageError:
        return {}  # nobody's home
    return read_prices(usual) if usual.exists() else {}


MILLION = 1_000_000
_MOST_TOKENS = 1_000_000_000
"""Of one request: who tells more does not count tokens."""
FREE = Price(input=0, output=0)
"""What a model costs that sends no bill."""


class Departure:
    """Whether a request has left this machine, as far as its connection says."""

    __slots__ = ("has_left", "is_watched")

    def __init__(self) -> None:
        self.is_watched = False
        """Whether it goes through a connection that would say so."""
        self.has_left = False


_departure: ContextVar[Departure | None] = ContextVar("departure", default=None)


def current_departure() -> Departure | None:
    """Of the request that is being made here; None where nobody counts it."""
    return _departure.get()


class Meter:
    """Counts one model's calls. A number that nobody told stays None, which is not 0."""

    def __init__(self, price: Price | None = None) -> None:
        self.price = price
        self.calls = 0
        self.estimated = False
        """Whether a part was not told, and the most that it can be counts."""
        self._flat = 0.0
        self._request_flat = 0.0
        self.input_tokens: int | None = None
        self.output_tokens: int | None = None
        self.heard = 0
        """Characters of the last request's answer, thoughts and calls of tools included."""
        self._request = (0, 0)
        self._departure = Departure()
        self._earlier: list[tuple[int, int]] = []
        """Tokens of the requests before; what one costs can depend on how many it reads."""

    @property
    def request_input_tokens(self) -> int | None:
        """Tokens that the last request's server read; None where it did not tell."""
        return self._request[0] or None

    @property
    def lacks_counts(self) -> bool:
        """Whether the last request's server did not tell what it read, or what it wrote."""
        read, written = self._request
        return not read or (not written and self.heard > 0)

    def begin_request(self) -> None:
        """Count one more request; what is read from now on belongs to it."""
        self.calls += 1
        self._earlier.append(self._request)
        self._request, self._request_flat, self.heard = (0, 0), 0.0, 0
        self._departure = Departure()
        _departure.set(self._departure)

    def take_back_unsent(self) -> None:
        """Count the last request no more if its connection says that it never left."""
        if self._departure.is_watched and not self._departure.has_left:
            self._departure = Departure()
            self.calls -= 1
            self._request = self._earlier.pop()

    def read(self, counts: Mapping[str, Any] | None) -> None:
        """Take in a chunk's `usage_metadata`.

        A request's chunks carry parts that add up: what was read comes once. Some servers tell with
        every chunk how much it is so far; then what was read comes again, and the last one counts.
        Thoughts that stand in the sum alone (xAI, Gemini) were written and are billed. Counts that
        cannot be are not told.
        """
        names = ("input_tokens", "output_tokens", "total_tokens")
        numbers = [(counts or {}).get(name) or 0 for name in names]
        if not all(isinstance(one, int | float) and 0 <= one <= _MOST_TOKENS for one in numbers):
            return
        read, written, both = map(int, numbers)
        written = max(written, both - read)
        if not (read or written):
            return
        read_before, written_before = self._request
        if read and read_before:
            self._request = max(read, read_before), max(written, written_before)
        else:
            self._request = read + read_before, written + written_before
        read_now, written_now = self._request
        self.input_tokens = (self.input_tokens or 0) + read_now - read_before
        self.output_tokens = (self.output_tokens or 0) + written_now - written_before

    def add_flat(self, usd: float) -> None:
        """Add dollars that the last request cost beside its tokens: those of a picture."""
        self._flat += usd
        self._request_flat += usd

    def estimate(self, input_tokens: int, output_tokens: int) -> None:
        """Count the most that the last request can have used, where nobody told how much it was."""
        read, written = self._request
        self._request = max(read, input_tokens), max(written, output_tokens)
        self.input_tokens = (self.input_tokens or 0) + self._request[0] - read
        self.output_tokens = (self.output_tokens or 0) + self._request[1] - written
        self.estimated = True

    @property
    def request_usage(self) -> Usage:
        """What the last request used, as far as that was told; its seconds are left out."""
        if self._request == (0, 0):
            return Usage(calls=1, usd=self._request_flat or None)
        read, written = self._request
        usd = None
        if self.price is not None:
            usd = self.price.usd_of(read, written) + self._request_flat
        return Usage(
            calls=1,
            input_tokens=read,
            output_tokens=written,
            usd=usd,
            estimated=self.estimated,
        )

    @property
    def tokens(self) -> int:
        """Tokens told so far, read and written."""
        return (self.input_tokens or 0) + (self.output_tokens or 0)

    @property
    def usd(self) -> float | None:
        """Dollars, or None where the price or the tokens are not known."""
        if self.price is None or self.input_tokens is None or self.output_tokens is None:
            return self._flat or None
        requests = (*self._earlier, self._request)
        return sum(self.price.usd_of(*request) for request in requests) + self._flat

    def usage(self, seconds: float) -> Usage:
        """What has been counted so far, over so many seconds of wall time."""
        return Usage(
            calls=self.calls,
            input_tokens=self.input_tokens,
            output_tokens=self.output_tokens,
            usd=self.usd,
            seconds=max(seconds, 0.0),
            estimated=self.estimated,
        )


_counted: ContextVar[list[Usage] | None] = ContextVar("counted", default=None)


def begin_count() -> None:
    """Count the requests of this task, so that one whose caller gave it up counts too."""
    _counted.set([])


def count_request(usage: Usage) -> None:
    """Take down what one request used."""
    counted = _counted.get()
    if counted is not None:
        counted.append(usage)


def take_counted() -> Usage:
    """What the requests used that were made since this was last asked."""
    counted = _counted.get() or []
    usage = sum(counted, NO_USAGE)
    counted.clear()
    return usage


def drop_counted() -> None:
    """Forget them: they are charged elsewhere."""
    if counted := _counted.get():
        counted.clear()


_charged: ContextVar[Account | None] = ContextVar("charged", default=None)


def charged_account() -> Account | None:
    """The account of the calls that are made here; None: nothing is limited."""
    return _charged.get()


def begin_charging(account: Account | None) -> None:
    """Charge the calls of this task to an account; None: to nobody's."""
    _charged.set(account)


@contextmanager
def charge_to(account: Account | None) -> Iterator[None]:
    """Charge the calls within to an account; None leaves it as it is."""
    if account is None:
        yield
        return
    token = _charged.set(account)
    try:
        yield
    finally:
        _charged.reset(token)


def count_earlier(usage: Usage) -> None:
    """Count what an earlier run of the question spent on the call that is now made or replayed."""
    if not usage.calls:
        return
    count_request(usage)
    account = charged_account()
    if account is not None:
        account.charge_usage(usage)
