"""Numbers: right within a tolerance of one part in a million, whatever their notation."""

from __future__ import annotations

import math
from fractions import Fraction

from mom_council.evals.cases import Case
from mom_council.evals.scorers.exact import wanted
from mom_council.evals.scorers.mark import Mark
from mom_council.voting.answers import canonical

TOLERANCE = 1e-6
"""Relative; and absolute, where the gold answer is 0."""


def score(text: str, case: Case) -> Mark:
    """Right where the final answer is the gold number."""
    answer = canonical(text, kind="closed")
    gold, said = value_of(str(case.gold)), _value(answer)
    if gold is None:
        return Mark(ok=False, answer=answer, note="the gold answer is no number")
    if said is None:
        return Mark(ok=False, answer=answer, note="no number was answered")
    ok = math.isclose(float(said), float(gold), rel_tol=TOLERANCE, abs_tol=TOLERANCE * (gold == 0))
    return Mark(ok=said == gold or ok, answer=answer)


def value_of(text: str) -> Fraction | None:
    """The number that a gold answer is, None where it is none."""
    return _value(wanted(text))


def _value(form: str | None) -> Fraction | None:
    """The number of a canonical form: `42`, `-0.5`, `3/4`, `1e3`."""
    try:
        value = Fraction(form or "")
        return value if math.isfinite(float(value)) else None
    except (ValueError, ZeroDivisionError, OverflowError):
        return None
