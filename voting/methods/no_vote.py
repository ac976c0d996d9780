"""No vote: nothing is counted and nobody leads; every proposal goes to the synthesizer."""

from __future__ import annotations

from collections.abc import Mapping

from mom_council.voting.methods.base import Number, Standing, Tally, VoteMethod


class NoVote(VoteMethod):
    """Nothing is counted."""

    name = "none"
    meaning = "no vote"
    asks_voters = False
    counts = "nothing"
    counts_nothing = True
    stop_rules = frozenset()

    def standings(self, tally: Tally) -> list[Standing]:
        """Every option stands level."""
        return [Standing(0, 0, 0) for _ in tally.options]

    def lead(self, tally: Tally, leader: int, rival: int, out: Mapping[str, float]) -> Number:
        """Nobody leads."""
        return -1

    def shares(self, tally: Tally, option: int, out: Mapping[str, float]) -> tuple[Number, Number]:
        """Nobody has a share."""
        return 0, 0


METHOD = NoVote()
