"""Having a picture drawn, as the painter's node does: one call of `paint`, whatever happens.

What `speaking` is for words this is for pictures, with the same policy: a time limit, retries that
nobody else makes, breakers, fallbacks, turns in a lane. A picture that a filter declined is not
asked of another.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field

from mom_council.councils.schema import Council, Model
from mom_council.errors import (
    CapabilityError,
    MixtureError,
    ModelUnavailableError,
)
from mom_council.models.clients import LoopResources, loop_resources
from mom_council.models.images import PictureError, check_png
from mom_council.models.lanes import lane_of
from mom_council.models.prices import price_of, prices_of
from mom_council.models.providers import Drawing, Drawn, ImageOrder, code
from mom_council.models.registry import check, opening_of
from mom_council.models.retry import Failure, breaker_of, read_failure, retry_delay
from mom_council.models.speaking import chain
from mom_council.models.usage import Meter
from mom_council.models.voices import instance_of
from mom_council.records import Attempt, Usage
from mom_council.redaction import redact
from mom_council.vendors import VENDORS, vendor_of


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


async def paint(
    council: Council, key: str, order: ImageOrder, *, on_step: Callable[[int, int], None]
) -> Painting:
    """Ask the model `key` for a picture, then its fallbacks in order.

    Raises:
        DeclinedError: a filter said no.
        ModelUnavailableError: every try at every model failed.
        ProviderNotInstalledError: no model of the chain can be opened here.
        CouncilError: none can be opened as it is written.
    """
    here = await loop_resources()
    prices = await prices_of(council)
    easel = _Easel(order, on_step)
    for name in chain(council, key):
        spec = council.models[name]
        lane = lane_of(here.lanes, council, name)
        turn = lane and lane.turn(instance_of(spec))
        async with turn or nullcontext():
            painting = await easel.ask(here, name, spec, Meter(price_of(spec, prices)))
        if painting is not None:
            return painting
    raise easel.in_vain(key)


@dataclass(slots=True)
class _Easel:
    """One order on its way through a chain of models."""

    order: ImageOrder
    on_step: Callable[[int, int], None]
    attempts: list[Attempt] = field(default_factory=list)
    missing: list[MixtureError] = field(default_factory=list)
    spent: Usage = field(default_factory=Usage)

    async def ask(
        self, here: LoopResources, name: str, spec: Model, meter: Meter
    ) -> Painting | None:
        """Ask one model, as often as its policy allows; None when it gives no picture."""
        now = asyncio.get_running_loop().time
        breaker = breaker_of(here.breakers, spec)
        if shut := breaker.refusal(spec, now()):
            self.attempts.append(Attempt(model=name, error=shut))
            return None
        first = now()
        deadline, tries = first + spec.timeout, 0
        while True:
            began, drawn = now(), None
            try:
                drawn, failure = await self._try(here, spec, meter, deadline)
            except MixtureError as error:
                self.attempts.append(Attempt(model=name, error=redact(str(error))))
                self.missing.append(error)
                self.spent += meter.usage(now() - first)
                return None
            self.attempts.append(
                Attempt(
                    model=name,
                    error=failure and failure.reason,
                    status=failure and failure.status,
                    timed_out=failure is not None and failure.late,
                    seconds=now() - began,
                )
            )
            tries += 1
            if drawn is not None or failure is None:
                breaker.note(None, spec, now())
                self.spent += meter.usage(now() - first)
                return self._painting(name, drawn)
            wait = retry_delay(tries, failure) if failure.again and tries <= spec.retries else None
            if wait is None or now() + wait >= deadline:
                breaker.note(failure, spec, now())
                self.spent += meter.usage(now() - first)
                return None
            await asyncio.sleep(wait)

    async def _try(
        self, here: LoopResources, spec: Model, meter: Meter, deadline: float
    ) -> tuple[Drawn | None, Failure | None]:
        limit = asyncio.timeout_at(deadline)
        try:
            async with limit:
                drawn = await self._drawn(here, spec, meter)
            if drawn.filtered:
                return drawn, None
            picture = await asyncio.to_thread(check_png, drawn.content)
            return drawn._replace(content=picture), None
        except PictureError as error:
            return None, Failure(str(error))
        except MixtureError:
            raise
        except Exception as error:
            if limit.expired():
                return None, Failure(f"no picture in {spec.timeout:g} s", late=True)
            where = spec.base_url or vendor_of(spec.provider).base_url or spec.provider
            return None, read_failure(error, model=spec.model, provider=spec.provider, where=where)

    async def _drawn(self, here: LoopResources, spec: Model, meter: Meter) -> Drawn:
        check(spec)
        vendor = vendor_of(spec.provider)
        if vendor.pictures is None:
            able = " or ".join(repr(one.name) for one in VENDORS.values() if one.draws)
            raise CapabilityError(
                f"{spec.provider!r} makes no pictures",
                cure=f"a painter's provider is {able} ('openai': any server with "
                "/v1/images/generations)",
            )
        draw = await asyncio.to_thread(code, vendor.pictures)
        drawing = Drawing(opening_of(here, spec), self.order, meter, self.on_step)
        meter.calls += 1
        drawn: Drawn = await draw(drawing)
        return drawn

    def _painting(self, name: str, drawn: Drawn | None) -> Painting:
        if drawn is None or drawn.filtered:
            raise DeclinedError(
                f"the filter of {name!r} declined to draw this", self.attempts, self.spent
            )
        return Painting(drawn.content, name, drawn.seed, self.spent, tuple(self.attempts))

    def in_vain(self, key: str) -> MixtureError:
        """The error that says what became of every model of the chain."""
        if self.missing and len(self.missing) == len(self.attempts):
            return self.missing[0]
        told = "; ".join(f"{one.model!r}: {one.error}" for one in self.attempts)
        return ModelUnavailableError(
            f"model {key!r} drew nothing: {told}", self.attempts, self.spent
        )
