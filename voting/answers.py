"""The final answer of a reply, in one form: so that equal answers can be counted as one.

A reply states its answer by a JSON key, by words ("the answer is"), in a box, after `####`, in
bold, or by being nothing else; the last statement wins, because models correct themselves.
Reading leniently is worth more than any weighting of votes: whole-output JSON alone reads none
of the answers of some good models (measured on public recordings of 13 models).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from typing import Any

from mom_council.records import AnswerKind
from mom_council.voting.forms import Form, read_form
from mom_council.voting.latex import boxed
from mom_council.voting.replies import is_refusal, json_values, plain
from mom_council.voting.stated import without_confidence

__all__ = ["canonical", "is_refusal"]

_KEYS = (
    "answer",
    "final_answer",
    "final answer",
    "finalanswer",
    "final",
    "result",
    "solution",
    "output",
)
_OPEN_KEY = re.compile(r'"final[_ ]?answer"\s*:\s*|"answer"\s*:\s*', re.IGNORECASE)
_STATED = re.compile(
    r"(?<![\w'])(?P<final>final\s+|correct\s+|right\s+|best\s+)*(?P<noun>answer|result|solution|choice|option|"
    r"output|total|conclusion|sum|value)(?:\s+to (?:the|this|your) question)?[*_`]*\s*"
    r"(?P<mark>(?:is|are|was|would be|should be|must be|equals|=|->|→)(?![\w'])\s*:?|[:：])"
    r"[\s*_`]*",
    re.IGNORECASE,
)
_HEADED = re.compile(r"^[#*_\s]*(?:final\s+)?answer[*_\s:]*\n+", re.IGNORECASE | re.MULTILINE)
_HASHES = re.compile(r"^\s*#{4}\s*(?=\S)", re.MULTILINE)
_BOLD = re.compile(r"\*\*([^*\n]{1,80})\*\*")
_IS = re.compile(
    r"\b(?:is|are|equals|makes?|was|be|has|have|costs?|gives?|returns?|gets?|totals?|totaling)\s*:?\s*"
    r"(?=(?P<said>[^\n]{1,60})$)",
    re.IGNORECASE,
)
_THEREFORE = re.compile(
    r"^\W*(?:therefore|thus|so|hence|in total|finally|as a result|then)\b", re.IGNORECASE
)
_STOP = re.compile(
    r"(?<=[^\s\d])(?<!\b[A-J](?=\. [a-z]))[.!?](?=\s|$)|(?<=\d)\.(?=\s|$)|[!?;](?=\s|$)|\n"
)
_CUT = re.compile(
    r",? (?:because|since|as |which|so |for |while|after|when|where|if |given|due|based|not )"
    r"|, (?:but|not)\b|"
    r" [(–—-]| \(|\s*:",
    re.IGNORECASE,
)  # fmt: skip
_NAME = re.compile(r"(?:the )?[A-Z][a-z]{2,}(?: [A-Z][a-z]+){0,3}")
_LEAD = re.compile(r"^[*_$\\(\s]*-?[$€£]?\d[\d,]*(?:\.\d+)?")


def canonical(text: str, *, kind: AnswerKind = "unknown") -> str | None:
    """The final answer of a reply in one form, or None where it has no short final answer.

    Equal answers have equal forms: `42`, `**42**`, `$42.00$`, `17 + 25 = 42` and
    `{"answer": "42"}` are all `42`. A form is only to be compared, or shown; it is not computed.

    Args:
        text: the whole reply; thoughts in `<think>` tags are passed over.
        kind: what the question asks for. `open` has no canonical answers; for `closed` the end of
            the reply is searched harder; `unknown` takes what is stated, or is all there is.
    """
    if kind == "open":
        return None
    return _remembered(text, kind) if len(text) <= _SHORT else _read(text, kind)


_SHORT = 2000
"""Characters of a reply whose reading is remembered: a round reads each several times."""


def _read(text: str, kind: AnswerKind) -> str | None:
    said = without_confidence(plain(text))
    if not said or is_refusal(said):
        return None
    form = _from_json(said) or _whole(said) or _stated(said) or _in_passing(said, kind)
    return None if form is None else form.text


_remembered = functools.lru_cache(maxsize=1024)(_read)


# --- JSON ---------------------------------------------------------------------------------------


def _from_json(said: str) -> Form | None:
    for value in reversed(json_values(said)):
        if not isinstance(value, dict):
            continue
        lowered = {str(key).strip().casefold(): inner for key, inner in value.items()}
        for key in _KEYS:
            if key in lowered:
                return _value(lowered[key])
    for opened in reversed(list(_OPEN_KEY.finditer(said))):
        # Cut off, or with LaTeX that JSON does not allow: read the one value that matters.
        rest = re.match(r'"((?:[^"\\]|\\.)*)"|([^,}\n]+)', said[opened.end() :], re.DOTALL)
        if rest:
            value = rest[2] if rest[1] is None else re.sub(r'\\(["\\])', r"\1", rest[1])
            return _value(value.strip())
    return None


def _value(value: Any) -> Form | None:
    if isinstance(value, bool):
        return Form(str(value).lower(), "truth")
    if value is None or isinstance(value, dict):
        return None
    # JSON reads the start of \frac, \boxed and \text as control characters.
    text = str(value).replace("\x0c", "\\f").replace("\x08", "\\b")
    text = re.sub(r"\t(?=ext|imes|heta|frac|an\b)", r"\\t", text)
    if is_refusal(text):
        return None
    return read_form(text) or _stated(text) or _leading(text)


# --- a reply that is nothing but its answer -----------------------------------------------------


def _whole(said: str) -> Form | None:
    if len(said) > 200:
        return None
    form = read_form(said)
    if form is not None and form.hard:
        return form
    return None


# --- stated answers -----------------------------------------------------------------------------


def _stated(said: str) -> Form | None:
    for at, weak in sorted(_places(said), reverse=True)[:30]:
        form = _content(said[at : at + 2000].lstrip(" \t"), loose=not weak)
        if form is not None and (form.hard or not weak):
            return form
    return None


def _places(said: str) -> Iterator[tuple[int, bool]]:
    """Where an answer is stated, and whether only a hard form may be taken from there."""
    for at, inner in boxed(said):
        yield at, not inner
    for found in _STATED.finditer(said):
        sure = found["noun"].lower() in {"answer", "choice", "option"}
        # "The answer is simple." opens an argument more often than it states an answer.
        ends = len(said) - found.end() < 160 or bool(found["final"])
        yield found.end(), not (sure and (ends or found["mark"] in ":："))
    for found in _HEADED.finditer(said):
        yield found.end(), False
    for found in _HASHES.finditer(said):
        yield found.end(), "\n" in said[found.end() :].strip()


def _content(rest: str, *, loose: bool) -> Form | None:
    box = boxed(rest)
    if box and box[0][0] < 4:
        return read_form(box[0][1])
    if fence := re.match(r"```[\w+-]*\n(.*?)```", rest, re.DOTALL):
        return read_form(fence[1])
    line = rest.split("\n", 1)[0].strip()
    stop = _STOP.search(line)
    sentence = line[: stop.start()] if stop else line
    tries = [line] if len(line) <= 60 else []
    tries += [sentence, *(sentence[: cut.start()] for cut in _CUT.finditer(sentence))]
    if bold := re.match(r"^[*_]{0,2}([^*\n]{1,60})\*\*", line):
        tries.insert(0, bold[1])
    if code := re.match(r"^`([^`\n]{1,200})`", line):
        tries.insert(0, code[0])
    forms = [form for form in map(read_form, tries) if form is not None]
    hard = next((form for form in forms if form.hard), None) or _leading(sentence)
    return hard or (forms[0] if forms and loose else None)


def _leading(sentence: str) -> Form | None:
    """`42 apples in the big basket`: the number it begins with, where it has no other."""
    found = _LEAD.match(sentence)
    if not found or re.search(
        r"\d|^\s*[-+*/^=<>:]|^[^\W\d_]|\b(?:or|to|and)\b", sentence[found.end() :]
    ):
        return None
    return read_form(found[0].lstrip("*_$\\( "))


# --- answers in passing -------------------------------------------------------------------------


def _in_passing(said: str, kind: AnswerKind) -> Form | None:
    """What the end of the reply says, and whatever else a short reply is."""
    closed = kind == "closed"
    last = _last_sentence(said)
    short = len(said) <= 160
    if short or closed or _THEREFORE.match(last):
        form = _predicate(last)
        if form is not None:
            return form
    if closed and (
        opening := re.match(r"^\W*(yes|no|true|false)\b\s*[,.;:!–—-]", said, re.IGNORECASE)
    ):
        return Form(opening[1].lower(), "truth")
    if closed or short:
        for bold in reversed(_BOLD.findall(said)):
            form = read_form(bold)
            if form is not None and (form.hard or closed) and not bold.rstrip().endswith(":"):
                return form
    if "\n" not in said and len(said) <= 60 and (form := read_form(said, words=5)):
        return form
    if fence := re.fullmatch(r".{0,80}?```[\w+-]*\n(.{1,400}?)```", said, re.DOTALL):
        form = read_form(fence[1])
        return form if form is not None and form.hard else None
    return _last_number(last) if closed else None


def _predicate(sentence: str) -> Form | None:
    sentence = re.sub(r"[.!\s*]+$", "", sentence)
    if len(re.findall(r"(?<!\w)[A-Za-z]\s*=", sentence)) > 1:
        return None  # x = 1, y = 2
    equation = read_form(sentence.rpartition("=")[2]) if "=" in sentence else None
    if equation is not None and equation.sort in {"number", "group"}:
        return equation
    for found in reversed(list(_IS.finditer(sentence))):
        said = found["said"]
        form = read_form(said) or _leading(said)
        # A letter on its own here is an article or a name as often as a choice.
        if form is not None and form.sort in {"number", "group", "truth"}:
            return form
        if form is not None and _NAME.fullmatch(said):
            return form
    quoted = re.search(r"(?:is|be|returns?|output)\s+(`[^`]+`|'[^']*'|\"[^\"]*\")$", sentence)
    return read_form(quoted[1]) if quoted else None


def _last_number(sentence: str) -> Form | None:
    numbers = re.findall(r"(?<![\w.,])-?[$€£]?\d[\d,]*(?:\.\d+)?(?:/\d+)?(?!\w)", sentence)
    return read_form(numbers[-1]) if numbers else None


def _last_sentence(said: str) -> str:
    lines = [line.strip() for line in said.split("\n") if line.strip(" `*_-#\t")]
    parts = re.split(r"(?<=[^\s\d][.!?])\s+|(?<=\d\.)\s+(?=[A-Z])", lines[-1]) if lines else [""]
    return parts[-1].strip()
