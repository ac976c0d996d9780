"""Who can be voted for, and every way in which a reply may name one of them.

A candidate is named by its label (`B`, `(b)`, `Candidate B`), by its character's name, or by what
it answered. The article in "A better answer" and the pronoun in "I think" are no names.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from mom_council.voting.reading import are_same, read_answer

_NOUN = (
    r"(?i:candidate|option|answer|proposal|response|choice|letter|reply|entry|statement|solution)"
)
# Bounded, here and below: replies of nothing but brackets must not cost quadratic time.
_WRAP = r"[*_`\"'(\[<]{0,5}"
_UNWRAP = r"[*_`\"')\]>]{0,5}"
_ALONE = r"(?![\w+#]|'\w|-\w)"
# "A good answer" and "I think" are prose; "A because ..." and "I is right" name a candidate.
_GOES_ON = (
    r"(?:because|since|as|is|was|has|for|over|with|due|and|or|but|by|scores?|gets?|then|gives|out)"
)
_PROSE = rf"(?!\s+(?!{_GOES_ON}\b)[a-z])"
_SMALL_END = r"(?=\s*(?:[.,;:!?)\]*_`\">=]|'(?!\w)|$)|\s+(?:because|since|over|or|and)\b)"
_JOIN = r"(?:[ \t]*(?:,|/|&|\+|\bor\b|\band\b|\bvs\b\.?)[ \t]*+(?:(?:and|or)\b[ \t]*+)?|[ \t]++)"
_NOT_SUBJECT = r"(?!\s+(?:is|was|has|gets|fails|lacks|makes|gives|does|seems|scores)\b)"


class Candidate(NamedTuple):
    """A proposal as a voter was shown it.

    Attributes:
        label: what the prompt called it: `A`, `B`, ...
        character: whose it is; this is what a ballot records.
        text: what it says.
    """

    label: str
    character: str
    text: str


class Roll:
    """The candidates of one ballot, and how to find them in a reply."""

    def __init__(self, candidates: Sequence[Candidate]) -> None:
        self.candidates = tuple(candidates)
        self._names = {
            each.character.casefold(): each.character for each in reversed(self.candidates)
        }
        self._names |= {each.label.casefold(): each.character for each in reversed(self.candidates)}
        self._texts = {_even(each.text): each.character for each in reversed(self.candidates)}
        # The first shown of equal answers stands for them: they are counted as one anyway.
        self._answers = [
            (answer, each.character)
            for each in self.candidates
            if (answer := read_answer(each.text, kind="closed"))
        ]
        name = self._reference()
        self.name = re.compile(name)
        self.names = re.compile(rf"{name}(?:{_JOIN}{name}{_NOT_SUBJECT}){{0,31}}")

    @property
    def characters(self) -> tuple[str, ...]:
        """All candidates, in the order they were shown."""
        return tuple(each.character for each in self.candidates)

    def who(self, token: str) -> str | None:
        """The character that a bare reference names: `B`, `(b)`, `**Candidate B**`, `Skeptic`."""
        token = re.sub(rf"^{_WRAP}(?:{_NOUN}\s*:?\s+)?{_WRAP}", "", token.strip()).rstrip(
            " \t\n.,:;!?*_`\"')]>"
        )
        return self._names.get(token.casefold())

    def all_in(self, text: str) -> list[str]:
        """The characters that a text refers to, each once, in order."""
        found = (self.who(each[0]) for each in self.name.finditer(text))
        return list(dict.fromkeys(name for name in found if name))

    def by_answer(self, text: str) -> str | None:
        """The first shown of the candidates that answer what this short text says."""
        text = text.strip()
        for reading in (text, f"The answer is {text}"):
            answer = read_answer(reading)
            for other, character in self._answers:
                if are_same(answer, other):
                    return character
        return self._texts.get(_even(text)) if text else None

    def resolve(self, value: str) -> str | None:
        """The one candidate that a value such as `B`, `B: Paris` or `42` stands for, else None."""
        named = self.who(value)
        if named:
            return named
        head = self.names.match(value.strip())
        if head and re.match(r"\s*(?:[:.)–—-]|because\b|since\b|$)", value.strip()[head.end() :]):
            members = self.all_in(head[0])
            return members[0] if len(members) == 1 else None
        return None if head and len(self.all_in(head[0])) > 1 else self.by_answer(value)

    def _reference(self) -> str:
        labels = sorted({each.label for each in self.candidates}, key=len, reverse=True)
        big, small = [], []
        for label in labels:
            prose = _PROSE if label in {"A", "I"} else ""
            big.append(re.escape(label) + prose)
            if label.lower() != label:
                small.append(re.escape(label.lower()))
        names = sorted((each.character for each in self.candidates), key=len, reverse=True)
        spelled = "|".join(re.escape(name) for name in names if len(name) > 1)
        forms = [rf"{_NOUN}\s*:?\s+{_WRAP}(?i:{'|'.join(map(re.escape, labels))}){_ALONE}{_PROSE}"]
        forms.append(rf"(?:{'|'.join(big)}){_ALONE}")
        if small:
            forms.append(rf"(?:{'|'.join(small)}){_ALONE}{_SMALL_END}")
        if spelled:
            forms.append(rf"(?i:{spelled})(?!\w)")
        return rf"(?<![\w'-]){_WRAP}(?:{'|'.join(forms)}){_UNWRAP}"


def _even(text: str) -> str:
    return " ".join(re.sub(r"[*_`\"'.]", " ", text).split()).casefold()
