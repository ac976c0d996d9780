"""Having a picture drawn, as the painter's node does: one call of `paint`, whatever happens.

What `speaking` is for words this is for pictures, with the same policy: a time limit, retries that
nobody else makes, breakers, fallbacks, turns in a lane. A picture that a filter declined is not
asked of another.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace

from langchain_core.messages import HumanMessage
from pydantic import TypeAdapter

from mom_council.councils.schema import Model, Price
from mom_council.errors import (
    CapabilityError,
    MixtureError,
    ModelUnavailableError,
    OverBudgetError,
)
from mom_council.models.clients import LoopResources, loop_resources
from mom_council.models.context_window import most_prompt_tokens
from mom_council.models.images import PictureError, check_png
from mom_council.models.journal import CallRecord
from mom_council.models.lanes import open_lane
from mom_council.models.model_call import CallLog
from mom_council.models.prices import Meter, count_earlier, find_price
from mom_council.models.providers import Drawing, DrawnPicture, ImageOrder, check, opening_of
from mom_council.models.request_budget import metered_request
from mom_council.models.resolved import ResolvedModel, address_of
from mom_council.models.retry import Failure, breaker_of, read_failure, retry_delay
from mom_council.models.spending import Need
from mom_council.records import Attempt, Usage
from mom_council.vendors import VENDORS, Vendor, load_code, vendor_of

_PICTURE_TOKENS = 8_192
"""Tokens that a picture takes at the most where a vendor counts them: 6,240 for the largest."""


class DeclinedError(ModelUnavailableError):
    """A filter declined to draw the picture."""


@dataclass(frozen=True, slots=True)
class Painting:
    """A picture, and how it came about."""

    content: bytes
    """A PNG file."""
    model: str
    """The key of the model that drew it: the one that was asked, or a fallback."""
    seed: int | None
    """None where the server chose, and did not say."""
    usage: Usage
    attempts: tuple[Attempt, ...]
    declined: bool = False
    """Whether a filter withheld it."""


_PAINTING = TypeAdapter(Painting)


async def paint(
    model: ResolvedModel,
    order: ImageOrder,
    *,
    on_step: Callable[[int, int], None],
    record: CallRecord | None = None,
) -> Painting:
    """Ask a model for a picture, then its fallbacks in order.

    Args:
        model: who is asked, from `resolve_model`.
        order: what is to be drawn.
        on_step: is called with the step that is done, and of how many.
        record: where the call is written down; what an earlier run wrote there is not drawn again.

    Raises:
        DeclinedError: a filter said no.
        ModelUnavailableError: every try at every model failed.
        ProviderNotInstalledError: no model of the chain can be opened here.
        CouncilError: none can be opened as it is written.
    """
    record = record or CallRecord()
    if record.result is not None:
        return await _replay(_PAINTING.validate_python(record.result))
    count_earlier(record.spent)
    here = await loop_resources()
    log = CallLog([*record.attempts], spent=record.spent)
    for one in model.chain:
        lane = open_lane(here.lanes, one.lane)
        price = (await find_price(one.settings, model.prices)).price
        call = _PictureCall(here, one, order, on_step, log, Meter(price), price, record)
        async with lane.turn(one.instance) if lane else nullcontext():
            painting = await call.run()
        if painting is not None:
            return painting
    raise log.error(model.key)


async def _replay(painting: Painting) -> Painting:
    """A picture that came in an earlier run, as if it came now; it is paid already."""
    count_earlier(painting.usage)
    if painting.declined:
        raise _declined(painting)
    return replace(painting, content=await asyncio.to_thread(check_png, painting.content))


def _declined(painting: Painting) -> DeclinedError:
    words = f"the filter of {painting.model!r} declined to draw this"
    return DeclinedError(words, painting.attempts, painting.usage)


@dataclass(slots=True)
class _PictureCall:
    """One model's tries at one picture."""

    here: LoopResources
    model: ResolvedModel
    order: ImageOrder
    on_step: Callable[[int, int], None]
    log: CallLog
    meter: Meter
    price: Price | None
    record: CallRecord

    async def run(self) -> Painting | None:
        """Ask as often as the model's policy allows; None when it gives no picture.

        Raises:
            DeclinedError: a filter said no.
        """
        now, settings = asyncio.get_running_loop().time, self.model.settings
        breaker = breaker_of(self.here.breakers, settings)
        if refusal := breaker.refusal(settings, now()):
            self.log.not_asked(self.model.key, refusal)
            return None
        first = now()
        deadline, tries = first + settings.timeout, 0
        while True:
            began = now()
            try:
                painting, failure = await self._try(settings, deadline)
            except OverBudgetError as error:
                self.log.over_budget(self.model.key, error)
                self.log.charge(self.meter, now() - first)
                return None
            except MixtureError as error:
                self.log.not_opened(self.model.key, error)
                self.log.charge(self.meter, now() - first)
                return None
            self.log.tried(self.model.key, failure, now() - began)
            tries += 1
            if painting is not None:
                breaker.note(None, settings, now())
                if painting.declined:
                    raise _declined(painting)
                return painting
            assert failure is not None  # noqa: S101 - one of the two is there
            again = failure.again and tries <= settings.retries
            delay = retry_delay(tries, failure) if again else None
            if delay is None or now() + delay >= deadline:
                breaker.note(failure, settings, now())
                self.log.charge(self.meter, now() - first)
                return None
            await asyncio.sleep(delay)

    async def _try(
        self, settings: Model, deadline: float
    ) -> tuple[Painting | None, Failure | None]:
        limit, now = asyncio.timeout_at(deadline), asyncio.get_running_loop().time
        began = now()
        try:
            async with limit:
                drawn = await self._drawn(settings)
                painting = self._painting(drawn, now() - began)
                # Before anybody looks at it: from here on it is paid once and for all.
                await self.record.finish(_PAINTING.dump_python(painting))
            if painting.declined:
                return painting, None
            content = await asyncio.to_thread(check_png, painting.content)
            return replace(painting, content=content), None
        except PictureError as error:
            return None, Failure(str(error))
        except MixtureError:
            raise
        except Exception as error:
            if limit.expired():
                return None, Failure(f"no picture in {settings.timeout:g} s", late=True)
            return None, read_failure(
                error,
                model=settings.model,
                provider=settings.provider,
                where=address_of(settings),
            )

    async def _drawn(self, spec: Model) -> DrawnPicture:
        check(spec)
        vendor = vendor_of(spec.provider)
        if vendor.pictures is None:
            able = " or ".join(repr(one.name) for one in VENDORS.values() if one.draws)
            raise CapabilityError(
                f"{spec.provider!r} makes no pictures",
                cure=f"a painter's provider is {able} ('openai': any server with "
                "/v1/images/generations)",
            )
        draw = await asyncio.to_thread(load_code, vendor.pictures)
        drawing = Drawing(opening_of(self.here, spec), self.order, self.meter, self.on_step)
        async with metered_request(spec, self.price, self.meter, self._need(vendor)):
            spent = self.log.spent + self.meter.usage(0.0)
            await self.record.begin(self.model.key, (), self.log.attempts, spent)
            self.meter.begin_request()
            drawn: DrawnPicture = await draw(drawing)
            if self.price is not None and self.price.picture and not drawn.filtered:
                self.meter.add_flat(self.price.picture)
        return drawn

    def _need(self, vendor: Vendor) -> Need:
        """What one picture may take: a flat price, or so many tokens that drawing them takes."""
        prompt = most_prompt_tokens([HumanMessage(f"{self.order.prompt} {self.order.negative}")])
        flat = (self.price and self.price.picture) or 0.0
        tokens = 0 if vendor.free or flat else _PICTURE_TOKENS
        return Need(prompt, tokens, tokens, self.price, flat_usd=flat)

    def _painting(self, drawn: DrawnPicture, seconds: float) -> Painting:
        """The picture as it came."""
        key, log = self.model.key, self.log
        return Painting(
            drawn.content,
            key,
            drawn.seed,
            log.spent + self.meter.usage(seconds),
            (*log.attempts, Attempt(model=key, seconds=seconds)),
            drawn.filtered,
        )
