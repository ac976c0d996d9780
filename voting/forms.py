r"""One form for each short answer, however it is written: `$42.00$`, `42 apples` and `42` are `42`.

A form is read from a few words that are known to be the answer; finding those words in a long
reply is the work of `answers`. Nothing is computed beyond reading a number: `1/2` is `0.5`, but
`\sqrt{4}` stays a root.

Two choices are worth knowing. A percent sign and a unit are dropped, because models leave them
out as often as not (so `5 km` and `5 m` read alike, where the question did not fix the unit).
And what stands in quotation marks keeps its capitals, because it is usually the output of code.
"""

from __future__ import annotations

import ast
import re
from fractions import Fraction
from typing import Any, Literal, NamedTuple

from mom_council.voting.latex import without_latex
from mom_council.voting.numbers import read_number, write_number

Sort = Literal["number", "choice", "truth", "group", "words"]
"""What a form is. All but `words` are *hard*: prose does not take their shape by chance."""


class Form(NamedTuple):
    """A short answer in its one form."""

    text: str
    sort: Sort

    @property
    def hard(self) -> bool:
        """Whether prose is unlikely to look like this by chance."""
        return self.sort != "words"


def read_form(text: str, *, words: int = 8) -> Form | None:
    r"""The form of a short answer, or None where it is too long to be one.

    Args:
        text: the answer alone, such as ``**(B)**``, ``$\frac{1}{2}$`` or ``New York``.
        words: the most words that an answer in words may have.
    """
    if len(text) > 2000:
        return None
    literal = _literal_text(text)
    if literal is not None:
        return _quoted(literal)
    bare = _bare(text)
    if not bare or len(bare) > 400:
        return None
    return _hard(bare) or _right_side(bare) or _in_words(bare, words)


def _hard(text: str) -> Form | None:
    number = read_number(text)
    if number is not None:
        return Form(write_number(number), "number")
    return _choice(text) or _truth(text) or _group(text)


def _quoted(text: str) -> Form:
    """What stands in quotation marks, to the letter, but for `"42"`, `"yes"` and `"[1, 2]"`."""
    form = _hard(text) if text == text.strip() and not re.match(r"0\d", text) else None
    if form is None or form.sort == "choice":
        return Form(text if text.strip() else repr(text), "words")
    return form


# --- choices, truth, groups, words --------------------------------------------------------------

_CHOICE = re.compile(
    r"^(?i:(?:option|choice|answer|letter)\s+)?(?:\((?P<round>[A-Ja-j])\)|\[(?P<square>[A-J])\]|"
    r"(?P<bare>[A-J])(?P<mark>[.):]|\s+-)?|(?P<small>[a-j])\)?)(?P<rest>(?:\s.*)?)$",
    re.DOTALL,
)
_TRUTH = re.compile(r"^(yes|no|true|false)(?:\s*[,.;:!(–—-]\s?.*)?$", re.IGNORECASE | re.DOTALL)


def _choice(text: str) -> Form | None:
    found = _CHOICE.match(text)
    if not found:
        return None
    rest = found["rest"].strip()
    letter = (found["round"] or found["square"] or found["bare"] or found["small"]).upper()
    if rest and (found["small"] or (found["bare"] and not found["mark"])):
        return None  # "A man", "a dog"
    if found["mark"] == "." and re.match(r"^[a-z]+$", rest):
        return None  # "E. coli"
    return Form(letter, "choice") if len(rest) < 200 else None


def _truth(text: str) -> Form | None:
    found = _TRUTH.match(text)
    return Form(found[1].lower(), "truth") if found and len(text) < 200 else None


def _group(text: str) -> Form | None:
    """A list, tuple, set or mapping: a Python literal, or numbers and terms in brackets."""
    if len(text) < 2 or text[0] + text[-1] not in {"[]", "()", "{}"}:
        return None
    try:
        value = _literal(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        parts = split_top(text[1:-1])
        if len(parts) < 2:
            return None
        terms = [_term(part) for part in parts]
        terms = sorted(set(terms)) if text[0] == "{" else terms
        return Form(text[0] + ",".join(terms) + text[-1], "group")
    if not isinstance(value, list | tuple | set | dict | frozenset):
        return None
    return Form(_written(value), "group")


_IN_QUOTES = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"", re.DOTALL)
_ODD = re.compile(r"\\(?![\\'\"nrtabfvx0-7uUN\n])")


def _literal(text: str) -> Any:
    """The Python value; text that Python would read only with a warning is none."""
    if _ODD.search(text) or re.search(r"\d[A-Za-z]", _IN_QUOTES.sub("", text)):
        raise ValueError(text)
    return ast.literal_eval(text)


