"""Which of several open texts say much the same, and which one represents them, by words.

For open questions there is no equal answer to count. Texts that share many words form a cluster,
and the text most like all the others is the medoid: the least eccentric of the proposals. Words
are all this knows: two texts that say the same in other words are not alike to it.

Sources: P. Jaccard, "Etude comparative de la distribution florale" (1901), for the measure;
L. Kaufman and P. J. Rousseeuw, "Clustering by means of medoids" (1987).
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple


def likeness(one: str, other: str) -> float:
    """The part of the words and pairs of neighbouring words that two texts share, 0..1."""
    return _shared(_marks(one), _marks(other))


Alike = Callable[[str, str], float]
"""How alike two texts are, 0..1."""


class Measure(NamedTuple):
    """How texts are compared."""

    alike: Alike
    threshold: float
    """From which on two texts are one option."""


def clusters(
    texts: Sequence[str], threshold: float = 0.5, alike: Alike | None = None
) -> list[list[int]]:
    """Groups of texts, as indices in order; largest group first, then by first text.

    A text joins a group only where it is as like as the threshold to every member, so that no
    chain of half-likenesses joins texts that have nothing in common.
    """
    near = _matrix(texts, alike)
    groups: list[list[int]] = []
    for at in range(len(texts)):
        fits = [
            (min(near[at][member] for member in group), -place, group)
            for place, group in enumerate(groups)
        ]
        best = max(fits, default=None)
        if best is not None and best[0] >= threshold:
            best[2].append(at)
        else:
            groups.append([at])
    return sorted(groups, key=lambda group: -len(group))


def medoid(
    texts: Sequence[str], weights: Sequence[float] | None = None, alike: Alike | None = None
) -> int:
    """The index of the text that is most like all the others, weighted; the first of equals.

    Raises:
        ValueError: there is no text.
    """
    if not texts:
        raise ValueError("texts is empty; a medoid needs at least one text")
    weights = [1.0] * len(texts) if weights is None else weights
    near = _matrix(texts, alike)
    sums = [
        sum(weight * row[at] for at, weight in enumerate(weights) if at != place)
        for place, row in enumerate(near)
    ]
    return sums.index(max(sums))


def _matrix(texts: Sequence[str], alike: Alike | None) -> list[list[float]]:
    if alike is not None:
        return [[alike(one, other) for other in texts] for one in texts]
    marks = [_marks(text) for text in texts]
    return [[_shared(one, other) for other in marks] for one in marks]


def _marks(text: str) -> frozenset[str]:
    words = re.findall(r"\w+", text.casefold())
    return frozenset(words) | {f"{a} {b}" for a, b in itertools.pairwise(words)}


def _shared(one: frozenset[str], other: frozenset[str]) -> float:
    union = len(one | other)
    return len(one & other) / union if union else 1.0
