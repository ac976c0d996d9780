"""Scorers: what makes an answer right. `SCORERS` is the table; a new one is a module and a line.

The judge compares two answers and is no entry here: see `scorers.judge`.
"""

from __future__ import annotations

from collections.abc import Callable

from mom_council.evals.cases import Case
from mom_council.evals.scorers import choice, code, exact, numeric
from mom_council.evals.scorers.mark import Mark

Scorer = Callable[[str, Case], Mark]
"""(the whole answer, the case) -> whether it is right. It may block; it never raises."""

SCORERS: dict[str, Scorer] = {
    "exact": exact.score,
    "numeric": numeric.score,
    "choice": choice.score,
    "code": code.score,
}

__all__ = ["SCORERS", "Mark", "Scorer", "suits"]


def suits(case: Case) -> str:
    """The scorer that a case asks for: what it has says what it is."""
    if case.check is not None:
        return "code"
    if case.options:
        return "choice"
    return "numeric" if numeric.value_of(str(case.gold)) is not None else "exact"
