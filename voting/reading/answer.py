"""An answer as a typed value, and when two are the same.

Equality is decided on keys. Two answers are the same where their keys are equal, or where one
leaves out what the other says (`5` and `5 m`, `x = 5` and `5`, `B` and `B. Paris`): then the fuller
one lists the key of the shorter among its `alts`. In doubt answers are different.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

AnswerType = Literal[
    "number",
    "time",
    "date",
    "ratio",
    "range",
    "interval",
    "set",
    "tuple",
    "list",
    "mapping",
    "equation",
    "inequality",
    "term",
    "matrix",
    "choice",
    "truth",
    "phrase",
    "text",
    "open",
    "no answer",
]
"""What an answer is. number: fractions, percentages, money and quantities too; set: several values
without an order; tuple, list: with one; term: a polynomial, a root, a complex number; choice: one
or several letters; truth: yes, no, true, false; phrase: a name or a few words; text: exact text in
quotation marks or as code; open: words without one short final answer; no answer: a refusal,
"I don't know", an empty reply."""

MATHEMATICS: frozenset[AnswerType] = frozenset({
    "number", "interval", "set", "tuple", "list", "equation", "inequality", "term", "matrix",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Answer:
    """What a reply answers.

    Attributes:
        type: what it is.
        form: one way to write it, for people and records; None where nothing was answered.
        key: equal keys, same answer.
        alts: keys of what this answer says too, with something left out.
        bare: the form without unit, label or unknown, in small letters where case means nothing:
            what recordings keep.
        value: of a number, scale words included.
        unit: of a number, as the form shows it.
        letters: of a choice.
    """

    type: AnswerType
    form: str | None = None
    key: str = ""
    alts: frozenset[str] = frozenset()
    bare: str | None = None
    value: Fraction | None = None
    unit: str = ""
    letters: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Whether something was answered."""
        return self.form is not None

    @property
    def hard(self) -> bool:
        """Whether prose is unlikely to look like this by chance."""
        return self.type not in ("phrase", "open", "no answer")


NO_ANSWER = Answer("no answer")
OPEN = Answer("open")


def are_same(one: Answer, other: Answer) -> bool:
    """Whether two answers are the same; what answers nothing is the same as nothing."""
    if not one or not other:
        return False
    return one.key == other.key or one.key in other.alts or other.key in one.alts


def group_equal(answers: Sequence[Answer]) -> list[list[int]]:
    """The places of equal answers together, in the order of their first; without those of none.

    The result does not depend on the order. An answer that leaves something out joins the group
    of a fuller one where there is one such group; where there are two (`5`, `5 m` and `5 kg`), it
    stays alone.
    """
    by_key: dict[str, list[int]] = {}
    for at, answer in enumerate(answers):
        if answer:
            by_key.setdefault(answer.key, []).append(at)
    members = {key: answers[places[0]] for key, places in by_key.items()}
    alts = {
        key: frozenset().union(*(answers[at].alts for at in places))
        for key, places in by_key.items()
    }
    home = {key: key for key in members}
    # The fullest first: whoever leaves something out looks for the one fuller group it fits.
    for key in sorted(members, key=lambda key: (-len(alts[key]), key)):
        fuller = {home[other] for other in members if other != key and key in alts[other]}
        if len(fuller) == 1:
            home[key] = fuller.pop()
    together: dict[str, list[int]] = {}
    for key, places in by_key.items():
        together.setdefault(home[key], []).extend(places)
    return sorted(sorted(places) for places in together.values())
