"""Answers: equal answers are counted, weighted; nobody is asked to vote.

Known as self-consistency when one model answers many times, and as majority voting over an
ensemble. Sources: X. Wang et al., "Self-Consistency Improves Chain of Thought Reasoning in
Language Models", ICLR 2023; L. K. Hansen and P. Salamon, "Neural Network Ensembles", IEEE TPAMI
12 (1990). `out` here are characters whose *proposals* may still come.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from mom_council.voting.methods import base as additive
from mom_council.voting.methods.base import Number, Standing, Table, exact

ASKS = False


def standings(table: Table) -> list[Standing]:
    """The weight behind each answer, and its share of all weight."""
    return additive.stand([group.weight for group in table.options], _total(table))


def lead(table: Table, leader: int, rival: int, out: Mapping[str, float]) -> Number:
    """The lead if all who are out give the rival's answer (exact up to a tie).

    A proposal to come may take an earlier seat than any that is here, so ending level is no lead.
    """
    ahead = table.options[leader].weight - table.options[rival].weight - _sum(out)
    return ahead if ahead > 0 or not out else min(ahead, -1)


def shares(table: Table, option: int, out: Mapping[str, float]) -> tuple[Number, Number]:
    """The range of the share."""
    weight, total, more = table.options[option].weight, _total(table), _sum(out)
    if not total + more:
        return 0, 0
    return Fraction(weight) / (total + more), Fraction(weight + more) / (total + more)


def _total(table: Table) -> Number:
    return sum(group.weight for group in table.options)


def _sum(out: Mapping[str, float]) -> Number:
    return sum(exact(weight) for weight in out.values())
