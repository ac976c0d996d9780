"""Rate limits: so many requests, and so many tokens, in any minute.

A window slides over what was sent: no minute holds more than is allowed, wherever it begins. (A
bucket that refills would let nearly twice as much through in the minute after a pause, and the
vendor would answer 429.) Tokens are estimated when a request goes out and put right when its
answer has told.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage

    from mom_council.councils.schema import Model

_ANSWER = 500
"""Tokens an answer is taken to have where the council sets no bound."""


@dataclass(slots=True)
class SentRequest:
    """One request in the window."""

    at: float
    tokens: float


@dataclass(slots=True)
class RateWindow:
    """What one key may send.

    Args:
        requests: at most, in any `period`; None is no limit.
        tokens: at most, read and written together; None is no limit.
        period: seconds.
    """

    requests: int | None
    tokens: int | None
    period: float = 60.0
    _sent: deque[SentRequest] = field(default_factory=deque)

    def wait(self, tokens: float, now: float) -> float:
        """Seconds until a request of so many tokens may go; 0: now.

        One that is larger than the whole limit goes when nothing else is in the window.
        """
        while self._sent and self._sent[0].at <= now - self.period:
            self._sent.popleft()
        until = now
        if self.requests is not None and len(self._sent) >= self.requests:
            until = self._sent[len(self._sent) - self.requests].at + self.period
        if self.tokens is not None:
            over = sum(one.tokens for one in self._sent) + min(tokens, self.tokens) - self.tokens
            for one in self._sent:
                if over <= 0:
                    break
                over -= one.tokens
                until = max(until, one.at + self.period)
        return until - now

    def send(self, tokens: float, now: float) -> SentRequest:
        """Note a request; put its `tokens` right when they are known."""
        sent = SentRequest(now, tokens)
        self._sent.append(sent)
        return sent


def estimate_tokens(messages: Sequence[BaseMessage], spec: Model) -> float:
    """Tokens that a request may take: a quarter of its characters, and its answer."""
    most = next(
        (spec.params[name] for name in _BOUNDS if isinstance(spec.params.get(name), int)), _ANSWER
    )
    return sum(len(message.text) for message in messages) / 4 + float(most)


_BOUNDS = ("max_tokens", "max_completion_tokens", "num_predict", "max_new_tokens")
