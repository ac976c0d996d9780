"""Answers of mathematics beyond numbers: terms, equations, inequalities, sets, intervals, matrices.

What Python code returns is read here too, as far as it is a literal.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable
from fractions import Fraction
from typing import Any

from mom_council.voting.reading.answer import Answer, AnswerType
from mom_council.voting.reading.expressions import (
    Term,
    TermError,
    constant,
    evaluate,
    read_term,
    signature,
    values_at,
)
from mom_council.voting.reading.quantities import Quantity, read_quantity, write_number

ReadItem = Callable[[str], Answer | None]

# --- numbers and terms ------------------------------------------------------------------------


def number_answer(quantity: Quantity, text: str) -> Answer:
    """A number, with all that it says when its unit is left out, in whole or in part."""
    number = write_number(quantity.value)
    plain = f"#{number}"
    if quantity.listed:
        one, other = re.split(",", re.sub(r"[^\d,-]", "", text))[:2]
        alts = frozenset({plain, f"[#{int(one)},#{int(other)}]"})
        return Answer(
            "number", f"{one},{other}", f"comma:{one},{other}", alts, number, quantity.value
        )
    if not quantity.words:
        return Answer("number", number, plain, bare=number, value=quantity.value)
    based = f"#{write_number(quantity.base)}"
    steps = [
        based + "|" + " ".join(quantity.words[:end]) for end in range(1, len(quantity.words) + 1)
    ]
    # A noun that came before its adjective, or without it: "8 years old" says "8 years".
    alts = frozenset({plain, *steps[:-1]})
    sign = "-" if quantity.value < 0 else ""
    if quantity.compound:
        form = f"{number} {quantity.unit}"
        return Answer(
            "number", form, steps[-1], frozenset(steps[:-1]), form, quantity.base, quantity.words[0]
        )
    gap = "" if quantity.unit[:1] in "%°" else " "
    form = f"{sign}{quantity.symbol}{number.removeprefix('-')}{gap}{quantity.unit}".strip()
    return Answer(
        "number", form, steps[-1], alts, number, quantity.value, quantity.unit or quantity.symbol
    )


def plain_number(value: Fraction) -> Answer:
    """A number without a unit."""
    number = write_number(value)
    return Answer("number", number, f"#{number}", bare=number, value=value)


_TERM_LIKE = re.compile(r"[-+*/^=√·×÷!]|\d|sqrt|\bpi\b|π|\b(?:sin|cos|tan|sec|csc|cot|log|ln)\b")
_WORDY = re.compile(r"[^\W\d_]{3,}")
_SHORT_WORD = re.compile(
    r"(?<!\w)(?:is|it|so|to|of|in|an|or|we|he|be|as|at|by|if|no|on|up|us|do|go|me|my|am|pm|bc|ad|th|st|nd|rd)(?!\w)",
    re.IGNORECASE,
)
_KNOWN_WORDS = re.compile(r"arc(?:sin|cos|tan)|sqrt|cbrt|sin|cos|tan|sec|csc|cot|log|exp|abs|pi")
_GLUED_UNIT = re.compile(r"(\d+(?:\.\d+)?)([a-zA-Z])")
_UNIT_AFTER = re.compile(
    r"(?P<term>.*(?:pi|[\d)π]))(?P<unit>(?:\s*°|\s+(?:[^\W\d_]{2,}|[mgsl]\b))[^\d()=<>]*(?:\^[23])?)"
)
_BASED = re.compile(r"(-?[\dA-Fa-f]+(?:\.\d+)?)_(\d{1,2}|[a-z])")


def is_term_like(text: str) -> bool:
    """Whether a text has signs of a term, and no words that are none of its functions."""
    if not _TERM_LIKE.search(text):
        return False
    return not _has_words(text)


def _has_words(text: str) -> bool:
    rest = _KNOWN_WORDS.sub(" ", text)
    return _WORDY.search(rest) is not None or _SHORT_WORD.search(rest) is not None


def read_terms(text: str) -> Answer | None:
    """A term; with ±, the set of both."""
    if len(text) > 400:
        return None
    based = _BASED.fullmatch(text.replace(" ", ""))
    if based:
        return Answer(
            "term",
            f"{based[1]}_{based[2]}",
            f"base:{based[1]}_{based[2]}",
            frozenset({f"#{based[1]}"}),
            f"{based[1]}_{based[2]}",
        )
    if is_term_like(text):
        if "±" in text:
            return _both_signs(text)
        term = read_term(text)
        if term is not None:
            return term_answer(term, text)
    return _term_with_unit(text)


def term_answer(term: Term, text: str) -> Answer:
    """A term by its value; a number where it is a rational one."""
    form = tidy_term(text)
    value = constant(term)
    if isinstance(value, Fraction):
        number = write_number(value)
        return Answer("number", form, f"#{number}", bare=number, value=value)
    sign = signature(term)
    if sign is None:
        return Answer("term", form, f"~{form}", bare=form)
    glued = _GLUED_UNIT.fullmatch(form)
    quantity = read_quantity(f"{glued[1]} {glued[2]}") if glued else None
    alts = (
        frozenset({number_answer(quantity, form).key})
        if quantity and quantity.words
        else frozenset()
    )
    return Answer("term", form, f"~{sign}", alts, bare=form)


def _both_signs(text: str) -> Answer | None:
    both = [read_terms(text.replace("±", sign)) for sign in "+-"]
    if None in both:
        return None
    keys = sorted({one.key for one in both if one})
    return Answer("set", tidy_term(text), "{" + ",".join(keys) + "}", bare=tidy_term(text))


def _term_with_unit(text: str) -> Answer | None:
    r"""`99\pi` square inches, `2sqrt(3) cm`."""
    if not re.search(r"pi|π|sqrt|/", text):
        return None
    parts = _UNIT_AFTER.fullmatch(text)
    if parts is None or not is_term_like(parts["term"]):
        return None
    term = read_term(parts["term"])
    unit = read_quantity(f"1 {parts['unit']}") if term else None
    if term is None or unit is None or not unit.words:
        return None
    inner = term_answer(term, parts["term"])
    if inner is None:
        return None
    words = " ".join(unit.words) + ("" if unit.base == 1 else f"*{unit.base}")
    return Answer(
        inner.type, f"{inner.form} {parts['unit'].strip()}", f"{inner.key}|{words}",
        frozenset({inner.key}), inner.bare, inner.value, unit.unit,
    )  # fmt: skip


def tidy_term(text: str) -> str:
    """A term without the blanks and signs of multiplication that carry no meaning in it."""
    text = re.sub(r"\s+", "", text)
    return re.sub(r"(?<=\w)\*(?=[A-Za-z(])", "", text)


# --- relations --------------------------------------------------------------------------------

_RELATION = re.compile(r"(?<![<>!=:≤≥])={1,3}(?![=>])|[<>]=?|≤|≥|≠|!=|∈|≈")
_JOINED = re.compile(
    r"\b(?:and|or|und|oder|et|ou|y|o|e|и|или)\b|[,;](?![^(\[{]*[)\]}])", re.IGNORECASE
)
_NAME = re.compile(
    r"(?:[A-Za-zα-ωΑ-Ω]|[A-Za-z]_\{?\w{1,3}\}?|[A-Za-z]{1,3}\((?:[A-Za-z]|\d+)\)|[A-Za-z]'?'?)"
)
_LABEL = re.compile(r"[^\W\d_][\w' ./-]{1,60}")
_TURNED = {"<": ">", ">": "<", "≤": "≥", "≥": "≤"}


def read_relation(text: str, read_item: ReadItem) -> Answer | None:
    """An equation, an inequality or a membership."""
    signs = list(_RELATION.finditer(text))
    if not signs or len(signs) > 8:
        return None
    marks = [
        {"<=": "≤", ">=": "≥", "!=": "≠", "==": "=", "===": "="}.get(s[0], s[0]) for s in signs
    ]
    edges = [0, *(edge for sign in signs for edge in sign.span()), len(text)]
    sides = [text[edges[at] : edges[at + 1]].strip() for at in range(0, len(edges), 2)]
    if any(not side for side in sides) or (len(sides) > 2 and _JOINED.search(text)):
        return None
    if marks == ["∈"]:
        inner = read_item(sides[1]) if _NAME.fullmatch(sides[0]) else None
        return _named(sides[0], inner, "equation", "∈") if inner else None
    if set(marks) <= {"=", "≈"}:
        return _equation(sides, read_item)
    return _inequality(text, sides, marks)


def _equation(sides: list[str], read_item: ReadItem) -> Answer | None:
    left, right = sides[0], sides[-1]
    inner = read_item(right)
    term = read_term(left) if is_term_like(left) else None
    # `17 + 25 = 42` claims 42, and so does `assert f(x) == 42`.
    if term is not None and not term.names:
        return inner
    if re.match(r"(?:assert\s|print\(|>>>)|\w{2,}\(", left):
        return inner
    named = _NAME.fullmatch(left) is not None
    if (
        inner is not None
        and inner.hard
        and not named
        and _LABEL.fullmatch(left)
        and not is_term_like(left)
    ):
        return inner  # Total = 42
    other = read_term(right)
    if named and inner is not None and (inner.hard or other is None):
        if other is not None and other.names:
            return _curve(left, right, other, inner)
        return _named(left, inner, "equation", "=")
    if named and other is not None and other.names:
        return _curve(left, right, other, term_answer(other, right))
    if len(sides) == 2:
        return _zero_set(left, right)
    if inner is not None and inner.hard and term is not None:
        return inner  # 3x + 2 = 3*2 + 2 = 8
    return None


def _named(name: str, inner: Answer, sort: AnswerType, sign: str) -> Answer:
    """`x = 5`: it says 5, and of which unknown."""
    return Answer(
        sort, f"{name}{sign}{inner.form}", f"{name}{sign}{inner.key}", inner.alts | {inner.key},
        inner.bare, inner.value, inner.unit,
    )  # fmt: skip


def _curve(left: str, right: str, term: Term, inner: Answer | None) -> Answer | None:
    """`y = 2x + 3`, `f(x) = 2x + 3`: an equation, and its right side alone."""
    name = left.split("(")[0]
    whole = None if "(" in left or name in term.names else _zero_set(name, right)
    if inner is None:
        return whole
    form = f"{left}={tidy_term(right)}"
    key = whole.key if whole else f"{left}={inner.key}"
    return Answer("equation", form, key, inner.alts | {inner.key}, bare=inner.bare)


def _zero_set(left: str, right: str) -> Answer | None:
    """An equation by where it holds: `x + y = 1` is `2x + 2y - 2 = 0`."""
    one, other = read_term(left), read_term(right)
    if one is None or other is None or _has_words(left) or _has_words(right):
        return None
    names = one.names | other.names
    if not names:
        return None
    form = f"{tidy_term(left)}={tidy_term(right)}"
    try:
        gaps = []
        for place in range(3):
            values = values_at(names, place)
            gaps.append(evaluate(("-", one.tree, other.tree), values))
        first = gaps[0]
        ratios = [evaluate(("/", ("n", gap), ("n", first)), {}) for gap in gaps[1:]]
    except TermError:
        return Answer("equation", form, f"eq:{form}", bare=form)
    written = ";".join(
        str(ratio) if isinstance(ratio, Fraction) else f"{ratio.real:.9g},{ratio.imag:.9g}"
        for ratio in ratios
    )
    return Answer("equation", form, f"eq:{','.join(sorted(names))}:{written}", bare=form)


def _inequality(text: str, sides: list[str], marks: list[str]) -> Answer | None:
    if _has_words(text):
        return None
    form = tidy_term(text).replace("<=", "≤").replace(">=", "≥")
    if not all(read_term(side) or side.strip("+-") == "∞" for side in sides):
        return Answer("inequality", form, f"rel:{form}", bare=form) if len(text) < 80 else None
    known = [_bound(side) for side in sides]
    key = f"rel:{form}"
    alts: frozenset[str] = frozenset()
    if len(sides) == 2 and marks[0] in _TURNED:
        mark = marks[0]
        if known[0] is not None and known[1] is None:
            sides, known, mark = sides[::-1], known[::-1], _TURNED[mark]
        if known[1] is not None and _NAME.fullmatch(sides[0]):
            bound = known[1]
            interval = {
                ">": f"({bound},∞)", "≥": f"[{bound},∞)", "<": f"(-∞,{bound})", "≤": f"(-∞,{bound}]"
            }[mark]  # fmt: skip
            key, alts = f"{sides[0]}{mark}{bound}", frozenset({interval})
    elif len(sides) == 3 and known[0] and known[2] and _NAME.fullmatch(sides[1]):
        if marks[0] in "<≤" and marks[1] in "<≤":
            low, high = known[0], known[2]
        elif marks[0] in ">≥" and marks[1] in ">≥":
            low, high, marks = known[2], known[0], [_TURNED[mark] for mark in marks[::-1]]
        else:
            return Answer("inequality", form, key, bare=form)
        interval = f"{'(' if marks[0] == '<' else '['}{low},{high}{')' if marks[1] == '<' else ']'}"
        key, alts = f"{sides[1]}∈{interval}", frozenset({interval})
    return Answer("inequality", form, key, alts, bare=form)


def _bound(side: str) -> str | None:
    term = read_term(side)
    answer = term_answer(term, side) if term is not None and not term.names else None
    return answer.key if answer else None


# --- groups -----------------------------------------------------------------------------------

_IN_QUOTES = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"", re.DOTALL)
_ODD_ESCAPE = re.compile(r"\\(?![\\'\"nrtabfvx0-7uUN\n])")
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
    if text in ("∅", "{}"):
        return Answer("set", text, "{}", bare=text)
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


_MAY_BE_LITERAL = re.compile(r"[\[({](?:[^(+.0-9-]|[\d,.\s-]*[\])}]$|.*['\"])", re.DOTALL)


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
    return Answer("matrix", form, key, bare=form)


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
