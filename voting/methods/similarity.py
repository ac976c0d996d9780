"""Similarity: texts that say much the same are counted as one, weighted; nobody is asked to vote.

For open questions, where no answer equals another. The heaviest cluster leads, and its medoid
speaks for it: the text most like the rest. Words are all that is compared (see `likeness`), unless
the council names a model that turns texts into vectors (`deliberation.likeness`); either way
final answers come first: who gave one is never joined to another answer by sounding like it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mom_council.records import Proposal, Verdict
from mom_council.voting.likeness import Alike, Measure, clusters, medoid
from mom_council.voting.methods.base import (
    AnswerGroup,
    Number,
    Standing,
    Tally,
    VoteMethod,
    percent,
    standings_of,
)
from mom_council.voting.reading import is_refusal, plain_text


class Similarity(VoteMethod):
    """Like texts are counted as one."""

    name = "similarity"
    meaning = "like texts are"
    aliases = ("consensus",)
    asks_voters = False
    counts = "texts that are alike"
    compares_texts = True
    stop_rules = frozenset()
    share_means = "{:.0%} saying much the same"

    def prepare(
        self,
        options: list[AnswerGroup],
        last: Mapping[str, Proposal],
        measure: Measure | None = None,
    ) -> list[AnswerGroup]:
        """The options with those joined whose texts are alike, each with its medoid to speak."""
        by, line = measure or (None, 0.5)
        texts = [last[option.members[0]].text for option in options]
        free = [
            at
            for at, option in enumerate(options)
            if option.answer is None and not is_refusal(texts[at])
        ]
        near = clusters([plain_text(texts[at]) for at in free], line, by)
        alike = [[free[at] for at in cluster] for cluster in near]
        rest = [[at] for at in range(len(options)) if at not in free]
        # In the order of first members, as all options are: seats break ties.
        together = sorted([*alike, *rest], key=min)
        return [_join_options([options[at] for at in group], last, by) for group in together]

    def standings(self, tally: Tally) -> list[Standing]:
        """The weight behind each cluster, and its share of all weight."""
        weights = [group.weight for group in tally.options]
        return standings_of(weights, sum(weights))

    def lead(self, tally: Tally, leader: int, rival: int, out: Mapping[str, float]) -> Number:
        """The lead; none while anybody is out, since one more text can join others."""
        return -1 if out else tally.options[leader].weight - tally.options[rival].weight

    def shares(self, tally: Tally, option: int, out: Mapping[str, float]) -> tuple[Number, Number]:
        """The share; anything while anybody is out."""
        share = self.standings(tally)[option].share
        return (0, 1) if out else (share, share)

    def describe(self, verdict: Verdict, leader: str) -> str:
        """By weight: texts have no heads to count where several are joined."""
        return f"{percent(verdict.share)} of the weight said much the same as {leader}"


def _join_options(
    options: Sequence[AnswerGroup], last: Mapping[str, Proposal], by: Alike | None
) -> AnswerGroup:
    together = {name for option in options for name in option.members}
    members = tuple(name for name in last if name in together)
    whole = [name for name in members if not last[name].truncated] or list(members)
    texts = [plain_text(last[name].text) for name in whole]
    at = medoid(texts, [last[name].weight for name in whole], by)
    return AnswerGroup(
        members=members,
        weight=sum(option.weight for option in options),
        answer=options[0].answer,
        speaker=whole[at],
        silent=options[0].silent,
        broken_off=all(last[name].truncated for name in members),
    )


METHOD = Similarity()
