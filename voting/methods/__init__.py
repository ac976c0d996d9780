"""Voting: reading ballots and answers, counting them, and knowing when to stop.

`METHODS` is the table of counting methods; a new one is a module and a line here. The method
`none` of a council has no entry: nothing is counted.
"""

from __future__ import annotations

from mom_council.voting.methods import (
    answer_counting,
    approval,
    best_confidence,
    borda,
    plurality,
    ranked_pairs,
    score,
    similarity,
)
from mom_council.voting.methods.base import Method

METHODS: dict[str, Method] = {
    "plurality": plurality,
    "approval": approval,
    "borda": borda,
    "ranked_pairs": ranked_pairs,
    "score": score,
    "answers": answer_counting,
    "similarity": similarity,
    "best_confidence": best_confidence,
}

__all__ = ["METHODS", "Method"]
