"""Approval: each voter names all it can accept; who is accepted by most leads.

A ballot that approves several members of an option counts once for it. The share is of the
voters, not of the approvals, so shares may add up to more than 1.
Source: S. J. Brams and P. C. Fishburn, "Approval Voting", American Political Science Review 72
(1978), 831-847.
"""

from __future__ import annotations

from collections.abc import Mapping

from mom_council.voting.methods import base as additive
from mom_council.voting.methods.base import Number, Standing, Table, exact

ASKS = True


def votes(table: Table) -> list[Number]:
    """The weight of the ballots that approve of each option."""
    count: list[Number] = [0] * len(table.options)
    for ballot in table.ballots:
        for option in table.named(ballot.approved):
            count[option] += exact(ballot.weight)
    return count


def standings(table: Table) -> list[Standing]:
    """Approvals, and the share of the voters that gave them."""
    return additive.stand(votes(table), table.weight)


def lead(table: Table, leader: int, rival: int, out: Mapping[str, float]) -> Number:
    """The lead if all who are out approve of the rival alone (exact)."""
    return additive.margin(table, votes(table), leader, rival, out)


def shares(table: Table, option: int, out: Mapping[str, float]) -> tuple[Number, Number]:
    """The range of the share."""
    return additive.bounds(table, votes(table)[option], table.weight, option, out)
