"""Plurality: one vote each, most votes lead.

The share is of the weight of all ballots that named somebody. Until 1700 and after, the usual
way; its weakness, that clones split a vote, is met by counting equal answers as one option.
Source: M. J. A. N. de Condorcet, *Essai sur l'application de l'analyse* (1785), which studies it.
"""

from __future__ import annotations

from collections.abc import Mapping

from mom_council.voting.methods import base as additive
from mom_council.voting.methods.base import Number, Standing, Table, exact

ASKS = True


def votes(table: Table) -> list[Number]:
    """The weight of the ballots that chose each option."""
    count: list[Number] = [0] * len(table.options)
    for ballot in table.ballots:
        if ballot.choice is not None:
            count[table.option_of[ballot.choice]] += exact(ballot.weight)
    return count


def standings(table: Table) -> list[Standing]:
    """Votes, and their share of all votes."""
    return additive.stand(votes(table), table.weight)


def lead(table: Table, leader: int, rival: int, out: Mapping[str, float]) -> Number:
    """The lead if all who are out vote for the rival (exact)."""
    return additive.margin(table, votes(table), leader, rival, out)


def shares(table: Table, option: int, out: Mapping[str, float]) -> tuple[Number, Number]:
    """The range of the share."""
    return additive.bounds(table, votes(table)[option], table.weight, option, out)
