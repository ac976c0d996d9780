"""Answers: equal answers are counted, weighted; nobody is asked to vote.

Known as self-consistency when one model answers many times, and as majority voting over an
ensemble. Sources: X. Wang et al., "Self-Consistency Improves Chain of Thought Reasoning in
Language Models", ICLR 2023; L. K. Hansen and P. Salamon, "Neural Network Ensembles", IEEE TPAMI
12 (1990). `out` here are characters whose *proposals* may still come.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from mom_council.records import Option, Verdict
from mom_council.voting.methods.base import (
    Number,
    Standing,
    Tally,
    VoteMethod,
    describe_heads,
    standings_of,
    total,
)


class AnswerCounting(VoteMethod):
    """Equal answers are counted."""

    name = "answers"
    meaning = "equal answers are counted, nobody is asked"
    asks_voters = False
    counts = "equal answers"
    counts_answers = True
    stop_rules = frozenset({"lossless", "threshold", "beta", "dirichlet", "calibrated"})

    def standings(self, tally: Tally) -> list[Standing]:
        """The weight behind each answer, and its share of all weight."""
        return standings_of([group.weight for group in tally.options], _whole(tally))

    def lead(self, tally: Tally, leader: int, rival: int, out: Mapping[str, float]) -> Number:
        """The lead if all who are out give the rival's answer (exact up to a tie).

        A proposal to come may take an earlier place than any that is here, so ending level is no
        lead.
        """
        ahead = tally.options[leader].weight - tally.options[rival].weight - total(out.values())
        return ahead if ahead > 0 or not out else min(ahead, -1)

    def shares(self, tally: Tally, option: int, out: Mapping[str, float]) -> tuple[Number, Number]:
        """The range of the share."""
        weight, more = tally.options[option].weight, total(out.values())
        whole = _whole(tally) + more
        return (Fraction(weight) / whole, Fraction(weight + more) / whole) if whole else (0, 0)

    def support(self, option: Option, verdict: Verdict, proposals: int) -> str:
        """How many gave the answer."""
        return f"{len(option.members)} of {proposals} gave this answer"

    def describe(self, verdict: Verdict, leader: str) -> str:
        """How many gave the leading answer."""
        voters = sum(len(option.members) for option in verdict.options)
        return describe_heads(verdict, leader, len(verdict.options[0].members), voters, "chose")


def _whole(tally: Tally) -> Number:
    return sum(group.weight for group in tally.options)


METHOD = AnswerCounting()
