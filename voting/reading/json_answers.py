"""Answers in JSON: whole objects, and objects that were cut off."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

from mom_council.voting.reading.answer import NO_ANSWER, Answer
from mom_council.voting.reading.contents import Take
from mom_council.voting.reading.mathematics import literal_answer, plain_number
from mom_council.voting.reading.refusals import refuses
from mom_council.voting.reading.text import json_spans
from mom_council.voting.reading.values import verbatim

_KEYS = {
    "answer", "final_answer", "final answer", "finalanswer", "final", "result", "solution", "output",
    "ans", "correct_answer", "correct answer", "choice", "antwort", "réponse", "respuesta", "resposta",
    "risposta", "ответ", "答案", "答え", "回答", "정답", "답", "답변", "उत्तर", "الجواب", "الإجابة",
}  # fmt: skip
_FIRST_KEYS = ("answer", "final_answer", "final answer", "finalanswer", "final", "correct_answer")
_OPEN_KEY = re.compile(
    r'"(?:final[_ ]?answer|answer|ans|antwort|réponse|respuesta|resposta|risposta|ответ|答案|答え|정답)"\s*:\s*',
    re.IGNORECASE,
)


def json_answers(text: str) -> Iterator[tuple[int, int, Any]]:
    """Every object that holds an answer: where it starts, where it ends, what it holds."""
    if "{" not in text:
        return
    for value, start, end in json_spans(text):
        held = _held(value)
        if held is not None:
            yield start, end, held[0]


def _held(value: Any, depth: int = 0) -> tuple[Any] | None:
    """What an object holds under the key of an answer, in a tuple, for it may be null."""
    if isinstance(value, list) and value and depth < 3:
        return _held(value[-1], depth + 1) if isinstance(value[-1], dict) else None
    if not isinstance(value, dict):
        return None
    lowered = {str(key).strip().casefold(): inner for key, inner in value.items()}
    for key in (*_FIRST_KEYS, *lowered):
        if key in lowered and key in _KEYS:
            return (lowered[key],)
    for inner in value.values():
        held = _held(inner, depth + 1) if isinstance(inner, dict) and depth < 3 else None
        if held is not None:
            return held
    return None


def open_json_answers(text: str) -> Iterator[tuple[int, int, Any]]:
    """An object that was cut off, or holds LaTeX that JSON does not allow: the value that matters."""
    for key in list(_OPEN_KEY.finditer(text))[-5:]:
        at = key.end()
        if text[at : at + 1] == '"':
            quoted = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL).match(text, at)
            if quoted:
                yield at, quoted.end(), _unescaped(quoted[0])
            continue
        opening = text[at : at + 1]
        end = _bracket_end(text, at) if opening in "[{(" and opening else None
        if end is not None:
            yield at, end, text[at:end]
            continue
        bare = re.compile(r"[^,}\n]+").match(text, at)
        if bare:
            yield at, bare.end(), bare[0].strip()


def _unescaped(quoted: str) -> str:
    """The text of a JSON string; where its escapes are LaTeX, with those left alone."""
    try:
        return str(json.loads(quoted, strict=False))
    except ValueError:
        return re.sub(r'\\(["\\])', r"\1", quoted[1:-1])


def _bracket_end(text: str, at: int) -> int | None:
    depth = 0
    for end in range(at, min(len(text), at + 4000)):
        depth += (text[end] in "([{") - (text[end] in ")]}")
        if depth == 0:
            return end + 1
    return None


def read_json_value(held: Any, take: Take, slot: Take) -> Answer | None:
    """What a value under the key of an answer says: a number, a list, or a text to be read."""
    if isinstance(held, bool):
        return take(str(held))
    if held is None:
        return NO_ANSWER
    if isinstance(held, int | float):
        return take(repr(held)) or (_json_number(held))
    if isinstance(held, list | dict):
        return literal_answer(held)
    # JSON reads the start of \frac, \boxed, \times and \neq as control characters.
    text = str(held).replace("\x0c", "\\f").replace("\x08", "\\b")
    text = re.sub(r"\t(?=ext|imes|heta|frac|an\b)", r"\\t", text)
    text = re.sub(r"\r(?=ight)", r"\\r", text)
    if refuses(text.strip()) or not text.strip():
        return NO_ANSWER
    value = slot(text)
    if value is None and len(text) <= _MOST_VERBATIM and "\n\n" not in text:
        return verbatim(text)
    return value


_MOST_VERBATIM = 120
"""Characters that the place of an answer may hold to be taken as they stand."""


def _json_number(value: float) -> Answer | None:
    """A number of JSON."""
    return plain_number(Fraction(repr(value))) if value == value and abs(value) < 1e300 else None
