"""Several values in brackets: lists, tuples, sets, mappings, intervals, matrices.

What Python code returns is read here too, as far as it is a literal.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from fractions import Fraction
from typing import Any

from mom_council.voting.reading.answer import Answer, AnswerType, write_number
from mom_council.voting.reading.mathematics import ReadItem, read_relation
from mom_council.voting.reading.text import lazy_pattern

_IN_QUOTES = lazy_pattern(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"", re.DOTALL)
_BUILDER = lazy_pattern(r"\{\s*[A-Za-z]\s*(?:∈\s*ℝ\s*)?[:|]\s*([^{}]+)\}")
"""`{x : x > 2}`."""
_ODD_ESCAPE = lazy_pattern(r"\\(?![\\'\"nrtabfvx0-7uUN\n])")
_PAIRS = {"[]": "list", "()": "tuple", "{}": "set", "[)": "interval", "(]": "interval"}


def read_literal(text: str) -> Any:
    """The Python value that a text is; what Python would read only with a warning is none.

    Raises:
        ValueError: it is no literal.
    """
    if _ODD_ESCAPE.search(text) or re.search(r"\d[A-Za-z]", _IN_QUOTES.sub("", text)):
        raise ValueError(text)
    try:
        return ast.literal_eval(text)
    except (SyntaxError, MemoryError, RecursionError, TypeError) as exc:
        raise ValueError(text) from exc


def read_group(text: str, read_item: ReadItem) -> Answer | None:
    """A list, tuple, set, mapping, interval, matrix or union of intervals."""
    if "∪" in text:
        return _union(text, read_item)
    if text.startswith(("matrix[", "det[")) and text.endswith("]"):
        return _matrix(text, read_item)
    if text in _FIXED:
        sort, key = _FIXED[text]
        return Answer(sort, text, key, bare=text)
    builder = _BUILDER.fullmatch(text)
    if builder:
        inner = read_relation(builder[1], read_item)
        return inner and Answer("set", text, inner.key, inner.alts, bare=text)
    return _in_brackets(text, read_item)


_FIXED: dict[str, tuple[AnswerType, str]] = {
    "∅": ("set", "{}"), "{}": ("set", "{}"), "ℝ": ("interval", "(-∞,∞)"),
    "all real numbers": ("interval", "(-∞,∞)"), "all reals": ("interval", "(-∞,∞)"),
}  # fmt: skip


def _in_brackets(text: str, read_item: ReadItem) -> Answer | None:
    sort = _PAIRS.get(text[:1] + text[-1:])
    if sort is None or len(text) < 2 or _closes_early(text):
        return None
    if sort != "interval" and _MAY_BE_LITERAL.match(text):
        literal = _literal_group(text)
        if literal is not None:
            return literal
    parts = split_top(text[1:-1])
    if len(parts) == 1:
        return _one_in_brackets(sort, parts[0], read_item)
    items = [_item(part, read_item) for part in parts]
    if sort == "interval" or (len(items) == 2 and any("∞" in item.key for item in items)):
        return _interval(text, items)
    return group_answer(text[0], items, text[-1])


_MAY_BE_LITERAL = lazy_pattern(
    r"[\[({](?:[^(+.0-9-]|[\d,.\s-]*[\])}]$|[^{}:]{1,40}:|.*['\"])", re.DOTALL
)


def _one_in_brackets(sort: str, part: str, read_item: ReadItem) -> Answer | None:
    """`{5}` is a set of one and `[5]` a list of one; `(5)` is no tuple."""
    item = read_item(part) if part and sort in ("set", "list") else None
    if item is None or not item or not (item.hard or sort == "set"):
        return None
    opening, closing = ("{", "}") if sort == "set" else ("[", "]")
    return group_answer(opening, [item], closing)


def _item(part: str, read_item: ReadItem) -> Answer:
    bare = part.replace(" ", "")
    if bare.strip("+-") == "∞":
        form = bare.lstrip("+")
        return Answer("term", form, form, bare=form)
    item = read_item(part)
    if item is None:
        form = " ".join(part.split())
        return Answer("phrase", form, f"w:{form.casefold()}", bare=form)
    return item


def group_answer(opening: str, items: list[Answer], closing: str) -> Answer:
    """Several values in brackets; a set has no order, and each of its values counts once."""
    sort: AnswerType = {"[": "list", "(": "tuple", "{": "set"}[opening]  # type: ignore[assignment]
    if opening == "{":
        flat: dict[str, Answer] = {}
        for item in items:
            if item.type == "set" and item.key.startswith("{") and item.form and "±" in item.form:
                for key in item.key[1:-1].split(","):
                    flat.setdefault(key, item)
            else:
                flat.setdefault(item.key, item)
        keys = sorted(flat)
        forms = sorted({str(item.form) for item in items})
    else:
        keys = [item.key for item in items]
        forms = [str(item.form) for item in items]
    form = opening + ",".join(forms) + closing
    alts: frozenset[str] = frozenset()
    # Items with units, or of named unknowns, said without them.
    shorter = [sorted(item.alts)[0] if len(item.alts) == 1 else item.key for item in items]
    if shorter != [item.key for item in items]:
        shorter = sorted(set(shorter)) if opening == "{" else shorter
        alts = frozenset({opening + ",".join(shorter) + closing})
    return Answer(sort, form, opening + ",".join(keys) + closing, alts, bare=form)


def _interval(text: str, items: list[Answer]) -> Answer | None:
    if len(items) != 2:
        return None
    form = text[0] + ",".join(str(item.form) for item in items) + text[-1]
    key = text[0] + ",".join(item.key for item in items) + text[-1]
    return Answer("interval", form, key, bare=form)


def _union(text: str, read_item: ReadItem) -> Answer | None:
    name = re.match(r"([A-Za-z])\s*∈\s*", text)
    rest = text[name.end() :] if name else text
    parts = [read_group(part.strip(), read_item) for part in rest.split("∪")]
    if any(part is None for part in parts) or len(parts) > 12:
        return None
    keys = sorted(part.key for part in parts if part)
    form = "∪".join(str(part.form) for part in parts if part)
    key = "∪".join(keys)
    if name:
        return Answer("interval", f"{name[1]}∈{form}", f"{name[1]}∈{key}", frozenset({key}), form)
    return Answer("interval", form, key, bare=form)


def _matrix(text: str, read_item: ReadItem) -> Answer | None:
    opening = text.index("[")
    rows = [
        [_item(cell.strip(), read_item) for cell in row.split("&")]
        for row in text[opening + 1 : -1].split(";")
    ]
    form = text[:opening] + "[" + ";".join("&".join(str(c.form) for c in row) for row in rows) + "]"
    key = text[:opening] + "[" + ";".join("&".join(c.key for c in row) for row in rows) + "]"
    lines = ["[" + ",".join(cell.key for cell in row) + "]" for row in rows]
    alts = frozenset({"[" + ",".join(lines) + "]"} if text.startswith("matrix") else ())
    return Answer("matrix", form, key, alts, bare=form)


def _closes_early(text: str) -> bool:
    """Whether the first bracket closes before the end, as in `(a + 5)(b + 2)`."""
    depth = 0
    for at, sign in enumerate(text):
        depth += (sign in "([{") - (sign in ")]}")
        if depth == 0 and at < len(text) - 1:
            return True
    return False


def _literal_group(text: str) -> Answer | None:
    try:
        value = read_literal(text)
    except ValueError:
        return None
    if not isinstance(value, list | tuple | set | dict | frozenset):
        return None
    return literal_answer(value)


def literal_answer(
    value: list[Any] | tuple[Any, ...] | set[Any] | frozenset[Any] | dict[Any, Any],
) -> Answer:
    """The answer that a Python or JSON value is."""
    form = write_literal(value)
    if isinstance(value, dict):
        return Answer("mapping", form, form, bare=form)
    sort: AnswerType = (
        "list" if isinstance(value, list) else "tuple" if isinstance(value, tuple) else "set"
    )
    return Answer(sort, form, _literal_key(value), bare=form)


def _literal_key(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ",".join(map(_literal_key, value)) + "]"
    if isinstance(value, tuple):
        return "(" + ",".join(map(_literal_key, value)) + ")"
    if isinstance(value, set | frozenset):
        return "{" + ",".join(sorted(map(_literal_key, value))) + "}"
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"#{write_literal(value)}"
    return write_literal(value)


def write_literal(value: Any) -> str:
    """A literal with numbers in one form, and sets and mappings in one order."""
    if isinstance(value, bool) or value is None:
        return str(value)
    if isinstance(value, int | float):
        simple = abs(value) < 1e60 and value == value
        return write_number(Fraction(str(value))) if simple else repr(value)
    if isinstance(value, list):
        return "[" + ",".join(map(write_literal, value)) + "]"
    if isinstance(value, tuple):
        return "(" + ",".join(map(write_literal, value)) + ")"
    if isinstance(value, set | frozenset):
        return "{" + ",".join(sorted(map(write_literal, value))) + "}"
    if isinstance(value, dict):
        pairs = sorted(f"{write_literal(key)}:{write_literal(of)}" for key, of in value.items())
        return "{" + ",".join(pairs) + "}"
    return repr(value)


def split_top(text: str, marks: str = ",") -> list[str]:
    """Split at the commas that stand in no bracket, and in no number with groups of digits."""
    parts, depth, start = [], 0, 0
    for at, sign in enumerate(text):
        depth += (sign in "([{") - (sign in ")]}")
        if sign in marks and depth == 0:
            parts.append(text[start:at].strip())
            start = at + 1
    return [*parts, text[start:].strip()]


def sorted_keys(items: Iterable[Answer]) -> str:
    """The key of a set of these."""
    return "{" + ",".join(sorted({item.key for item in items})) + "}"
