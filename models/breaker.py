"""Circuit breakers: a model that keeps failing is not asked for a while.

Asking a server that hangs costs its whole `timeout` every time, and every character of a round pays
it. So calls that came to nothing are counted for each model (a call's retries are part of it).
After `after` of them in a row the breaker is open, and the next call goes to a fallback, or is an
absence, at once. After `pause` seconds one call is let through to see: an answer closes the
breaker, another failure opens it again.

Only what may pass counts: rate limits, 5xx, resets, unreadable answers, time limits. A definite no
(a wrong key, an unknown model, a refused request) comes at once and says why, and so ends the row,
like an answer does. Breakers are kept for one event loop, by where a model is asked and with which
key, so councils that share a model share what is known of it.
"""

from __future__ import annotations

from collections.abc import Hashable

from mom_council.councils.schema import Model
from mom_council.models.retry import Failure

Breakers = dict[Hashable, "Breaker"]


class Breaker:
    """What the last calls to one model came to."""

    def __init__(self) -> None:
        self._failed = 0
        self._last = ""
        self._shut_until = 0.0

    def refusal(self, spec: Model, now: float) -> str | None:
        """Why the model is not asked now; None when it may be.

        The first to come after a pause is let through; those behind it wait for what it finds, a
        further pause at the longest.
        """
        policy = spec.breaker
        if policy is None or self._failed < policy.after:
            return None
        if now >= self._shut_until:
            self._shut_until = now + policy.pause
            return None
        return (
            f"not asked, for its last {_calls(self._failed)} failed ({self._last}); "
            f"it is tried again in {max(self._shut_until - now, 0.1):.1f} s"
        )

    def is_shut(self, spec: Model, now: float) -> bool:
        """Whether `refusal` would refuse; asking changes nothing."""
        policy = spec.breaker
        return policy is not None and self._failed >= policy.after and now < self._shut_until

    def note(self, failure: Failure | None, spec: Model, now: float) -> None:
        """Take down how a call ended: None for an answer, whole or in part."""
        if failure is None or not (failure.again or failure.late):
            self._failed = 0
            return
        self._failed += 1
        self._last = failure.reason
        if spec.breaker is not None:
            self._shut_until = now + spec.breaker.pause


def breaker_of(breakers: Breakers, spec: Model) -> Breaker:
    """The breaker of a voice, in its event loop."""
    return breakers.setdefault(
        (spec.provider, spec.base_url, spec.model, spec.api_key_env), Breaker()
    )


def _calls(number: int) -> str:
    return "call" if number == 1 else f"{number} calls"
