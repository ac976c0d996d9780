"""Does `read_answer` read what the recording's own reader read? Compared where both read.

Answers are equal when the reader says so, or when their numbers agree to six digits: recordings
keep decimals where a model wrote a fraction.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from fractions import Fraction

from pydantic import BaseModel, ConfigDict

from mom_council.councils.recording import RecordedQuestion
from mom_council.voting.reading import Answer, are_same, read_answer, read_value


class Agreement(BaseModel):
    """How reading the ends of replies compares with the recorded answers.

    Attributes:
        both: replies of which both read an answer.
        equal: those where it is the same.
        fuller: differences where the recording has a part of what we read: the 2 of `2sqrt(3)`.
        unseen: differences where the recorded answer does not stand in the end that was kept.
        missed: replies where only the recording has an answer, often because it stood before the
            end that was kept.
        overlooked: those of them whose kept end holds that answer.
        gained: replies where only we read one.
        differing: some of the differences: id, model, recorded, read.
    """

    model_config = ConfigDict(frozen=True)

    both: int
    equal: int
    missed: int
    gained: int
    fuller: int = 0
    unseen: int = 0
    overlooked: int = 0
    differing: tuple[tuple[str, str, str, str], ...] = ()

    @property
    def share(self) -> float:
        """Of those that both read, how many agree; 1.0 where there is none."""
        return self.equal / self.both if self.both else 1.0

    @property
    def raw_share(self) -> float:
        """Of all replies of which the recording has an answer, how many are read as it."""
        recorded = self.both + self.missed
        return self.equal / recorded if recorded else 1.0

    @property
    def held(self) -> int:
        """Replies whose kept end holds the recorded answer."""
        return self.both - self.unseen + self.overlooked

    @property
    def held_share(self) -> float:
        """Of those, how many are read as the recording has them."""
        return self.equal / self.held if self.held else 1.0

    @property
    def whole_share(self) -> float:
        """The same without those of which the recording holds a part of what is stated."""
        whole = self.held - self.fuller
        return self.equal / whole if whole else 1.0


def compare_reading(questions: Iterable[RecordedQuestion], *, examples: int = 20) -> Agreement:
    """Read every recorded end of a reply anew and compare."""
    both = equal = missed = gained = fuller = unseen = overlooked = 0
    differing: list[tuple[str, str, str, str]] = []
    for question in questions:
        for model, answer in question.models.items():
            if not answer.tail:
                continue
            read = read_answer(answer.tail, kind="closed", options=question.options or ())
            if not read or answer.ans is None:
                missed += answer.ans is not None
                overlooked += answer.ans is not None and _holds(answer.tail, answer.ans)
                gained += bool(read)
                continue
            both += 1
            if same_recorded(answer.ans, read):
                equal += 1
                continue
            if _is_part(answer.ans, str(read.form)):
                fuller += 1
            elif not _holds(answer.tail, answer.ans):
                unseen += 1
            if len(differing) < examples:
                differing.append((question.id, model, answer.ans, str(read.form)))
    return Agreement(
        both=both,
        equal=equal,
        missed=missed,
        gained=gained,
        fuller=fuller,
        unseen=unseen,
        overlooked=overlooked,
        differing=tuple(differing),
    )


def same_recorded(recorded: str, read: Answer) -> bool:
    """Whether a recorded answer and one that was read are one.

    Recordings mark text with `S:`, keep decimals where a model wrote a fraction, and leave out
    units.
    """
    text = recorded[2:] if recorded.startswith("S:") else recorded
    answer = read_value(text, words=40)
    if answer is not None and are_same(answer, read):
        return True
    if read.form is not None and _even(text) in (_even(read.form), _even(str(read.bare))):
        return True
    first, second = _number(text), _number(str(read.bare))
    return first is not None and second is not None and math.isclose(first, second, rel_tol=2e-6)


def _is_part(recorded: str, text: str) -> bool:
    """Whether a recorded answer stands in a text, whatever blanks and quotation marks there are."""
    bare, whole = (re.sub(r"[\s'\"`\\]", "", one) for one in (recorded.removeprefix("S:"), text))
    return re.search(rf"(?<![\w.]){re.escape(bare)}(?![\w.]\w)", whole, re.IGNORECASE) is not None


def _holds(tail: str, recorded: str) -> bool:
    """Whether the kept end of a reply holds an answer; a letter only where it names an option.

    The J of `5 J` is a unit, the A of `A man` a word, and the B of a list of options no choice.
    """
    if not re.fullmatch(r"[A-Z]", recorded):
        return _is_part(recorded, tail)
    lines = {each[1] for each in re.finditer(r"(?m)^\W{0,3}([A-Z])\W{0,3}(?:[.):]\s|$)", tail)}
    named = (
        rf"\(\W{{0,2}}{recorded}\W{{0,2}}\)|\([A-Z,\s]*(?:and\s+)?{recorded}[A-Z,\s]*\)|"
        rf"(?i:\b(?:answer|answers|option|options|choice|is|are)\b)[\s:*(]{{1,4}}{recorded}(?:[.*)]|\Z)|"
        rf"-->\s*{recorded}\b"
    )
    return lines == {recorded} or re.search(named, tail) is not None


def _even(text: str) -> str:
    return " ".join(text.split()).strip("'\"`").casefold()


def _number(text: str) -> Fraction | None:
    try:
        return Fraction(text)
    except (ValueError, ZeroDivisionError):
        return None
