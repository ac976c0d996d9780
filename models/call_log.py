"""What became of the tries at a model and its fallbacks: for the answer, and for the error."""

from __future__ import annotations

from dataclasses import dataclass, field

from mom_council.errors import MixtureError, ModelUnavailableError
from mom_council.models.prices import Meter
from mom_council.models.retry import Failure
from mom_council.records import Attempt, Usage
from mom_council.redaction import redact


@dataclass(slots=True)
class CallLog:
    """The tries of one question, over a whole chain of models."""

    attempts: list[Attempt] = field(default_factory=list)
    unopened: list[MixtureError] = field(default_factory=list)
    """Why models could not be asked at all: no package, no key, no such file."""
    spent: Usage = field(default_factory=Usage)

    def not_asked(self, key: str, reason: str) -> None:
        """A model was passed over."""
        self.attempts.append(Attempt(model=key, error=reason))

    def not_opened(self, key: str, error: MixtureError) -> None:
        """A model could not be opened, so no request was sent."""
        self.not_asked(key, redact(str(error)))
        self.unopened.append(error)

    def tried(self, key: str, failure: Failure | None, seconds: float) -> None:
        """A request was sent, and came to this."""
        self.attempts.append(
            Attempt(
                model=key,
                error=failure and failure.reason,
                status=failure and failure.status,
                timed_out=failure is not None and failure.late,
                seconds=seconds,
            )
        )

    def charge(self, meter: Meter, seconds: float) -> None:
        """Add what a model has used, over so many seconds."""
        self.spent += meter.usage(seconds)

    def error(self, key: str) -> MixtureError:
        """The error that says what became of every model of the chain of `key`."""
        if self.unopened and len(self.unopened) == len(self.attempts):
            return self.unopened[0]
        tries: dict[str, list[str]] = {}
        for attempt in self.attempts:
            tries.setdefault(attempt.model, []).append(attempt.error or "")
        reasons = {
            name: errors[-1] + (f" (after {len(errors)} tries)" if errors[1:] else "")
            for name, errors in tries.items()
        }
        if [*reasons] == [key]:
            message = f"model {key!r} did not answer: {reasons[key]}"
        else:
            each = "; ".join(f"{name!r}: {reason}" for name, reason in reasons.items())
            message = f"neither model {key!r} nor a fallback answered: {each}"
        return ModelUnavailableError(message, self.attempts, self.spent)
