"""The plainest vote there is, in ten lines: what every other rule is compared with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence


def plurality_of(answers: Sequence[str | None]) -> tuple[int | None, float]:
    """Where the most frequent answer stands first, and its share of those who answered.

    The earliest of equally frequent answers wins; None is no answer. (None, 0.0) without any.
    """
    counts = Counter(answer for answer in answers if answer is not None)
    if not counts:
        return None, 0.0
    best, number = max(counts.items(), key=lambda pair: pair[1])  # first seen, on a tie
    return list(answers).index(best), number / counts.total()
