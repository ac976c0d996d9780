"""Spending limits: what a request may cost is reserved before it leaves, and settled after.

Every request to a model passes `reserve`: words, tools, ballots, vectors, pictures, probes, and
each further try. An `Account` holds a limit (of one question, of a batch, of a server's day) and
what was spent on it; what is reserved counts as spent until the reply says what it really was. So
however calls overlap, a limit is never exceeded, as long as a server keeps to the length that its
request allows.

A request that does not fit now, but would if the calls under way cost less than they may, waits for
them. One that cannot fit any more is refused with `OverBudgetError`, and nothing is sent.

Whose account a call is charged to stands in a context variable (`prices.charge_to`), which tasks
that are started within inherit. Without an account nothing is measured and nothing changes.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple, Protocol

from mom_council.councils.schema import Model, Price
from mom_council.errors import OverBudgetError
from mom_council.models.prices import FREE, MILLION
from mom_council.records import Usage
from mom_council.vendors import vendor_of

LEAST_CALLS = 2
"""A proposal and the answer: a question that may make fewer is not begun."""
LEAST_ANSWER = 64
"""Tokens below which an answer is not worth asking for."""
_STEPS = ((2048, 512), (256, 64), (0, 16))
"""Answers longer than the first are limited to multiples of the second, because each limit is a
model that is opened anew."""
_ROUNDING = 1e-9
"""Share of a limit of dollars that sums of floating point numbers may miss."""


class Amount(NamedTuple):
    """What may be spent, or was."""

    calls: int = 0
    tokens: int = 0
    usd: float = 0.0

    def plus(self, other: Amount) -> Amount:
        """Both together."""
        return Amount(self.calls + other.calls, self.tokens + other.tokens, self.usd + other.usd)

    def minus(self, other: Amount) -> Amount:
        """What is left without the other."""
        return Amount(self.calls - other.calls, self.tokens - other.tokens, self.usd - other.usd)


NOTHING = Amount()


@dataclass(frozen=True, slots=True)
class SpendingLimits:
    """What may be spent at the most; None is no limit."""

    calls: int | None = None
    tokens: int | None = None
    usd: float | None = None
    seconds: float | None = None
    """Of wall time, from the opening of the account."""

    @property
    def are_set(self) -> bool:
        """Whether anything is limited."""
        return any(one is not None for one in (self.calls, self.tokens, self.usd, self.seconds))

    def in_words(self) -> str:
        """The limits, for messages."""
        parts = (
            (self.calls, "{:d} calls"),
            (self.tokens, "{:d} tokens"),
            (self.usd, "${:g}"),
            (self.seconds, "{:g} seconds"),
        )
        return " or ".join(words.format(limit) for limit, words in parts if limit is not None)


@dataclass(frozen=True, slots=True)
class Need:
    """What one request may take."""

    input_tokens: int
    """At the most."""
    most_output: int
    """Tokens of the answer that are wished for."""
    least_output: int
    """Tokens below which the request is not worth sending."""
    price: Price | None
    """None: not known, which a limit of dollars refuses."""
    fixed: bool = False
    """Whether the answer's length cannot be limited: then all of `most_output` is reserved."""
    flat_usd: float = 0.0
    """Dollars beside the tokens: of a picture, say."""

    @property
    def worst_price(self) -> Price:
        """The dearest that its input can reach, where the price depends on that."""
        return (self.price or FREE).worst_of(self.input_tokens)

    def amount(self, output: int) -> Amount:
        """What a request with so long an answer takes at the most."""
        tokens = self.input_tokens + output
        usd = self.worst_price.usd_of(self.input_tokens, output)
        return Amount(1, tokens, usd + self.flat_usd)


class SharedSpending(Protocol):
    """Where programs that share a limit write down what they take of it."""

    async def take(self, amount: Amount) -> tuple[bool, Amount]:
        """Take an amount where it fits; whether it did, and what others have taken."""
        ...

    def give_back(self, amount: Amount) -> None:
        """Give back a part of what was taken, soon."""
        ...


