"""What a limited budget means for the requests of one model: measured, limited, settled.

The one gate of every request. Words, with tools or a schema, are sent by `ModelCall`, which asks a
`RequestBudget`. Everything else that leaves (vectors, pictures, a probe) is one `metered_request`.
"""

from __future__ import annotations

import math
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mom_council.councils.schema import Model, Price
from mom_council.models.clients import LoopResources
from mom_council.models.context_window import (
    BYTES_A_TOKEN,
    most_answer_tokens,
    most_prompt_tokens,
)
from mom_council.models.lanes import answer_bound
from mom_council.models.prices import Meter, charged_account, count_request
from mom_council.models.retry import Failure, read_failure
from mom_council.models.spending import (
    LEAST_ANSWER,
    Account,
    Need,
    Reservation,
    reserve,
)
from mom_council.records import Usage
from mom_council.vendors.profile import ANSWER_BOUNDS

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage

_NAMES_LENGTH = re.compile(r"max_\w*tokens|context (length|window)|maximum context", re.IGNORECASE)
"""How servers say that an answer may not be so long."""


class RequestBudget:
    """One model's requests for one question, as an account allows them.

    Args:
        account: what they are charged to.
        settings: the model's.
        meter: counts what they use.
        price: of the model, where it is known.
        here: the loop's, where windows are remembered.
    """

    def __init__(
        self,
        account: Account,
        settings: Model,
        meter: Meter,
        price: Price | None,
        here: LoopResources,
    ) -> None:
        self._account = account
        self._settings = settings
        self._meter = meter
        self._price = price
        self._here = here
        self.reserved: Usage | None = None
        """What the last request may use, where that is measured."""
        self._longest: int | None = None
        """Tokens of the answer, where nobody but the budget limits it."""
        self._name = ANSWER_BOUNDS[0]

    async def reserve(
        self, messages: Sequence[BaseMessage], params: Mapping[str, Any], *schemas: Any
    ) -> Reservation:
        """What the next request may take at the most.

        Args:
            messages: what is sent.
            params: with what the model is asked, in the council's words.
            schemas: tools and forms of the reply that go along.

        Raises:
            OverBudgetError: there is no room for it.
        """
        most = answer_bound(params) or self._longest
        if most is None:
            most = await most_answer_tokens(self._settings, messages, self._here)
        need = Need(
            most_prompt_tokens(messages, *schemas), most, min(most, LEAST_ANSWER), self._price
        )
        reservation = await reserve(self._account, need)
        self.reserved = reservation.most
        return reservation

    def length_limit(self, reservation: Reservation, params: Mapping[str, Any]) -> dict[str, Any]:
        """The parameter that makes a reservation true; empty where the council's own does."""
        if not reservation.limits_answer or answer_bound(params) == reservation.output:
            return {}
        own = [name for name in ANSWER_BOUNDS if params.get(name)]
        if not own:
            self._longest = reservation.need.most_output
        return {**dict.fromkeys(own), (own[0] if own else self._name): reservation.output}

    def settle(
        self, reservation: Reservation, failure: Failure | None, *, sent: bool, ended: bool
    ) -> None:
        """As `settle` does, with the model's meter."""
        settle(reservation, self._meter, failure, sent=sent, ended=ended)

    def shortens(self, failure: Failure) -> bool:
        """Whether the limit that the budget set was why it failed, and another is tried."""
        longest, other = self._longest, ANSWER_BOUNDS[1]
        if longest is None or failure.status not in (400, 422):
            return False
        if other in failure.reason and self._name != other:
            self._name = other
            return True
        if not _NAMES_LENGTH.search(failure.reason) or longest < 2 * LEAST_ANSWER:
            return False
        self._longest = longest // 2
        return True


@asynccontextmanager
async def metered_request(
    settings: Model, price: Price | None, meter: Meter, need: Need
) -> AsyncIterator[None]:
    """One request that is no conversation: reserved before it leaves, and settled after.

    What its reply does not say of itself is counted as reserved, where anything is limited.

    Args:
        settings: the model's.
        price: of the model, where it is known.
        meter: of the model; the request itself calls `begin_request`, and tells what it used.
        need: what it may take; its price is set here.

    Raises:
        OverBudgetError: there is no room for it.
    """
    account, before, failure = charged_account(), meter.calls, None
    reservation = None
    if account is not None:
        reservation = await reserve(account, replace(need, price=account.price_of(settings, price)))
        meter.price = reservation.need.price
    ended = False
    try:
        yield
        ended = True
    except Exception as error:
        where = settings.base_url or settings.provider
        failure = read_failure(error, model=settings.model, provider=settings.provider, where=where)
        raise
    finally:
        if meter.calls > before:
            meter.take_back_unsent()
        sent = meter.calls > before
        if reservation is not None:
            settle(reservation, meter, failure, sent=sent, ended=ended)
        if sent:
            count_request(meter.request_usage)


def settle(
    reservation: Reservation, meter: Meter, failure: Failure | None, *, sent: bool, ended: bool
) -> None:
    """Replace what was reserved by what it was, or by the most that it can have been.

    A request that was refused outright was not carried out, so nobody bills it. One that broke off
    after some of its answer was, whatever the server then says of itself.

    Args:
        reservation: the request's.
        meter: of the model.
        failure: what went wrong.
        sent: whether it left.
        ended: whether its reply came to an end, whatever that was.
    """
    need = reservation.need
    refused = failure is not None and failure.refused and not meter.heard
    if sent and reservation.measured and not refused:
        # A server may have written more than its request allows.
        output = max(reservation.output, math.ceil(meter.heard / BYTES_A_TOKEN))
        if not ended or failure is not None:
            meter.add_flat(need.flat_usd)
            meter.estimate(need.input_tokens, output)
        elif meter.lacks_counts:
            meter.estimate(need.input_tokens, output)
    reservation.settle(meter.request_usage if sent else None)
