"""How many questions are answered at once, how many wait, and when one is turned away.

What Prometheus reads at /metrics. Labels are names that the server offers, never a client's.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from mom_council.records import Status
from mom_council.server.errors import Refusal

_LONGEST = 120
"""Seconds that a client is told to wait at the most."""


class Places:
    """So many questions at once; the next ones wait in a row of bounded length."""

    def __init__(self, at_once: int, waiting: int) -> None:
        self.at_once = at_once
        self.most_waiting = waiting
        self.taken = 0
        self.waiting = 0
        self._free = asyncio.Semaphore(at_once)
        self._usual = 1.0
        """Seconds that a question has taken lately."""

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Take a place, in the order of coming.

        Raises:
            Refusal: all are taken and the row is full: 429 with Retry-After.
        """
        if self._free.locked() and self.waiting >= self.most_waiting:
            raise self.full()
        self.waiting += 1
        try:
            await self._free.acquire()
        finally:
            self.waiting -= 1
        self.taken += 1
        began = time.monotonic()
        try:
            yield
        finally:
            self.taken -= 1
            self._free.release()
            self._usual += (time.monotonic() - began - self._usual) / 8

    def full(self) -> Refusal:
        """The refusal of one question too many."""
        wait = self._usual * (self.waiting + 1) / self.at_once
        seconds = min(max(math.ceil(wait), 1), _LONGEST)
        return Refusal(
            429,
            f"{self.taken} questions are being answered and {self.waiting} wait; "
            f"ask again in {seconds} s",
            code="rate_limit_exceeded",
            headers={"Retry-After": str(seconds)},
        )


_SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160, 320)


class Metrics:
    """The counters of one server."""

    def __init__(self, places: Places) -> None:
        self._registry = registry = CollectorRegistry()
        self.requests = Counter(
            "mom_requests", "Requests by route and status", ["route", "status"], registry=registry
        )
        self.seconds = Histogram(
            "mom_answer_seconds",
            "From taking a place to the answer",
            ["council"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.first_piece = Histogram(
            "mom_first_piece_seconds",
            "From taking a place to the answer's first piece",
            ["council"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.answers = Counter("mom_answers", "Answers", ["council", "degraded"], registry=registry)
        self.tokens = Counter(
            "mom_tokens", "Tokens of all models", ["council", "direction"], registry=registry
        )
        self.calls = Counter("mom_model_calls", "Model calls", ["council"], registry=registry)
        self.usd = Counter("mom_usd", "Dollars, where known", ["council"], registry=registry)
        self.absences = Counter(
            "mom_absences", "Who was missing, and why", ["council", "reason"], registry=registry
        )
        self.left = Counter("mom_clients_left", "Clients that hung up first", registry=registry)
        taken = Gauge("mom_questions_in_progress", "Questions being answered", registry=registry)
        taken.set_function(lambda: places.taken)
        waiting = Gauge("mom_questions_waiting", "Questions that wait", registry=registry)
        waiting.set_function(lambda: places.waiting)

    def answered(self, council: str, status: Status, seconds: float) -> None:
        """Count an answer and what it took."""
        self.answers.labels(council, str(status.degraded).lower()).inc()
        self.seconds.labels(council).observe(seconds)
        usage = status.usage
        self.calls.labels(council).inc(usage.calls)
        self.tokens.labels(council, "input").inc(usage.input_tokens or 0)
        self.tokens.labels(council, "output").inc(usage.output_tokens or 0)
        self.usd.labels(council).inc(usage.usd or 0)
        for absence in status.absent:
            self.absences.labels(council, absence.reason).inc()

    def text(self) -> bytes:
        """Everything, as Prometheus reads it."""
        return generate_latest(self._registry)