class Account:
    """One limit, what was spent on it, and what is reserved.

    Args:
        limits: what may be spent.
        spent: what was spent before.
        owner: whose limit it is, for messages: "the question's budget".
        parent: a further account that everything is charged to as well: the batch's, the day's.
        keep: what is kept back for the answer at the end.
        worst_price: what a model costs at the most whose price is not known.
        shared: where other programs charge the same account.
    """

    def __init__(
        self,
        limits: SpendingLimits,
        spent: Amount = NOTHING,
        *,
        owner: str = "the question's budget",
        parent: Account | None = None,
        keep: Amount = NOTHING,
        worst_price: Price | None = None,
        shared: SharedSpending | None = None,
    ) -> None:
        self.limits = limits
        self.spent = spent
        self.reserved = NOTHING
        self.owner = owner
        self.parent = parent
        self.keep = keep
        self.worst_price = worst_price
        self.shared = shared
        self.others = NOTHING
        """What other programs have taken of it, as far as it is known."""
        self.has_refused = False
        """Whether it had no room for a request."""
        self.refusals = 0
        """Requests charged to it that it, or what it is a part of, had no room for."""
        self._opened = time.monotonic()
        self._waiting: list[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = []

    @property
    def chain(self) -> tuple[Account, ...]:
        """This account and those that it is a part of."""
        return (self,) if self.parent is None else (self, *self.parent.chain)

    def remaining(self, *, when_settled: bool = False) -> tuple[float, float, float]:
        """Calls, tokens and dollars that may still be reserved.

        Args:
            when_settled: if every reply that is under way came to nothing. Its call counts all
                the same.
        """
        held = Amount(self.reserved.calls) if when_settled else self.reserved
        taken = self.spent.plus(held).plus(self.keep).plus(self.others)
        limits = self.limits
        usd = math.inf if limits.usd is None else limits.usd * (1 - _ROUNDING) - taken.usd
        return (
            math.inf if limits.calls is None else limits.calls - taken.calls,
            math.inf if limits.tokens is None else limits.tokens - taken.tokens,
            usd,
        )

    def holds(self, need: Need, output: int, *, when_settled: bool = False) -> bool:
        """Whether a request with so long an answer fits."""
        amount = need.amount(output)
        return all(
            part <= left
            for part, left in zip(amount, self.remaining(when_settled=when_settled), strict=True)
        )

    def longest_answer(self, need: Need) -> float:
        """Tokens of an answer for which there is room."""
        _, tokens, usd = self.remaining()
        longest = tokens - need.input_tokens
        if self.limits.usd is not None and need.worst_price.output > 0:
            left = usd - need.amount(0).usd
            longest = min(longest, left * MILLION / need.worst_price.output)
        return longest

    @property
    def limits_usd(self) -> bool:
        """Whether dollars are limited, here or in what it is a part of."""
        return any(one.limits.usd is not None for one in self.chain)

    def price_of(self, settings: Model, price: Price | None) -> Price | None:
        """A model's price, as far as it must be known here; see `known_price`."""
        if not self.limits_usd:
            return price
        worst = next((one.worst_price for one in self.chain if one.worst_price), None)
        return known_price(settings, price, worst)

    @property
    def seconds_left(self) -> float:
        """Until it closes, or an account that it is a part of."""
        passed = [(one.limits.seconds, time.monotonic() - one._opened) for one in self.chain]
        return min((most - now for most, now in passed if most is not None), default=math.inf)

    def release_kept(self) -> None:
        """Let go of what was kept back for the answer: it is about to be made."""
        self.keep = NOTHING

    def charge(self, amount: Amount) -> None:
        """Count what was spent in an earlier run, without a reservation.

        A shared account knows of it: that run wrote it down.
        """
        for account in self.chain:
            if account.shared is None:
                account.spent = account.spent.plus(amount)

    def charge_usage(self, usage: Usage) -> None:
        """As `charge`; what is not known of it counts nothing."""
        self.charge(Amount(usage.calls, usage.tokens or 0, usage.usd or 0.0))

    def wake(self) -> None:
        """Have everybody who waits for room look again."""
        waiting, self._waiting = self._waiting, []
        for loop, future in waiting:
            if not loop.is_closed():
                loop.call_soon_threadsafe(_finish, future)

    def wait(self, future: asyncio.Future[None]) -> None:
        """Have a future finished as soon as something is settled."""
        self._waiting.append((asyncio.get_running_loop(), future))


def _finish(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


@dataclass(slots=True)
class Reservation:
    """What one request holds of its accounts, until it is settled."""

    account: Account
    amount: Amount
    need: Need
    output: int
    """Tokens that its answer may have."""
    limits_answer: bool
    """Whether the request must say so, because tokens or dollars are limited."""
    measured: bool
    """Whether it matters how many tokens the reply says."""
    taken: list[Account] = field(default_factory=list, init=False)
    """Those of its accounts that are shared, and where it is written down."""
    _open: bool = field(default=True, init=False)

    @property
    def most(self) -> Usage | None:
        """What the request may use, where that is measured."""
        if not self.measured:
            return None
        return Usage(
            calls=1,
            input_tokens=self.need.input_tokens,
            output_tokens=self.output,
            usd=None if self.need.price is None else self.amount.usd,
            estimated=True,
        )

    def settle(self, usage: Usage | None) -> None:
        """Replace what was reserved by what it was; None: the request was never sent."""
        spent = NOTHING
        if usage is not None:
            spent = Amount(usage.calls, usage.tokens or 0, usage.usd or 0.0)
        self._close(spent)

    def _close(self, spent: Amount) -> None:
        with _LOCK:
            if not self._open:
                return
            self._open = False
            for account in self.account.chain:
                account.reserved = account.reserved.minus(self.amount)
                account.spent = account.spent.plus(spent)
        for account in self.account.chain:
            if account.shared is not None and account in self.taken:
                account.shared.give_back(self.amount.minus(spent))
            account.wake()


_LOCK = threading.Lock()


async def reserve(account: Account, need: Need) -> Reservation:
    """Reserve what a request may take, waiting for calls under way where they may leave enough.

    Raises:
        OverBudgetError: it does not fit, or its price is not known and dollars are limited.
    """
    while True:
        with _LOCK:
            outcome = _try_to_reserve(account, need)
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            if isinstance(outcome, list):
                for one in outcome:
                    one.wait(future)
        if isinstance(outcome, list):
            await future
        elif await _take_shared(outcome):
            return outcome


async def _take_shared(reservation: Reservation) -> bool:
    """Write a reservation down in accounts that are shared; False: others were faster."""
    for account in reservation.account.chain:
        if account.shared is None:
            continue
        taking = asyncio.ensure_future(account.shared.take(reservation.amount))
        try:
            is_taken, account.others = await asyncio.shield(taking)
        except BaseException:
            taking.add_done_callback(partial(_give_back, account.shared, reservation.amount))
            reservation.settle(None)
            raise
        if not is_taken:
            reservation.settle(None)
            return False
        reservation.taken.append(account)
    return True


def _give_back(
    shared: SharedSpending, amount: Amount, taking: asyncio.Future[tuple[bool, Amount]]
) -> None:
    """Of a request that was cancelled while it was written down."""
    if not taking.cancelled() and taking.exception() is None and taking.result()[0]:
        shared.give_back(amount)


def _try_to_reserve(account: Account, need: Need) -> Reservation | list[Account]:
    """A reservation, or the accounts whose open reservations may leave room for one.

    Raises:
        OverBudgetError: it can fit no more.
    """
    chain = account.chain
    limits_usd = account.limits_usd
    if account.seconds_left <= 0:
        over = min((one for one in chain if one.limits.seconds is not None), key=_seconds_left)
        raise _refuse(account, over, f"{over.owner} of {over.limits.in_words()} is over")
    if need.price is None and limits_usd:
        raise OverBudgetError("its price is not known, and dollars are limited", cure=PRICE_CURE)
    limits_tokens = any(one.limits.tokens is not None for one in chain)
    costs = need.price is not None and need.price.output > 0
    limits_answer = limits_tokens or (limits_usd and costs)
    least = need.most_output if need.fixed else need.least_output
    blocking = [one for one in chain if not one.holds(need, least if limits_answer else 0)]
    if blocking:
        for one in blocking:
            if not one.holds(need, least if limits_answer else 0, when_settled=True):
                raise _refuse(account, one, _refusal(one, need, least))
        return blocking
    output = need.most_output
    if limits_answer and not need.fixed:
        longest = min(one.longest_answer(need) for one in chain)
        output = max(least, _in_steps(min(longest, need.most_output), need.most_output))
    amount = need.amount(output if limits_answer else 0)
    for one in chain:
        one.reserved = one.reserved.plus(amount)
    return Reservation(account, amount, need, output, limits_answer, limits_tokens or limits_usd)


def _refuse(account: Account, refusing: Account, why: str) -> OverBudgetError:
    """Take down that a request was refused; the error that says so."""
    refusing.has_refused = True
    for one in account.chain:
        one.refusals += 1
    return OverBudgetError(why)


def _seconds_left(account: Account) -> float:
    return account.seconds_left


def _in_steps(longest: float, most: int) -> int:
    if longest >= most:
        return most
    step = next(step for above, step in _STEPS if longest >= above)
    return int(longest // step * step)


def _refusal(account: Account, need: Need, least: int) -> str:
    """Why a request does not fit, in words."""
    calls, tokens, usd = account.remaining()
    amount = need.amount(least)
    if amount.calls > calls:
        what = "leaves no further call"
    elif amount.tokens > tokens:
        what = f"leaves {max(0, int(tokens))} tokens, and this request may take {amount.tokens}"
    else:
        what = f"leaves ${max(0.0, usd):.4f}, and this request may cost ${amount.usd:.4f}"
    return f"{account.owner} of {account.limits.in_words()} {what}"


PRICE_CURE = (
    "write `price: {input: ..., output: ...}` at the model, or a worst price for all of them: "
    "`budget: {worst_price: {input: ..., output: ...}}`"
)


def known_price(settings: Model, price: Price | None, worst: Price | None) -> Price | None:
    """A model's price where dollars are limited; None: not known.

    Args:
        settings: the model's.
        price: what was written down for it.
        worst: what a model costs at the most for which nothing was; one that sends no bill is free.
    """
    if price is not None:
        return price
    return worst if vendor_of(settings.provider).bills(settings.model) else FREE
