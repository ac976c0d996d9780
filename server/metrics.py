"""What `/metrics` tells Prometheus: by council, by model, and by key.

Several workers of one server (`mom serve --workers`) count together, in files of a folder that
PROMETHEUS_MULTIPROC_DIR names; any of them tells the sum.
"""

from __future__ import annotations

import os

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    multiprocess,
)

from mom_council.councils.schema import Council
from mom_council.deliberation.events import Event, Finished, Missed
from mom_council.records import Status

SHARED_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
_BUCKETS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160, 320)


class Metrics:
    """The counters of one server."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.requests = self._counter("mom_requests", "Requests by route", "route", "status")
        self.left = self._counter("mom_clients_left", "Clients that hung up first")
        self.refused = self._counter(
            "mom_refused", "Questions refused by a limit: of the key, the server, places", "key",
            "limit",
        )  # fmt: skip
        self.seconds = self._histogram(
            "mom_answer_seconds", "From taking a place to the answer", "council"
        )
        self.first_piece = self._histogram(
            "mom_first_piece_seconds", "From taking a place to the answer's first piece", "council"
        )
        self.answers = self._counter("mom_answers", "Answers", "council", "degraded")
        self.tokens = self._counter("mom_tokens", "Tokens of all models", "council", "direction")
        self.calls = self._counter("mom_model_calls", "Model calls", "council")
        self.usd = self._counter("mom_usd", "Dollars, where known", "council")
        self.absences = self._counter(
            "mom_absences", "Who was missing, and why", "council", "reason"
        )
        self.questions = self._counter(
            "mom_questions", "Questions, and how they ended", "council", "key", "outcome"
        )
        self.key_calls = self._counter("mom_key_calls", "Model calls of a key", "key")
        self.key_tokens = self._counter("mom_key_tokens", "Tokens of a key", "key", "direction")
        self.key_usd = self._counter("mom_key_usd", "Dollars of a key, where known", "key")
        self.key_seconds = self._counter(
            "mom_key_seconds", "Seconds of a key's questions, from taking a place", "key"
        )
        model = ("provider", "model")
        self.model_requests = self._counter(
            "mom_model_requests", "Requests to a model, retries included", *model
        )
        self.model_seconds = self._histogram(
            "mom_model_seconds", "From asking a model to its last token", *model
        )
        self.model_tokens = self._counter(
            "mom_model_tokens", "Tokens of a model", *model, "direction"
        )
        self.model_usd = self._counter("mom_model_usd", "Dollars of a model, where known", *model)
        self.model_absences = self._counter(
            "mom_model_absences", "A character was missing, by its model", *model, "reason"
        )
        self._in_progress = self._gauge("mom_questions_in_progress", "Questions being answered")
        self._waiting = self._gauge("mom_questions_waiting", "Questions that wait")
        self.count_questions(0, 0)

    def _counter(self, name: str, about: str, *labels: str) -> Counter:
        return Counter(name, about, labels, registry=self._registry)

    def _histogram(self, name: str, about: str, *labels: str) -> Histogram:
        return Histogram(name, about, labels, buckets=_BUCKETS, registry=self._registry)

    def _gauge(self, name: str, about: str) -> Gauge:
        return Gauge(name, about, registry=self._registry, multiprocess_mode="livesum")

    def count_questions(self, in_progress: int, waiting: int) -> None:
        """Say how many questions are being answered, and how many wait."""
        self._in_progress.set(in_progress)
        self._waiting.set(waiting)

    def answered(self, council: str, key: str, status: Status, seconds: float) -> None:
        """Count an answer and what it took."""
        degraded = str(status.degraded).lower()
        self.answers.labels(council, degraded).inc()
        self.questions.labels(council, key, "degraded" if status.degraded else "answered").inc()
        self.seconds.labels(council).observe(seconds)
        self.key_seconds.labels(key).inc(seconds)
        usage = status.usage
        self.calls.labels(council).inc(usage.calls)
        self.key_calls.labels(key).inc(usage.calls)
        for direction, tokens in (("input", usage.input_tokens), ("output", usage.output_tokens)):
            self.tokens.labels(council, direction).inc(tokens or 0)
            self.key_tokens.labels(key, direction).inc(tokens or 0)
        self.usd.labels(council).inc(usage.usd or 0)
        self.key_usd.labels(key).inc(usage.usd or 0)
        for absence in status.absent:
            self.absences.labels(council, absence.reason).inc()

    def failed(self, council: str, key: str, code: str, limit: str) -> None:
        """Count a question that was not answered: by the error's code, or the limit it met."""
        if limit:
            self.refused.labels(key, limit).inc()
        self.questions.labels(council, key, "refused" if limit else code).inc()

    def take(self, event: Event, council: Council) -> None:
        """Count what an event tells of a model."""
        if isinstance(event, Finished):
            model = _labels(council, event.segment.model)
            usage = event.segment.usage
            if not usage.calls:  # from the cache, or written down before
                return
            self.model_requests.labels(*model).inc(usage.calls)
            self.model_seconds.labels(*model).observe(usage.seconds)
            self.model_tokens.labels(*model, "input").inc(usage.input_tokens or 0)
            self.model_tokens.labels(*model, "output").inc(usage.output_tokens or 0)
            self.model_usd.labels(*model).inc(usage.usd or 0)
        elif isinstance(event, Missed):
            absence = event.absence
            key = council.character(absence.character).model
            self.model_absences.labels(*_labels(council, key), absence.reason).inc()

    def text(self) -> bytes:
        """Everything, as Prometheus reads it; of all workers where there are several."""
        if not os.environ.get(SHARED_FOLDER):
            return generate_latest(self._registry)
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)


def _labels(council: Council, key: str) -> tuple[str, str]:
    """The vendor and the model behind a key of `models`."""
    settings = council.models.get(key)
    return (settings.provider, settings.model) if settings else ("", key)
