"""Finding passages by their words: BM25, for machines without an embedding model."""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

_K = 1.2
_B = 0.75
_SAYING_NOTHING = """
a about an and are as at be been but by can could did do does for from had has have he her his how
i if in is it its me my no not of on or our she should so some than that the their them then there
these they this those to up us was we were what when where which who whom whose why will with would
you your
"""


def words(text: str) -> list[str]:
    """The words of a text, case and accents aside; a plain English plural is its singular."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    found = re.findall(r"\w+", "".join(c for c in plain if not unicodedata.combining(c)))
    return [w[:-1] if len(w) > 3 and w.endswith("s") and not w.endswith("ss") else w for w in found]


_NOTHING = frozenset(words(_SAYING_NOTHING))


class Lexicon:
    """Texts that can be searched by their words."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._counts = [Counter(words(text)) for text in texts]
        self._lengths = [sum(count.values()) for count in self._counts]
        self._mean = sum(self._lengths) / len(texts) if texts else 0.0
        self._holding: Counter[str] = Counter(word for count in self._counts for word in count)

    def best(self, query: str, most: int) -> list[int]:
        """The numbers of the texts that fit a query best, best first; none that shares no word.

        Words that say nothing, or stand in more than half of four texts or more, do not count.
        """
        total = len(self._counts)
        asked = {*words(query)} - _NOTHING
        asked = {word for word in asked if total < 4 or self._holding[word] * 2 <= total}
        scores = [(self._score(asked, n), -n) for n in range(len(self._counts))]
        found = sorted((pair for pair in scores if pair[0] > 0), reverse=True)
        return [-number for _, number in found[:most]]

    def _score(self, asked: set[str], number: int) -> float:
        count, total = self._counts[number], len(self._counts)
        length = _K * (1 - _B + _B * self._lengths[number] / self._mean) if self._mean else _K
        score = 0.0
        for word in asked & count.keys():
            holding = self._holding[word]
            rarity = math.log(1 + (total - holding + 0.5) / (holding + 0.5))
            score += rarity * count[word] * (_K + 1) / (count[word] + length)
        return score
