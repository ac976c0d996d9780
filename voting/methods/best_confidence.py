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

from mom_council.records import Option, Proposal, Verdict
from mom_council.voting.ballot_forms import SCORES
from mom_council.voting.likeness import Measure
from mom_council.voting.methods.base import (
    AnswerGroup,
    Number,
    Standing,
    Tally,
    VoteMethod,
    exact,
    percent,
)
from mom_council.voting.methods.score import MOST, mean_scores
from mom_council.voting.reading import stated_confidence


class BestConfidence(VoteMethod):
    """Who is surest leads."""

    name = "best_confidence"
    meaning = "who is surest leads"
    form = SCORES
    asks_voters = False
    counts = "how sure each says it is"
    stop_rules = frozenset()
    character_instruction = (
        "Before that, say on a line of its own how sure you are that your answer is right, as a "
        'chance that\nyou would bet on: "Confidence: ... %".'
    )
    share_means = "a confidence of {:.0%}"

    def prepare(
        self,
        options: list[AnswerGroup],
        last: Mapping[str, Proposal],
        measure: Measure | None = None,
    ) -> list[AnswerGroup]:
        """The options with how sure their surest members said they are, who then speak for them."""
        return [_with_confidence(option, last) for option in options]

    def standings(self, tally: Tally) -> list[Standing]:
        """The confidence of each option; what has none stands behind."""
        sure = (
            _judge_confidence(tally)
            if tally.ballots
            else [group.confidence for group in tally.options]
        )
        return [Standing(-1, 0, 0) if each is None else Standing(each, each, each) for each in sure]

    def lead(self, tally: Tally, leader: int, rival: int, out: Mapping[str, float]) -> Number:
        """The lead; none while anybody is out, who may be certain."""
        standings = self.standings(tally)
        return -1 if out else standings[leader].value - standings[rival].value

    def shares(self, tally: Tally, option: int, out: Mapping[str, float]) -> tuple[Number, Number]:
        """The share; anything while anybody is out."""
        share = self.standings(tally)[option].share
        return (0, 1) if out else (share, share)

    def support(self, option: Option, verdict: Verdict, proposals: int) -> str:
        """Its confidence, where it gave one."""
        return super().support(option, verdict, proposals) if option.share else ""

    def describe(self, verdict: Verdict, leader: str) -> str:
        """How sure it is."""
        if not verdict.share:
            return f"nobody is sure of {leader}"
        return f"{leader} is the surest ({percent(verdict.share)})"


def _judge_confidence(tally: Tally) -> list[Number | None]:
    scored = {at for ballot in tally.ballots for at in tally.named(ballot.scores)}
    return [mean / MOST if at in scored else None for at, mean in enumerate(mean_scores(tally))]


def _with_confidence(option: AnswerGroup, last: Mapping[str, Proposal]) -> AnswerGroup:
    stated = {name: _confidence_of(last[name]) for name in option.members}
    sure = {name: chance for name, chance in stated.items() if chance is not None}
    if not sure:
        return option
    surest = max(sure, key=lambda name: (not last[name].truncated, sure[name]))
    return replace(option, confidence=exact(max(sure.values())), speaker=surest)


def _confidence_of(proposal: Proposal) -> float | None:
    stated = proposal.confidence
    return stated_confidence(proposal.text) if stated is None else stated


METHOD = BestConfidence()
