"""Best confidence: the proposal that is surest of itself leads; nobody is asked to vote.

- The confidence is what the proposal says of itself (see `stated`). Where there are score ballots,
  such as those of an earlier vote, the judges' mean is taken instead, for every option alike: what
  a text says of itself and what others say of it are no common scale.
- An option has the confidence of its surest member. Confidences do not add up: three that are
  half sure are not surer than one that is nearly certain.
- A confidence that nobody gave is not made up: the option stands behind all that have one, with
  share 0. Equal confidence is a tie, and said.

Models overstate how sure they are, all of them in the same way only now and then; where outcomes
are known, weights that learn are worth more.

Source: M. Xiong et al., "Can LLMs Express Their Uncertainty?", ICLR 2024.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction

from mom_council.councils.records import Proposal
from mom_council.voting.methods import score
from mom_council.voting.methods.base import Group, Number, Standing, Table, exact
from mom_council.voting.stated import stated_confidence

ASKS = False


def prepare(options: list[Group], last: Mapping[str, Proposal]) -> list[Group]:
    """The options with how sure their surest members said they are, who then speak for them."""
    return [_told(option, last) for option in options]


def standings(table: Table) -> list[Standing]:
    """The confidence of each option; what has none stands behind."""
    sure = _judged(table) if table.ballots else [group.confidence for group in table.options]
    return [Standing(-1, 0, 0) if each is None else Standing(each, each, each) for each in sure]


def lead(table: Table, leader: int, rival: int, out: Mapping[str, float]) -> Number:
    """The lead; none while anybody is out, who may be certain."""
    stand = standings(table)
    return -1 if out else stand[leader].value - stand[rival].value


def shares(table: Table, option: int, out: Mapping[str, float]) -> tuple[Number, Number]:
    """The share; anything while anybody is out."""
    share = standings(table)[option].share
    return (0, 1) if out else (share, share)


def _judged(table: Table) -> list[Number | None]:
    scored = {at for ballot in table.ballots for at in table.named(ballot.scores)}
    means = score.standings(table)
    return [Fraction(mean.share) if at in scored else None for at, mean in enumerate(means)]


def _told(option: Group, last: Mapping[str, Proposal]) -> Group:
    told = {name: sure for name in option.members if (sure := _of(last[name])) is not None}
    if not told:
        return option
    surest = max(told, key=lambda name: (not last[name].truncated, told[name]))
    return replace(option, confidence=exact(max(told.values())), speaker=surest)


def _of(proposal: Proposal) -> float | None:
    said = proposal.confidence
    return stated_confidence(proposal.text) if said is None else said
