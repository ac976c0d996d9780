"""Answers of mathematics beyond numbers: terms, equations, inequalities."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

from mom_council.voting.reading.answer import Answer, AnswerType, write_number
from mom_council.voting.reading.expressions import (
    Term,
    TermError,
    constant,
    evaluate,
    read_term,
    signature,
    values_at,
)
from mom_council.voting.reading.quantities import Quantity, read_quantity
from mom_council.voting.reading.text import lazy_pattern

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
    if quantity.words == ("¢",):
        alts |= {f"#{write_number(quantity.value / 100)}|{sign}" for sign in "$€"}
    if quantity.words == ("%",):
        alts |= {f"#{write_number(quantity.value / 100)}"}
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


_TERM_LIKE = lazy_pattern(
    r"[-+*/^=√·×÷!|]|\d|sqrt|\bpi\b|π|\b(?:sin|cos|tan|sec|csc|cot|log|ln|exp)\b"
)
_WORDY = lazy_pattern(r"[^\W\d_]{3,}")
_SHORT_WORD = lazy_pattern(
    r"(?<!\w)(?:is|it|so|to|of|in|an|or|we|he|be|as|at|by|if|no|on|up|us|do|go|me|my|am|pm|bc|ad|th|st|nd|rd)(?!\w)",
    re.IGNORECASE,
)
_KNOWN_WORDS = lazy_pattern(
    r"arc(?:sin|cos|tan)|sqrt|cbrt|sin|cos|tan|sec|csc|cot|log|exp|abs|pi|(?:binom|gcd|lcm|floor|ceil)(?=\s?\()"
)
_GLUED_UNIT = lazy_pattern(r"(\d+(?:\.\d+)?)([a-zA-Z])")
_UNIT_AFTER = lazy_pattern(
    r"(?P<term>.*(?:pi|[\d)π]))(?P<unit>(?:\s*°|\s+(?:[^\W\d_]{2,}|[mgsl]\b))[^\d()=<>]*(?:\^[23])?)"
)
_BASED = lazy_pattern(r"(-?[\dA-Fa-f]+(?:\.\d+)?)_\(?(\d{1,2}|[a-z])\)?")
_IN_BASE = lazy_pattern(r"\s+\(?(?:in\s+)?base\s+(\d{1,2})\)?$", re.IGNORECASE)


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
    if text.lstrip("+- ") == "∞":
        form = text.replace(" ", "").lstrip("+")
        return Answer("term", form, form, bare=form)
    based = _BASED.fullmatch(_IN_BASE.sub(r"_\1", text).replace(" ", ""))
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
        return Answer("term", form, f"?{form}", bare=form)
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

_RELATION = lazy_pattern(r"(?<![<>!=:≤≥])={1,3}(?![=>])|[<>]=?|≤|≥|≠|!=|∈|≈")
_JOINED = lazy_pattern(
    r"\b(?:and|or|und|oder|et|ou|y|o|e|и|или)\b(?!\s*[=<>≤≥∈^*/+-])|[,;](?![^(\[{]*[)\]}])",
    re.IGNORECASE,
)
_NAME = lazy_pattern(
    r"(?:[A-Za-zα-ωΑ-Ω]|[A-Za-z]_\{?\w{1,3}\}?|[A-Za-z]{1,3}\((?:[A-Za-z]|\d+)\)|[A-Za-z]'?'?)"
)
_LABEL = lazy_pattern(r"[^\W\d_][\w' ./-]{1,60}")
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
        return _member(sides[0], inner) if inner else None
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
        and not re.search(r"\s[A-Za-z]$", left)
        and not is_term_like(left)
    ):
        return inner  # Total = 42
    listed = _several_named(left, right, inner, read_item)
    if listed is not None:
        return listed
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


_NAMES = lazy_pattern(r"\(\s*[A-Za-z](?:\s*,\s*[A-Za-z])+\s*\)")


def _several_named(
    left: str, right: str, inner: Answer | None, read_item: ReadItem
) -> Answer | None:
    if _NAMES.fullmatch(left):
        return _each_named(left, inner) if inner is not None and inner.type == "tuple" else None
    return _named_values(left, right, read_item) if "," in right and _NAME.fullmatch(left) else None


def _each_named(left: str, inner: Answer) -> Answer | None:
    """`(x, y) = (1, 2)`: it says x = 1 and y = 2, and the pair."""
    names = [name.strip() for name in left[1:-1].split(",")]
    values = inner.key[1:-1].split(",")
    if len(names) != len(values) or re.search(r"[(\[{]", inner.key[1:-1]):
        return None
    key = ",".join(sorted(f"{name}={value}" for name, value in zip(names, values, strict=True)))
    form = f"{left}={inner.form}"
    return Answer("set", form, "{" + key + "}", frozenset({inner.key}), bare=inner.bare)


def _named_values(name: str, right: str, read_item: ReadItem) -> Answer | None:
    """`x = 2, 3`: two values of one unknown."""
    if re.search(r"[(\[{]", right) or not re.search(r",\s", right):
        return None
    items = [read_item(part) for part in right.split(",")]
    values = [item.key for item in items if item and item.hard]
    if len(values) != len(items):
        return None
    key = "{" + ",".join(sorted({f"{name}={value}" for value in values})) + "}"
    alts = frozenset({"{" + ",".join(sorted(set(values))) + "}", "[" + ",".join(values) + "]"})
    return Answer("set", f"{name}={right}", key, alts, bare=right)


def _named(name: str, inner: Answer, sort: AnswerType, sign: str) -> Answer:
    """`x = 5`: it says 5, and of which unknown; of `x = ±5` as of `x ∈ {-5, 5}`."""
    if sign == "=" and inner.type == "set" and "±" in str(inner.form):
        return _member(name, inner, sign)
    return Answer(
        sort, f"{name}{sign}{inner.form}", f"{name}{sign}{inner.key}", inner.alts | {inner.key},
        inner.bare, inner.value, inner.unit,
    )  # fmt: skip


def _member(name: str, inner: Answer, sign: str = "∈") -> Answer:
    """`x ∈ (2, 5]`; where the set is a list of values, it is `x = 1 or x = 2`."""
    form = f"{name}{sign}{inner.form}"
    whole = Answer(
        "equation", form, f"{name}{sign}{inner.key}", inner.alts | {inner.key}, inner.bare
    )
    endless = re.fullmatch(r"([(\[])(#[^,]*),∞\)|\(-∞,(#[^,]*)([)\]])", inner.key)
    if endless:
        sign = {"(": ">", "[": "≥", ")": "<", "]": "≤"}[endless[1] or endless[4]]
        return replace(whole, key=f"{name}{sign}{endless[2] or endless[3]}")
    if inner.type != "set" or re.search(r"[(\[{]", inner.key[1:-1]):
        return whole
    values = sorted(f"{name}={key}" for key in inner.key[1:-1].split(","))
    return replace(whole, key="{" + ",".join(values) + "}")


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
        return Answer("equation", form, f"?eq:{form}", bare=form)
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
    key = f"rel:{form}"
    bounds = _bounds(sides, marks)
    if bounds is None:
        return Answer("inequality", form, key, bare=form)
    name, opening, low, high, closing = bounds
    interval = f"{opening}{low},{high}{closing}"
    bound = f"∈{interval}"
    if high == "∞":
        bound = f"{'>' if opening == '(' else '≥'}{low}"
    elif low == "-∞":
        bound = f"{'<' if closing == ')' else '≤'}{high}"
    return Answer("inequality", form, name + bound, frozenset({interval, bound}), bare=form)


def _bounds(sides: list[str], marks: list[str]) -> tuple[str, str, str, str, str] | None:
    """The unknown of inequalities that are linear in one, and the interval that it is in.

    The interval is given by its brackets and bounds: opening, low, high, closing.
    """
    low, high, opening, closing = "-∞", "∞", "(", ")"
    name = ""
    for at, mark in enumerate(marks):
        solved = _solve_linear(sides[at], mark, sides[at + 1])
        if solved is None or (name and solved[0] != name):
            return None
        name, mark, bound = solved
        if mark in "<≤":
            if high != "∞":
                return None
            high, closing = bound, ")" if mark == "<" else "]"
        else:
            if low != "-∞":
                return None
            low, opening = bound, "(" if mark == ">" else "["
    return name, opening, low, high, closing


def _solve_linear(left: str, mark: str, right: str) -> tuple[str, str, str] | None:
    """`2x + 1 > 5` as the name, the sign and the bound of `x > 2`; None where it is not linear."""
    if mark not in _TURNED:
        return None
    for side, other, sign in ((left, right, mark), (right, left, _TURNED[mark])):
        bound = _bound(other)
        if bound is not None and _NAME.fullmatch(side):
            return side, sign, bound
    one, other_term = read_term(left), read_term(right)
    if one is None or other_term is None:
        return None
    names = one.names | other_term.names
    if len(names) != 1:
        return None
    [name] = names
    gap = ("-", one.tree, other_term.tree)
    try:
        at = [evaluate(gap, {name: Fraction(place)}) for place in (0, 1, 2, 5)]
    except TermError:
        return None
    start, slope = at[0], _difference(at[1], at[0])
    exact = [value for value in at if isinstance(value, Fraction)]
    if slope is None or not slope or len(exact) < 4 or not isinstance(start, Fraction):
        return None
    if exact[2] != start + 2 * slope or exact[3] != start + 5 * slope:
        return None
    return name, mark if slope > 0 else _TURNED[mark], f"#{write_number(-start / slope)}"


def _difference(one: object, other: object) -> Fraction | None:
    return one - other if isinstance(one, Fraction) and isinstance(other, Fraction) else None


def _bound(side: str) -> str | None:
    term = read_term(side)
    answer = term_answer(term, side) if term is not None and not term.names else None
    return answer.key if answer else None
