"""Approval: each voter names all it can accept; who is accepted by most leads.

A ballot that approves several members of an option counts once for it. The share is of the
voters, not of the approvals, so shares may add up to more than 1.
Source: S. J. Brams and P. C. Fishburn, "Approval Voting", American Political Science Review 72
(1978), 831-847.
"""

from __future__ import annotations

from collections.abc import Sequence

from mom_council.records import Ballot
from mom_council.voting.ballot_forms import APPROVALS
from mom_council.voting.methods.base import AddedVotes


class Approval(AddedVotes):
    """All that are acceptable."""

    name = "approval"
    meaning = "all that are acceptable"
    form = APPROVALS
    verb = "approved of"

    def named_by(self, ballot: Ballot) -> Sequence[str]:
        """All that it approves."""
        return ballot.approved


METHOD = Approval()
