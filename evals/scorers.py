"""Running code that a model wrote: in another process, with limits, and without the network.

The code runs in its own Python with an empty environment, in a fresh folder, under limits of CPU
time, memory, file size and open files (`setrlimit`), and is killed with all its children when its
time is over. On Linux, where the system lets it, it also gets namespaces of its own: no network,
and a process tree that ends with it. `Outcome.fenced` says whether it did.

It keeps mistakes and runaways from doing harm. It is no jail: the code can read the files that
you can read, and code that sets out to forge its own success can look for the secret it is to
show. For code of an adversary, run the evaluation in a machine made for that.

What makes an answer right. `SCORERS` is the table; a new scorer is a function and a line.

`exact`: equal once both answers are read. `numeric`: right within a tolerance of one
part in a million, whatever the notation. `choice`: right by its letter, or by the words of the
option. `code`: right where it runs, and its case's check runs after it. A judge, which compares two
answers, is in `evals.duel`.
"""

from __future__ import annotations

import contextlib
import math
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

from mom_council.evals.cases import LETTERS, Case
from mom_council.voting.reading import (
    Answer,
    are_same,
    is_refusal,
    plain_text,
    read_answer,
    read_value,
)

SECONDS = 10.0
MEGABYTES = 512
FILE_MEGABYTES = 1
_TOLD = 2_000  # bytes of what the code printed that are looked at

_LAUNCHER = Path(__file__).with_name("sandboxed.py")


class SandboxResult(NamedTuple):
    """How the code ended."""

    ok: bool
    """Both parts ran to their end."""
    why: str = ""
    """The last line it said, or what limit it met."""
    fenced: bool = False
    """It had no network."""


def run_python(
    source: str, check: str = "", *, seconds: float = SECONDS, megabytes: int = MEGABYTES
) -> SandboxResult:
    """Run `source`, then `check` in the same module, under limits. It blocks; it never raises.

    Args:
        source: what the model wrote.
        check: what must run after it without raising: assertions.
        seconds: of wall and of CPU time, for both together.
        megabytes: of address space.
    """
    if os.name != "posix":
        return SandboxResult(ok=False, why="the sandbox needs a POSIX system: Linux or macOS")
    token = secrets.token_hex(16)
    folder = Path(tempfile.mkdtemp(prefix="mom-code-"))
    try:
        for name, text in (("source.py", source), ("check.py", check)):
            (folder / name).write_text(text, encoding="utf-8", errors="replace")
        return _run(folder, token, seconds, megabytes)
    except OSError as error:
        return SandboxResult(ok=False, why=f"the sandbox could not be set up: {error}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run(folder: Path, token: str, seconds: float, megabytes: int) -> SandboxResult:
    limits = (str(max(1, round(seconds))), str(megabytes), str(FILE_MEGABYTES))
    with (folder / "said").open("w+b") as said, (folder / "told").open("w+b") as told:
        child = subprocess.Popen(  # noqa: S603 - our own launcher, by its full path
            [sys.executable, "-I", "-S", "-B", str(_LAUNCHER), str(folder), *limits],
            stdin=subprocess.PIPE,
            stdout=said,
            stderr=told,
            env={},
            cwd=folder,
            start_new_session=True,
        )
        late = False
        try:
            child.communicate(token.encode(), timeout=seconds)
        except subprocess.TimeoutExpired:
            late = True
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
        lines = _end(said), _end(told)
    shown = (folder / "shown").read_text() if (folder / "shown").is_file() else ""
    fenced = shown.endswith("fenced")
    if shown.startswith(token):
        return SandboxResult(ok=True, fenced=fenced)
    return SandboxResult(
        ok=False, why=_why(late, seconds, child.returncode, lines[1]), fenced=fenced
    )


def _why(late: bool, seconds: float, code: int, stderr: str) -> str:
    if late or code in (-signal.SIGXCPU, 128 + signal.SIGXCPU):
        return f"it took longer than {seconds:g} s"
    last = stderr.strip().rpartition("\n")[2]
    if last:
        return last[:300]
    return f"it ended by signal {-code}" if code < 0 else f"it left early, with code {code}"


def _end(file: object) -> str:
    with contextlib.suppress(OSError, AttributeError):
        size = file.seek(0, os.SEEK_END)  # type: ignore[attr-defined]
        file.seek(max(0, size - _TOLD))  # type: ignore[attr-defined]
        return bytes(file.read()).decode("utf-8", "replace")  # type: ignore[attr-defined]
    return ""


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
    if case.gold is None:
        return Mark(ok=False, note="the case has no gold answer")
    gold = str(case.gold)
    read = read_answer(text, kind="closed")
    same = are_same(read, read_gold(gold)) or _even(text) == _even(gold)
    # Where no options are known, "C. Darwin" may be a name: it is kept whole.
    answer = read.form if read.type == "choice" else read.bare
    if answer is None and len(text) <= _SHORT and (same or not is_refusal(text)):
        # No answer that can be read, but words, which can be the same as another's.
        answer = _even(text) or None
    return Mark(ok=same, answer=answer)


def read_gold(gold: str) -> Answer:
    """A gold answer, which may be written in any way itself."""
    value = read_value(gold, words=40)
    return value if value else read_answer(gold, kind="closed")


def _even(text: str) -> str:
    return " ".join(text.split()).strip(" .").casefold()


TOLERANCE = 1e-6
"""Relative; and absolute, where the gold answer is 0."""


def score_number(text: str, case: Case) -> Mark:
    """Right where the final answer is the gold number."""
    read = read_answer(text, kind="closed")
    answer = read.bare
    gold, said = value_of(str(case.gold)), _value(read)
    if gold is None:
        return Mark(ok=False, answer=answer, note="the gold answer is no number")
    if said is None:
        return Mark(ok=False, answer=answer, note="no number was answered")
    near = math.isclose(
        float(said), float(gold), rel_tol=TOLERANCE, abs_tol=TOLERANCE * (gold == 0)
    )
    return Mark(ok=near or said == gold or are_same(read, read_gold(str(case.gold))), answer=answer)


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
    if source is None:
        return Mark(ok=False, note="there is no code in the answer")
    if case.check is None:
        return Mark(ok=False, note="the case has no check")
    outcome = run_python(source, case.check)
    return Mark(ok=outcome.ok, answer=None, note=outcome.why)


def code_in(text: str) -> str | None:
    """The Python in an answer: its fences joined, or all of it where it compiles as it stands."""
    said = plain_text(text)
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
