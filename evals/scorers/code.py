"""Code: right where it runs, and its case's check runs after it."""

from __future__ import annotations

import re
import textwrap

from mom_council.evals.cases import Case
from mom_council.evals.sandbox import run_python
from mom_council.evals.scorers.mark import Mark
from mom_council.voting.replies import plain

_FENCE = re.compile(r"```[ \t]*(\w*)[^\n]*\n(.*?)(?:\n[ \t]*```|\Z)", re.DOTALL)


def score(text: str, case: Case) -> Mark:
    """Right where the answer's code, then the case's check, run to their end in the sandbox."""
    source = code_in(text)
    if source is None:
        return Mark(ok=False, note="there is no code in the answer")
    if case.check is None:
        return Mark(ok=False, note="the case has no check")
    outcome = run_python(source, case.check)
    return Mark(ok=outcome.ok, answer=None, note=outcome.why)


def code_in(text: str) -> str | None:
    """The Python in an answer: its fences joined, or all of it where it compiles as it stands."""
    said = plain(text)
    fences = [
        body for language, body in _FENCE.findall(said) if language.lower() in ("", "python", "py")
    ]
    if fences:
        return "\n\n".join(textwrap.dedent(body) for body in fences)
    try:
        compile(said, "answer", "exec")
    except (SyntaxError, ValueError):
        return None
    return said or None
