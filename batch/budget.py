"""The budget of a whole batch: which rows may still be begun, and what each may spend."""

from __future__ import annotations

from dataclasses import dataclass, field

from mom_council.councils.schema import Council
from mom_council.deliberation.budget import amount_of
from mom_council.deliberation.context import CouncilContext
from mom_council.models.spending import LEAST_CALLS, NOTHING, Account, Amount, SpendingLimits
from mom_council.records import Usage
from mom_council.runs.discovery import calls_at_most

_SPARE = 1.5
"""How many times the usual price of a row must be left for another to be begun."""

BatchLimits = SpendingLimits
"""What a batch may spend; None is no limit."""

NO_LIMITS = BatchLimits()


@dataclass(frozen=True)
class _Hold:
    """What a row under way may take, and what an earlier try of it has taken."""

    amount: Amount
    before: Amount


@dataclass
class BatchBudget:
    """What is left of a batch's limits: each row under way holds a part, and cannot spend more.

    So the rows together never exceed a limit, wherever they run.
    """

    limits: BatchLimits
    spent: Usage
    council: Council
    concurrency: int = 1
    """Rows that run at a time."""
    rows: int = 0
    """Finished in this sitting, for the usual price of a row."""
    _account: Account = field(init=False)
    _held: dict[int, _Hold] = field(default_factory=dict)
    _fresh: Amount = NOTHING
    _is_spent: bool = False

    def __post_init__(self) -> None:
        """Begin with what earlier sittings have spent."""
        self._account = Account(self.limits, amount_of(self.spent), owner="the batch's budget")

    @property
    def most_calls(self) -> int:
        """Of one row, by the council's own rules, where every model answers at the first try."""
        most = calls_at_most(self.council)
        return min(most, self.council.budget.calls or most)

    def begin(self, index: int, before: Usage) -> CouncilContext | None:
        """What a row may spend; None where nothing is left for it, or others must end first.

        Args:
            index: which row.
            before: what an earlier try of the row has used. The row tells what it used in all.
        """
        seconds = self._account.seconds_left
        if self._is_spent or seconds <= 0:
            return None
        earlier = amount_of(before)
        calls_left, tokens_left, usd_left = self._account.remaining()
        calls = self._calls(calls_left, earlier.calls)
        tokens = self._part(self.limits.tokens, tokens_left, self._fresh.tokens)
        usd = self._part(self.limits.usd, usd_left, self._fresh.usd)
        if calls is None or tokens is None or usd is None:
            return None
        hold = Amount(calls, int(tokens), usd)
        self._held[index] = _Hold(hold, earlier)
        self._account.reserved = self._account.reserved.plus(hold)
        limits, own = self.limits, self.council.budget
        tokens, usd = hold.tokens + earlier.tokens, hold.usd + earlier.usd
        return CouncilContext(
            max_calls=None if limits.calls is None else hold.calls + earlier.calls,
            max_tokens=None if limits.tokens is None else min(tokens, own.tokens or tokens),
            max_usd=None if limits.usd is None else min(usd, own.usd or usd),
            max_seconds=None if limits.seconds is None else min(seconds, own.seconds or seconds),
        )

    def end(self, index: int, used: Usage, *, is_spent: bool = False) -> None:
        """A row is finished: what it used is spent, and what it had been given is free again.

        Args:
            index: which row.
            used: by the row in all.
            is_spent: whether its part was too small; then no other row is begun.
        """
        self._is_spent = self._is_spent or (is_spent and self.limits.are_set)
        hold = self._held.pop(index, _Hold(NOTHING, NOTHING))
        fresh = amount_of(used).minus(hold.before)
        self._account.reserved = self._account.reserved.minus(hold.amount)
        self._account.charge(fresh)
        self._fresh = self._fresh.plus(fresh)
        self.rows += 1

    def _calls(self, left: float, before: int) -> int | None:
        if self.limits.calls is None:
            return 0
        most = self.most_calls
        if left < most and (self._held or left < LEAST_CALLS):
            return None
        return int(min(left, most + before))

    def _part(self, limit: float | None, left: float, fresh: float) -> float | None:
        """Of the tokens or dollars; the first row has all, until it is known what one takes."""
        if limit is None:
            return 0.0
        usual = fresh / self.rows if self.rows else left
        if left <= 0 or (left < usual * _SPARE and (self._held or self.rows)):
            return None
        free = max(1, self.concurrency - len(self._held))
        return min(left, max(left / free, usual * _SPARE))

    def in_words(self) -> str:
        """The limits, for messages."""
        return self.limits.in_words()
