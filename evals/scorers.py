"""Whether an answer is right. `SCORERS` is the table; a new scorer is a function and a line.

`exact`: equal once both answers are read. `numeric`: right within a tolerance of one
part in a million, whatever the notation. `choice`: right by its letter, or by the words of the
option. `code`: right where it runs, and its case's check runs after it. A judge, which compares two
answers, is in `evals.duel`.
"""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Callable
from fractions import Fraction
from typing import NamedTuple

from mom_council.evals.cases import LETTERS, Case, completed
from mom_council.evals.sandbox import may_be_open, run_python
from mom_council.voting.reading import (
    Answer,
    are_same,
    is_refusal,
    plain_text,
    read_answer,
    read_value,
)


class Mark(NamedTuple):
    """Whether an answer is right."""

    ok: bool
    answer: str | None = None
    """The final answer that was read from it, in one form; None where there is none."""
    note: str = ""
    """Why it is wrong, where that is more than being another answer."""


_SHORT = 200  # characters


def score_exact(text: str, case: Case) -> Mark:
    """Right where the final answers are the same, or the words, whatever their case and blanks."""
    read = read_answer(text, kind="closed")
    same = False
    if case.gold is not None:
        gold = str(case.gold)
        same = are_same(read, read_gold(gold)) or _normalise(text) == _normalise(gold)
    # Where no options are known, "C. Darwin" may be a name: it is kept whole.
    answer = read.form if read.type == "choice" else read.bare
    if answer is None and len(text) <= _SHORT and (same or not is_refusal(text)):
        # No answer that can be read, but words, which can be the same as another's.
        answer = _normalise(text) or None
    note = "the case has no gold answer" if case.gold is None else ""
    return Mark(ok=same, answer=answer, note=note)


def read_gold(gold: str) -> Answer:
    """A gold answer, which may be written in any way itself."""
    value = read_value(gold, words=40)
    return value if value else read_answer(gold, kind="closed")


def _normalise(text: str) -> str:
    return " ".join(text.split()).strip(" .").casefold()


TOLERANCE = 1e-6
"""Relative; and absolute, where the gold answer is 0."""


def score_number(text: str, case: Case) -> Mark:
    """Right where the final answer is the gold number."""
    read = read_answer(text, kind="closed")
    answer = read.bare
    gold, num = value_of(str(case.gold)), _value(read)
    if gold is None:
        return Mark(ok=False, answer=answer, note="the gold answer is no number")
    if num is None:
        return Mark(ok=False, answer=answer, note="no number was answered")
    near = math.isclose(float(num), float(gold), rel_tol=TOLERANCE, abs_tol=TOLERANCE * (gold == 0))
    return Mark(ok=near or num == gold or are_same(read, read_gold(str(case.gold))), answer=answer)


def value_of(text: str) -> Fraction | None:
    """The number that a gold answer is, None where it is none."""
    return _value(read_gold(text))


def _value(answer: Answer) -> Fraction | None:
    """The number of an answer, where it is finite as a float."""
    try:
        return answer.value if answer.value is None or math.isfinite(float(answer.value)) else None
    except OverflowError:
        return None


def score_choice(text: str, case: Case) -> Mark:
    """Right where the letter that was chosen is the gold one."""
    options = case.options or ()
    gold = letter_of(str(case.gold), options)
    chosen = read_answer(text, kind="closed", options=options).form
    if gold is None:
        return Mark(ok=False, answer=chosen, note="the gold answer is none of the options")
    return Mark(ok=chosen == gold, answer=chosen, note="" if chosen else "nothing was chosen")


def letter_of(answer: str, options: tuple[str, ...]) -> str | None:
    """The letter that a letter, or the words of one option alone, stand for."""
    bare = answer.strip().strip("().").upper()
    if len(bare) == 1 and bare in LETTERS[: len(options)]:
        return bare
    return read_answer(answer, kind="closed", options=options).form


_FENCE = re.compile(r"```[ \t]*(\w*)[^\n]*\n(.*?)(?:\n[ \t]*```|\Z)", re.DOTALL)


def score_code(text: str, case: Case) -> Mark:
    """Right where the answer's code, then the case's check, run to their end in the sandbox."""
    source = code_in(text)
    if case.stub is not None:
        source = _complete_program(text if source is None else source, case.stub)
    if source is None:
        return Mark(ok=False, note="there is no code in the answer")
    if case.check is None:
        return Mark(ok=False, note="the case has no check")
    outcome = run_python(source, case.check, may_be_open=may_be_open.get())
    return Mark(ok=outcome.ok, answer=None, note=outcome.why)


def _complete_program(source: str, stub: str) -> str | None:
    """An answer's code as a whole program with what it needs of the stub; None where it is none."""
    whole = completed(source, stub)
    try:
        compile(whole, "answer", "exec")
    except (SyntaxError, ValueError):
        return None
    return whole


def code_in(text: str) -> str | None:
    """The Python in an answer: its fences joined, or all of it where it compiles as it stands."""
    code = plain_text(text)
    fences = [
        body for language, body in _FENCE.findall(code) if language.lower() in ("", "python", "py")
    ]
    if fences:
        return "\n\n".join(textwrap.dedent(body) for body in fences)
    try:
        compile(code, "answer", "exec")
    except (SyntaxError, ValueError):
        return None
    return code or None


Scorer = Callable[[str, Case], Mark]
"""(the whole answer, the case) -> whether it is right. It may block; it never raises."""

SCORERS: dict[str, Scorer] = {
    "exact": score_exact,
    "numeric": score_number,
    "choice": score_choice,
    "code": score_code,
}


def suits(case: Case) -> str:
    """The scorer that a case asks for: what it has says what it is."""
    if case.check is not None:
        return "code"
    if case.options:
        return "choice"
    return "numeric" if value_of(str(case.gold)) is not None else "exact"
