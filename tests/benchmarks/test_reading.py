"""The reader reads whatever it is given: a few thousand of the texts that the benchmark makes."""

from __future__ import annotations

import random

from mom_council.benchmarks.reading import fuzz

REPLIES = [
    "So we have 3 * 4 = 12.\nAnswer: 12",
    '{"reasoning": "C is best.", "ranking": ["C", "A", "B"]}',
    "Therefore \\boxed{\\frac{3}{4}}. The answer is (B).",
    "<think>5 or 6</think>答案是 5 公里。",
]


def test_no_text_makes_the_readers_raise() -> None:
    seed = random.randrange(10**6)
    assert fuzz(2_000, REPLIES, seed=seed).raised == [], seed
