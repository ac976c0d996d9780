"""Similarity: texts that say much the same are counted as one, weighted; nobody is asked to vote.

For open questions, where no answer equals another. The heaviest cluster leads, and its medoid
speaks for it: the text most like the rest. Words are all that is compared (see `likeness`), unless
the council names a model that turns texts into vectors (`deliberation.likeness`); either way
final answers come first: who gave one is never joined to another answer by sounding like it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mom_council.councils.records import Proposal
from mom_council.voting.likeness import Alike, Measure, clusters, medoid
from mom_council.voting.methods import base as additive
from mom_council.voting.methods.base import Group, Number, Standing, Table
from mom_council.voting.replies import is_refusal, plain

ASKS = False


def prepare(
    options: list[Group], last: Mapping[str, Proposal], measure: Measure | None = None
) -> list[Group]:
    """The options with those joined whose texts are alike, each with its medoid to speak for it.

    Args:
        options: of equal answers or the same words.
        last: each character's last proposal, in seat order.
        measure: how texts are compared; by their words if left out.
    """
    by, line = measure or (None, 0.5)
    texts = [last[option.members[0]].text for option in options]
    free = [
        at
        for at, option in enumerate(options)
        if option.answer is None and not is_refusal(texts[at])
    ]
    found = clusters([plain(texts[i]) for i in free], line, by)
    alike = [[free[at] for at in cluster] for cluster in found]
    rest = [[at] for at in range(len(options)) if at not in free]
    # In the order of first members, as all options are: seats break ties.
    return [
        _joined([options[at] for at in one], last, by) for one in sorted([*alike, *rest], key=min)
    ]


def standings(table: Table) -> list[Standing]:
    """The weight behind each cluster, and its share of all weight."""
    weights = [group.weight for group in table.options]
    return additive.stand(weights, sum(weights))


def lead(table: Table, leader: int, rival: int, out: Mapping[str, float]) -> Number:
    """The lead; none while anybody is out, because one more text can join others to a cluster."""
    return -1 if out else table.options[leader].weight - table.options[rival].weight


def shares(table: Table, option: int, out: Mapping[str, float]) -> tuple[Number, Number]:
    """The share; anything while anybody is out."""
    share = standings(table)[option].share
    return (0, 1) if out else (share, share)


def _joined(options: Sequence[Group], last: Mapping[str, Proposal], by: Alike | None) -> Group:
    together = {name for option in options for name in option.members}
    members = tuple(name for name in last if name in together)
    whole = [name for name in members if not last[name].truncated] or list(members)
    texts = [plain(last[name].text) for name in whole]
    at = medoid(texts, [last[name].weight for name in whole], by)
    return Group(
        members=members,
        weight=sum(option.weight for option in options),
        answer=options[0].answer,
        speaker=whole[at],
    )