def _written(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return str(value)
    if isinstance(value, int | float):
        return write_number(Fraction(str(value))) if abs(value) < 1e60 else repr(value)
    if isinstance(value, list):
        return "[" + ",".join(map(_written, value)) + "]"
    if isinstance(value, tuple):
        return "(" + ",".join(map(_written, value)) + ")"
    if isinstance(value, set | frozenset):
        return "{" + ",".join(sorted(map(_written, value))) + "}"
    if isinstance(value, dict):
        return (
            "{" + ",".join(sorted(f"{_written(k)}:{_written(v)}" for k, v in value.items())) + "}"
        )
    return repr(value)


def _term(text: str) -> str:
    number = read_number(text)
    return re.sub(r"\s+", "", text) if number is None else write_number(number)


def split_top(text: str) -> list[str]:
    """Split at the commas that stand in no bracket."""
    parts, depth, start = [], 0, 0
    for at, mark in enumerate(text):
        depth += (mark in "([{") - (mark in ")]}")
        if mark == "," and depth == 0:
            parts.append(text[start:at].strip())
            start = at + 1
    return [*parts, text[start:].strip()]


def _right_side(text: str) -> Form | None:
    """`17 + 25 = 42` and `x = 42` say 42; `x = 1, y = 2` and `x = 1 or x = 2` stay as they are."""
    left, mark, right = text.rpartition("=")
    left = left.rstrip("=").strip()
    if not mark or not left or left[-1] in "<>!≤≥" or not right.strip():
        return None
    if len(split_top(text)) > 1 or re.search(r"\b(?:and|or)\b|;", text):
        return None
    literal = _literal_text(right)
    form = _hard(right.strip()) if literal is None else _quoted(literal)
    if form and form.sort in {"number", "group", "truth", "words"}:
        return form
    if re.fullmatch(r"[A-Za-z](?:\([A-Za-z]\)|_\w)?", left):
        return Form(re.sub(r"\s+", "", right), "words")  # a term: y = 2x + 3
    return None


def _in_words(text: str, most: int) -> Form | None:
    words = text.split()
    if len(words) > most or len(text) > 100 or re.search(r"\w{2,}[.!?]\s|\n", text):
        return None
    if re.fullmatch(r"[\s`'\"(){}\[\]]*", text):
        return None  # what is left of a fence or of JSON
    if words[0].lower() in {"the", "a", "an"} and len(words) > 1:
        words = words[1:]
    if words[0].lower() in {"not", "that", "because"}:
        return None
    text = " ".join(words)
    if re.search(r"\d|[=^*/√]|sqrt|\\", text) and not re.search(r"[A-Za-z]{3,} [A-Za-z]{2,}", text):
        # A term: blanks and the sign of multiplication carry no meaning in it.
        return Form(re.sub(r"(?<=\w)\*(?=[A-Za-z(])", "", re.sub(r"\s+", "", text)), "words")
    natural = all(re.fullmatch(r"[^\W\d_]?[^A-Z]*", word) for word in words)
    return Form(text.casefold() if natural else text, "words")


# --- wrapping -----------------------------------------------------------------------------------

_WRAPS = (
    ("**", "**"),
    ("__", "__"),
    ("$$", "$$"),
    ("$", "$"),
    ("\\(", "\\)"),
    ("\\[", "\\]"),
    ("*", "*"),
    ("_", "_"),
)
_FENCE = re.compile(r"^```[\w+-]*\n?(.*?)\n?```$", re.DOTALL)


def _literal_text(text: str) -> str | None:
    """What stands between the quotation marks or backticks, where the whole text does."""
    text = _unwrapped(text)
    fence = _FENCE.match(text)
    if fence:
        text = fence[1].strip()
        if "\n" in text:
            return None
    if len(text) > 1 and text[0] == text[-1] == "`" and "`" not in text[1:-1]:
        text = text[1:-1].strip()
        return text if not re.match(r"^[\[({'\"]", text) and text else _string(text)
    return _string(text)


def _string(text: str) -> str | None:
    if len(text) < 2 or text[0] not in "'\"" or text[-1] != text[0]:
        return None
    try:
        value = _literal(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        value = text[1:-1] if text[0] not in text[1:-1] else None
    return value if isinstance(value, str) else None


def _unwrapped(text: str) -> str:
    text = text.strip()
    before = None
    while before != text:
        before = text
        for left, right in _WRAPS:
            inner = text[len(left) : -len(right)]
            if text.startswith(left) and text.endswith(right) and inner and left not in inner:
                text = inner.strip()
        text = re.sub(r"(?<![.!])[.;,!]$", "", text).strip()
    return text


def _bare(text: str) -> str:
    text = _unwrapped(text)
    fence = _FENCE.match(text)
    text = without_latex(_unwrapped(fence[1] if fence else text))
    if len(text) > 1 and text[0] == text[-1] == "`":
        text = text[1:-1]
    text = re.sub(r"(?<=\d)[\u00a0\u2009\u202f\u2007'](?=\d{3}\b)", ",", text)
    text = re.sub(r"[\u00a0\u2009\u202f\u2007]", " ", text)
    text = re.sub(r"[−–—‒](?=\s*[\d.$])", "-", text)
    text = re.sub(r"(?<=\d)\s*([½¼¾⅓⅔])|([½¼¾⅓⅔])", _vulgar, text)
    return _unwrapped(text.rstrip(":").strip("*"))


def _vulgar(found: re.Match[str]) -> str:
    table = {"½": "1/2", "¼": "1/4", "¾": "3/4", "⅓": "1/3", "⅔": "2/3"}
    return " " + table[found[1]] if found[1] else table[found[2]]
