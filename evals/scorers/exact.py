"""Exact match of final answers: equal once both are in canonical form."""

from __future__ import annotations

from mom_council.evals.cases import Case
from mom_council.evals.scorers.mark import Mark
from mom_council.voting.answers import canonical, is_refusal

_SHORT = 200  # characters


def score(text: str, case: Case) -> Mark:
    """Right where the canonical answers are equal, or the words, whatever their case and blanks."""
    if case.gold is None:
        return Mark(ok=False, note="the case has no gold answer")
    gold = str(case.gold)
    answer = canonical(text, kind="closed")
    same = (answer is not None and answer == wanted(gold)) or _even(text) == _even(gold)
    if answer is None and len(text) <= _SHORT and (same or not is_refusal(text)):
        # No answer that can be read, but words, which can be the same as another's.
        answer = _even(text) or None
    return Mark(ok=same, answer=answer)


def wanted(gold: str) -> str | None:
    """The canonical form of a gold answer, which may be written in any way itself."""
    return canonical(f"Answer: {gold}", kind="closed") or canonical(gold, kind="closed")


def _even(text: str) -> str:
    return " ".join(text.split()).strip(" .").casefold()
