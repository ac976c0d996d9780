"""Plurality: one vote each, most votes lead.

The share is of the weight of all ballots that named somebody. Until 1700 and after, the usual
way; its weakness, that clones split a vote, is met by counting equal answers as one option.
Source: M. J. A. N. de Condorcet, *Essai sur l'application de l'analyse* (1785), which studies it.
"""

from __future__ import annotations

from collections.abc import Sequence

from mom_council.records import Ballot, Option, Verdict
from mom_council.voting.ballot_forms import CHOICE
from mom_council.voting.methods.base import AddedVotes


class Plurality(AddedVotes):
    """One vote each."""

    name = "plurality"
    meaning = "one vote each"
    aliases = ("voting",)
    form = CHOICE
    stop_rules = frozenset({"lossless", "threshold", "beta", "dirichlet"})

    def named_by(self, ballot: Ballot) -> Sequence[str]:
        """The one that it chose."""
        return () if ballot.choice is None else (ballot.choice,)

    def support(self, option: Option, verdict: Verdict, proposals: int) -> str:
        """Votes of how many."""
        return f"{option.tally:g} of {verdict.ballots} votes"


METHOD = Plurality()
