"""The budget of a whole batch: which rows may still be begun, and what each may spend."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar

from mom_council.councils.schema import Council
from mom_council.deliberation.context import CouncilContext
from mom_council.errors import CouncilError
from mom_council.records import Usage
from mom_council.runs.discovery import calls_at_most

N = TypeVar("N", int, float)

_LEAST_CALLS = 2
"""A proposal and the answer: a row that may make fewer is not begun."""


@dataclass(frozen=True)
class BatchLimits:
    """What a batch may spend; None is no limit."""

    calls: int | None = None
    tokens: int | None = None
    usd: float | None = None

    def refuse_unpriced(self, council: Council) -> None:
        """See that dollars can be counted where they are limited.

        Raises:
            CouncilError: a model has no price, so that its calls would count as free.
        """
        if self.usd is None:
            return
        if unpriced := [key for key, model in council.models.items() if model.price is None]:
            raise CouncilError(
                f"a budget in dollars counts only what has a price, and {unpriced[0]!r} has none: "
                f"write `price: {{input: ..., output: ...}}` at models.{unpriced[0]}, or set a "
                "budget of calls"
            )


NO_LIMITS = BatchLimits()


@dataclass
class BatchBudget:
    """What is left, with what the rows under way may still take out of it."""

    limits: BatchLimits
    spent: Usage
    council: Council
    rows: int = 0
    """Finished in this sitting, for the usual price of a row."""
    _held: dict[int, int] = field(default_factory=dict)
    _fresh: Usage = field(default_factory=Usage)

    @property
    def most_calls(self) -> int:
        """Of one row, by the council's own rules."""
        most = calls_at_most(self.council)
        return min(most, self.council.budget.calls or most)

    def begin(self, index: int, before: Usage) -> CouncilContext | None:
        """What a row may spend; None where nothing is left for it.

        Calls are kept back for every row under way, so that the rows together never make more.
        Tokens and dollars are not known before: the rows under way count as much as the finished
        ones have on the average.

        Args:
            index: which row.
            before: what an earlier try of the row has used. The row tells what it used in all.
        """
        calls = None
        if self.limits.calls is not None:
            most = self.most_calls + before.calls
            left = self.limits.calls - self.spent.calls + before.calls - sum(self._held.values())
            calls = min(left, most)
            if calls < most and (self._held or calls < before.calls + _LEAST_CALLS):
                return None
        tokens = self._left(
            self.limits.tokens, self.spent.tokens, before.tokens, self._fresh.tokens
        )
        usd = self._left(self.limits.usd, self.spent.usd, before.usd, self._fresh.usd)
        if (tokens is not None and tokens < 1) or (usd is not None and usd <= 0):
            return None
        self._held[index] = calls or 0
        self.spent = _without(self.spent, before)
        own = self.council.budget
        return CouncilContext(
            max_calls=calls,
            max_tokens=None if tokens is None else min(int(tokens), own.tokens or int(tokens)),
            max_usd=None if usd is None else min(usd, own.usd or usd),
        )

    def end(self, index: int, used: Usage) -> None:
        """A row is finished: what it used is spent, and what it had been given is free again."""
        self._held.pop(index, None)
        self.spent += used
        self._fresh += used
        self.rows += 1

    def _left(
        self, limit: float | None, spent: float | None, before: float | None, fresh: float | None
    ) -> float | None:
        if limit is None:
            return None
        usual = (fresh or 0.0) / self.rows if self.rows else 0.0
        return limit - (spent or 0.0) + (before or 0.0) - usual * len(self._held)

    def in_words(self) -> str:
        """The limits, for messages."""
        told = (
            (self.limits.calls, "{:d} calls"),
            (self.limits.tokens, "{:d} tokens"),
            (self.limits.usd, "${:g}"),
        )
        return " or ".join(words.format(limit) for limit, words in told if limit is not None)


def _without(whole: Usage, part: Usage) -> Usage:
    return Usage(
        calls=whole.calls - part.calls,
        input_tokens=_less(whole.input_tokens, part.input_tokens),
        output_tokens=_less(whole.output_tokens, part.output_tokens),
        usd=_less(whole.usd, part.usd),
        seconds=max(0.0, whole.seconds - part.seconds),
    )


def _less(all_: N | None, part: N | None) -> N | None:
    return all_ if all_ is None or part is None else all_ - part
