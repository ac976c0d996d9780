"""An answer as a typed value, and when two are the same.

Equality is decided on keys. Two answers are the same where their keys are equal, or where one
leaves out what the other says (`5` and `5 m`, `x = 5` and `5`, `B` and `B. Paris`): then the fuller
one lists the key of the shorter among its `alts`. In doubt answers are different. `may_be_same` names
the doubt: the same digits in other words, a name with and without a title, initials, a spelling.
"""

from __future__ import annotations

import difflib
import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from fractions import Fraction
from typing import Literal

from mom_council.voting.reading.text import lazy_pattern

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

_SIMPLE = lazy_pattern(r"-?(?:0|[1-9]\d{0,14})")


def is_plain_number(text: str) -> bool:
    """Whether a text is nothing but a whole number in plain digits."""
    return len(text) <= 16 and _SIMPLE.fullmatch(text) is not None


def write_number(value: Fraction) -> str:
    """`42`, `-0.5` or, where the decimals do not end, `1/3`."""
    if value.denominator == 1:
        return str(value.numerator)
    rest, places = value.denominator, 0
    for prime in (2, 5):
        power = 0
        while rest % prime == 0:
            rest, power = rest // prime, power + 1
        places = max(places, power)
    if rest != 1 or places > 40:
        return f"{value.numerator}/{value.denominator}"
    digits = str(abs(value.numerator) * 10**places // value.denominator).rjust(places + 1, "0")
    sign = "-" if value < 0 else ""
    return f"{sign}{digits[:-places]}.{digits[-places:]}"


def plain_number(value: Fraction) -> Answer:
    """A number without a unit."""
    number = write_number(value)
    return Answer("number", number, f"#{number}", bare=number, value=value)


def are_same(one: Answer, other: Answer) -> bool:
    """Whether two answers are the same; what answers nothing is the same as nothing."""
    if not one or not other:
        return False
    if one.key == other.key or one.key in other.alts or other.key in one.alts:
        return True
    return _algebra_joins(one, other)


_UNEVALUATED = ("?", "rel:")
"""How the keys of mathematics begin whose value our own reading does not know."""


_COMMAND = lazy_pattern(
    r"\\(?:sum|prod|i*int|oint|lim|frac|sqrt|binom|max|min|sup|inf|det)(?![a-z])"
)


def needs_algebra(one: Answer, other: Answer) -> bool:
    """Whether two answers are mathematics, and one of them is more than our own reading knows."""
    if one.type == other.type == "choice":
        return False
    unknown = one.key.startswith(_UNEVALUATED) or other.key.startswith(_UNEVALUATED)
    if not unknown and "\\" not in one.key and "\\" not in other.key:
        return False
    return all(
        each.type in MATHEMATICS or _COMMAND.search(each.key) is not None for each in (one, other)
    )


def _are_equal_terms(one: Answer, other: Answer) -> bool:
    from mom_council.voting.reading.computer_algebra import are_equal  # few answers need it

    return are_equal(one.form or "", other.form or "")


def equality_takes_long(answers: Sequence[Answer]) -> bool:
    """Whether a computer algebra system would be asked about some of these answers."""
    distinct = list({answer.key: answer for answer in answers if answer}.values())
    return any(needs_algebra(one, other) for one, other in itertools.combinations(distinct, 2))


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
    roots = [key for key in members if home[key] == key]
    for at, key in enumerate(roots):
        equal = (other for other in roots[:at] if _algebra_joins(members[key], members[other]))
        home[key] = home[next(equal, key)]
    together: dict[str, list[int]] = {}
    for key, places in by_key.items():
        together.setdefault(home[home[key]], []).extend(places)
    return sorted(sorted(places) for places in together.values())


def _algebra_joins(one: Answer, other: Answer) -> bool:
    return needs_algebra(one, other) and _are_equal_terms(one, other)


# --- in doubt ---------------------------------------------------------------------------------

_SURE = frozenset({"choice", "truth", "time"})
"""Types whose values are always written alike once they are read."""
_WORDS = frozenset({"phrase", "text"})
_ALIKE = 0.82
"""Likeness of spelling from which two names may be one: `Dostoevsky`, `Dostoyevsky`."""
_DIGITS = lazy_pattern(r"\d+(?:\.\d+)?")
_PLAIN_NUMBER = lazy_pattern(r"-?\d+\.\d+")


def may_be_same(one: Answer, other: Answer) -> bool:
    """Whether two answers are different as they are read, and a reader may doubt it."""
    if not one or not other or are_same(one, other):
        return False
    if _is_worded(one) and _is_worded(other) and {one.type, other.type} & _WORDS:
        return _alike_in_words(one.form or "", other.form or "")
    if {one.type, other.type} & _SURE:
        return False
    if one.type == other.type == "number":
        return one.unit == other.unit and (_is_rounded(one, other) or _is_rounded(other, one))
    if one.type == other.type and one.type not in MATHEMATICS:
        return False
    return bool(_digits(one)) and _digits(one) == _digits(other)


def _is_worded(answer: Answer) -> bool:
    """Whether an answer is a name or a few words; `J. Austen` is, though J may be a choice."""
    with_text = answer.type == "choice" and answer.form != ", ".join(answer.letters)
    return answer.type in _WORDS or with_text


def _digits(answer: Answer) -> frozenset[str]:
    """The numbers in an answer, whatever else there is; of a number its value."""
    if answer.value is not None and answer.value.denominator == 1:
        return frozenset({str(abs(answer.value.numerator))})
    plain = re.sub(r"(?<=\d),(?=\d{3}(?!\d))", "", answer.form or "")
    return frozenset(number.lstrip("0") or "0" for number in _DIGITS.findall(plain))


def _is_rounded(rounded: Answer, whole: Answer) -> bool:
    """Whether one number is another with fewer digits: `0.33` of `1/3`, `3.14` of `3.1416`."""
    number = _PLAIN_NUMBER.match(rounded.form or "")
    if number is None or whole.value is None:
        return False
    try:
        value = Decimal(whole.value.numerator) / Decimal(whole.value.denominator)
        return value.quantize(Decimal(number[0]), ROUND_HALF_UP) == Decimal(number[0])
    except InvalidOperation:
        return False


def _alike_in_words(one: str, other: str) -> bool:
    first, second = _words(one), _words(other)
    if not first or not second:
        return False
    shorter, longer = sorted((first, second), key=len)
    numbers = [{word for word in words if word[0].isdigit()} for words in (first, second)]
    if numbers[0] != numbers[1]:
        return False
    if set(shorter) <= set(longer):
        return True  # a title, a middle name, a word more
    if len(shorter) == 1 and len(longer) > 1 and len(shorter[0]) == len(longer):
        return shorter[0] == "".join(word[0] for word in longer)
    if shorter[-1] == longer[-1] and any(
        len(word) == 1 and any(name.startswith(word) for name in longer) for word in shorter
    ):
        return True  # initials: `J. Austen`
    spelled = " ".join(first), " ".join(second)
    if min(map(len, spelled)) < 5:
        return False
    return difflib.SequenceMatcher(None, *spelled, autojunk=False).ratio() >= _ALIKE


def _words(text: str) -> list[str]:
    plain = re.sub(r"(?<=\w)\.(?=\w\b)", "", text.casefold())
    return [word for word in re.findall(r"[^\W_]+", plain) if word not in ("the", "a", "an")]
