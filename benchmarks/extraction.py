"""Does `canonical` read what the recording's own reader read? Compared where both read something.

Answers are equal when their forms are, or when their numbers agree to six digits: recordings keep
decimals where a model wrote a fraction.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from fractions import Fraction

from pydantic import BaseModel, ConfigDict

from mom_council.councils.recording import Question
from mom_council.voting.answers import canonical
from mom_council.voting.forms import read_form


class Agreement(BaseModel):
    """How reading the ends of replies compares with the recorded answers.

    Attributes:
        both: replies of which both read an answer.
        equal: those where it is the same.
        missed: replies where only the recording has an answer, often because it stood before the
            end that was kept.
        gained: replies where only we read one.
        differing: some of the differences: id, model, recorded, read.
    """

    model_config = ConfigDict(frozen=True)

    both: int
    equal: int
    missed: int
    gained: int
    differing: tuple[tuple[str, str, str, str], ...] = ()

    @property
    def share(self) -> float:
        """Of those that both read, how many agree; 1.0 where there is none."""
        return self.equal / self.both if self.both else 1.0


def compare_reading(questions: Iterable[Question], *, examples: int = 20) -> Agreement:
    """Read every recorded end of a reply anew and compare."""
    both = equal = missed = gained = 0
    differing: list[tuple[str, str, str, str]] = []
    for question in questions:
        for model, answer in question.models.items():
            if not answer.tail:
                continue
            read = canonical(answer.tail, kind="closed")
            if read is None or answer.ans is None:
                missed += answer.ans is not None
                gained += read is not None
                continue
            both += 1
            if same_answer(answer.ans, read):
                equal += 1
            elif len(differing) < examples:
                differing.append((question.id, model, answer.ans, read))
    return Agreement(
        both=both, equal=equal, missed=missed, gained=gained, differing=tuple(differing)
    )


def same_answer(recorded: str, read: str) -> bool:
    """Whether two short answers are one, as written in two places."""
    forms = [form.text if (form := read_form(each)) else each for each in (recorded, read)]
    one, other = (" ".join(each.split()).casefold() for each in forms)
    if one == other:
        return True
    first, second = _number(one), _number(other)
    return first is not None and second is not None and math.isclose(first, second, rel_tol=2e-6)


def _number(text: str) -> Fraction | None:
    try:
        return Fraction(text)
    except (ValueError, ZeroDivisionError):
        return None
