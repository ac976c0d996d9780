"""Terms of mathematics, read and evaluated: `2sqrt(3)`, `3 + 4i`, `x^2 - 1`, `2^10`.

Two terms are the same where they have the same value: exactly where all is rational, else to
nine digits, at two fixed places for every unknown. So `(x-1)(x+1)` is `x^2 - 1`, and `sqrt(8)` is
`2sqrt(2)`, without a computer algebra system.
"""

from __future__ import annotations

import cmath
import functools
import math
import operator
import re
import zlib
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any, NamedTuple, cast

from mom_council.voting.reading.text import lazy_pattern

_TOKEN = lazy_pattern(
    r"\s*(?:(?P<number>\d{1,3}(?:,\d{3})+(?![\d,])(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)"
    r"|(?P<name>arcsin|arccos|arctan|asin|acos|atan|sqrt|cbrt|sin|cos|tan|sec|csc|cot|exp|"
    r"log\s?_\(?(?:\d+|[a-z])\)?|log|ln|abs|binom|gcd|lcm|floor|ceil|pi|[A-Za-zα-ωπ](?:_(?:\d+|[A-Za-z]))?)"
    r"|(?P<sign>\*\*|[-+*/^()|!°%√·×÷−,]))"
)
_FUNCTIONS: dict[str, Callable[[complex], complex]] = {
    "sin": cmath.sin, "cos": cmath.cos, "tan": cmath.tan, "arcsin": cmath.asin,
    "arccos": cmath.acos, "arctan": cmath.atan, "asin": cmath.asin, "acos": cmath.acos,
    "atan": cmath.atan, "exp": cmath.exp, "ln": cmath.log, "log": cmath.log10,
    "sec": lambda value: 1 / cmath.cos(value), "csc": lambda value: 1 / cmath.sin(value),
    "cot": lambda value: cmath.cos(value) / cmath.sin(value),
}  # fmt: skip
_OF_TWO = frozenset({"binom", "gcd", "lcm"})
_SYNONYMS = {"**": "^", "·": "*", "×": "*", "÷": "/", "−": "-"}
_LONGEST = 400
_DEEPEST = 40
_MOST_BITS = 4000

Value = Fraction | complex
Tree = tuple[object, ...]


class TermError(ValueError):
    """The text is no term, or it cannot be evaluated."""


class Term(NamedTuple):
    """A term that was read."""

    tree: Tree
    names: frozenset[str]
    """Its unknowns; the imaginary unit and e are none."""
    plain: bool
    """It is but a number or one name, with no operation."""


@functools.lru_cache(maxsize=256)
def read_term(text: str) -> Term | None:
    """The term that the whole text is, or None."""
    if not text or len(text) > _LONGEST:
        return None
    tokens = _tokens(text)
    if not tokens:
        return None
    try:
        reader = _Reader(tokens)
        tree = reader.sum()
    except TermError:
        return None
    if reader.at != len(tokens):
        return None
    names = frozenset(reader.names - {"i", "e", "pi", "π"})
    return Term(tree, names, len(tokens) == 1)


def _tokens(text: str) -> list[tuple[str, str]] | None:
    tokens: list[tuple[str, str]] = []
    at = 0
    end = len(text.rstrip())
    while at < end:
        token = _TOKEN.match(text, at)
        if token is None:
            return None
        kind = str(token.lastgroup)
        tokens.append((kind, _SYNONYMS.get(token[kind], token[kind])))
        at = token.end()
    return tokens


class _Reader:
    """A recursive descent over the tokens."""

    def __init__(self, tokens: list[tuple[str, str]]) -> None:
        self.tokens = tokens
        self.at = 0
        self.depth = 0
        self.names: set[str] = set()

    def peek(self) -> tuple[str, str]:
        return self.tokens[self.at] if self.at < len(self.tokens) else ("end", "")

    def take(self, sign: str) -> bool:
        if self.peek() == ("sign", sign):
            self.at += 1
            return True
        return False

    def sum(self) -> Tree:
        self.depth += 1
        if self.depth > _DEEPEST:
            raise TermError("too deep")
        tree = self.product()
        while True:
            if self.take("+"):
                tree = ("+", tree, self.product())
            elif self.take("-"):
                tree = ("-", tree, self.product())
            else:
                self.depth -= 1
                return tree

    def product(self) -> Tree:
        tree = self.signed()
        while True:
            if self.take("*"):
                tree = ("*", tree, self.signed())
            elif self.take("/"):
                tree = ("/", tree, self.signed())
            elif self.starts_factor():
                if self.peek()[0] == "number" and self.tokens[self.at - 1][0] == "number":
                    tree = self.mixed(tree)
                    continue
                tree = ("*", tree, self.power())
            else:
                return tree

    def mixed(self, whole: Tree) -> Tree:
        """`2 1/2`: a whole number, then a fraction of digits."""
        ahead = self.tokens[self.at : self.at + 3]
        if [kind for kind, _ in ahead] != ["number", "sign", "number"] or ahead[1][1] != "/":
            raise TermError("two numbers side by side")
        self.at += 3
        part = ("/", ("n", Fraction(ahead[0][1])), ("n", Fraction(ahead[2][1])))
        return ("mixed", whole, part)

    def starts_factor(self) -> bool:
        kind, text = self.peek()
        return kind in ("number", "name") or (kind == "sign" and text in ("(", "√"))

    def signed(self) -> Tree:
        negative = False
        for _ in range(_DEEPEST):
            if self.take("-"):
                negative = not negative
            elif not self.take("+"):
                break
        tree = self.power()
        return ("neg", tree) if negative else tree

    def power(self) -> Tree:
        tree = self.postfix()
        if self.take("^"):
            self.depth += 1
            if self.depth > _DEEPEST:
                raise TermError("too deep")
            tree = ("^", tree, self.signed())
            self.depth -= 1
        return tree

    def postfix(self) -> Tree:
        tree = self.atom()
        while True:
            if self.take("!"):
                tree = ("!", tree)
            elif self.take("°"):
                tree = ("°", tree)
            elif self.take("%"):
                tree = ("/", tree, ("n", Fraction(100)))
            else:
                return tree

    def atom(self) -> Tree:
        kind, text = self.peek()
        if kind == "end":
            raise TermError("it ends early")
        self.at += 1
        if kind == "number":
            return ("n", Fraction(text.replace(",", "")))
        if kind == "name":
            return self.name(text)
        if text == "√":
            return ("root", ("n", Fraction(2)), self.atom())
        closing = {"(": ")", "|": "|"}.get(text)
        if closing is None:
            raise TermError("no term begins so")
        tree = self.sum()
        if not self.take(closing):
            raise TermError("a bracket stays open")
        return ("abs", tree) if text == "|" else tree

    def name(self, text: str) -> Tree:
        if text in ("sqrt", "cbrt"):
            degree = Fraction(2 if text == "sqrt" else 3)
            return ("root", ("n", degree), self.atom())
        if text in _OF_TWO:
            return self.of_two(text)
        if text.startswith("log") and len(text) > 3:
            base = re.sub(r"[log\s_()]", "", text)
            self.names |= set() if base.isdigit() else {base}
            under: Tree = ("n", Fraction(base)) if base.isdigit() else ("name", base)
            return ("/", ("ln", self.argument()), ("ln", under))
        if text in ("floor", "ceil", "abs"):
            if self.peek() != ("sign", "("):
                raise TermError("no argument")
            return (text, self.atom())
        if text in _FUNCTIONS:
            power: Tree | None = self.atom() if self.take("^") else None
            argument = self.argument()
            applied: Tree = (text, argument)
            return ("^", applied, power) if power else applied
        self.names.add(text)
        return ("name", text)

    def of_two(self, text: str) -> Tree:
        """`binom(5,2)`, `gcd(12,18)`."""
        if not self.take("("):
            raise TermError("no arguments")
        one = self.sum()
        if not self.take(","):
            raise TermError("one argument")
        other = self.sum()
        if not self.take(")"):
            raise TermError("a bracket stays open")
        return (text, one, other)

    def argument(self) -> Tree:
        """`sin 3x` takes the product of what follows; `sin(3x)` its brackets alone."""
        if self.peek() == ("sign", "("):
            return self.atom()
        tree = self.power()
        while self.peek()[0] in ("number", "name") and self.peek()[1] not in _FUNCTIONS:
            tree = ("*", tree, self.power())
        return tree


# --- values -----------------------------------------------------------------------------------


def evaluate(tree: Tree, values: Mapping[str, Value]) -> Value:
    """The value of a term.

    Raises:
        TermError: it has none, or one that is too large.
    """
    try:
        return _evaluate(tree, values)
    except (ZeroDivisionError, OverflowError, ValueError, RecursionError) as exc:
        raise TermError(str(exc)) from None


def _evaluate(tree: Tree, values: Mapping[str, Value]) -> Value:
    sort = str(tree[0])
    if sort == "n":
        return cast("Fraction", tree[1])
    if sort == "name":
        return _named(str(tree[1]), values)
    parts = [_evaluate(cast("Tree", part), values) for part in tree[1:]]
    operation = _OPERATIONS.get(sort)
    if operation is not None:
        return operation(*parts)
    if sort == "ln" and parts[0] == 1:
        return Fraction(0)
    return complex(_FUNCTIONS[sort](complex(parts[0])))


def _named(name: str, values: Mapping[str, Value]) -> Value:
    if name in values:
        return values[name]
    if name in ("pi", "π"):
        return complex(math.pi)
    if name == "e":
        return complex(math.e)
    if name == "i":
        return 1j
    raise TermError(f"{name!r} has no value")


def _both(one: Value, other: Value, exact: Any) -> Value:
    """An operation on fractions where both are, else on complex numbers."""
    if isinstance(one, Fraction) and isinstance(other, Fraction):
        return cast("Fraction", exact(one, other))
    return complex(exact(complex(one), complex(other)))


def _plus(one: Value, other: Value) -> Value:
    return _both(one, other, operator.add)


def _minus(one: Value, other: Value) -> Value:
    return _both(one, other, operator.sub)


def _times(one: Value, other: Value) -> Value:
    return _both(one, other, operator.mul)


def _over(one: Value, other: Value) -> Value:
    return _both(one, other, operator.truediv)


def _degrees(value: Value) -> Value:
    return complex(value) * math.pi / 180


def _size(value: Value) -> Value:
    return abs(value) if isinstance(value, Fraction) else complex(abs(value))


def _power(base: Value, power: Value) -> Value:
    if isinstance(base, Fraction) and isinstance(power, Fraction):
        if power.denominator == 1:
            bits = max(base.numerator.bit_length(), base.denominator.bit_length())
            if abs(power.numerator) * max(bits, 1) > _MOST_BITS:
                raise TermError("too large")
            return base**power.numerator
        return _root(_power(base, Fraction(power.numerator)), Fraction(power.denominator))
    if base == 0:
        raise TermError("a power of nothing")
    return complex(base) ** complex(power)


def _root(value: Value, degree: Value) -> Value:
    if not isinstance(degree, Fraction) or degree.denominator != 1 or not 1 <= degree <= 64:
        raise TermError("no such root")
    n = int(degree)
    if isinstance(value, Fraction):
        negative = value < 0 and n % 2 == 1
        if value >= 0 or negative:
            above, below = _whole_root(abs(value.numerator), n), _whole_root(value.denominator, n)
            if above is not None and below is not None:
                exact = Fraction(above, below)
                return -exact if negative else exact
            if negative:
                return complex(-(float(-value) ** (1 / n)))
    return complex(value) ** (1 / n) if value != 0 else complex(0)


def _whole_root(value: int, n: int) -> int | None:
    if n == 2:
        root = math.isqrt(value)
    else:
        if value.bit_length() > 900:
            return None
        root = round(value ** (1 / n))
    return root if root**n == value else None


def _factorial(value: Value) -> Value:
    if not isinstance(value, Fraction) or value.denominator != 1 or not 0 <= value <= 300:
        raise TermError("no factorial")
    return Fraction(math.factorial(int(value)))


def _whole(value: Value) -> int:
    if not isinstance(value, Fraction) or value.denominator != 1 or abs(value) > 10**6:
        raise TermError("no whole number")
    return int(value)


def _binom(above: Value, below: Value) -> Value:
    """Also of an unknown or a fraction above, as a product."""
    k = _whole(below)
    if not 0 <= k <= 300:
        raise TermError("no binomial coefficient")
    product: Value = Fraction(1)
    for step in range(k):
        product = _over(_times(product, _minus(above, Fraction(step))), Fraction(step + 1))
    return product


def _near_whole(value: Value) -> float | Fraction:
    """A real number, for rounding; what is whole but for the last digit is whole."""
    if isinstance(value, Fraction):
        return value
    if abs(value.imag) > 1e-12:
        raise TermError("no real number")
    near = round(value.real)
    return Fraction(near) if abs(value.real - near) < 1e-9 else value.real


_OPERATIONS: dict[str, Callable[..., Value]] = {
    "+": _plus, "mixed": _plus, "-": _minus, "*": _times, "/": _over, "^": _power,
    "neg": operator.neg, "root": lambda degree, value: _root(value, degree), "!": _factorial,
    "°": _degrees, "abs": _size, "binom": _binom,
    "gcd": lambda one, other: Fraction(math.gcd(_whole(one), _whole(other))),
    "lcm": lambda one, other: Fraction(math.lcm(_whole(one), _whole(other))),
    "floor": lambda value: Fraction(math.floor(_near_whole(value))),
    "ceil": lambda value: Fraction(math.ceil(_near_whole(value))),
}  # fmt: skip

# --- sameness ---------------------------------------------------------------------------------


def constant(term: Term) -> Value | None:
    """The value of a term that has one whatever its unknowns are: a fraction where it is rational."""
    try:
        value = evaluate(term.tree, values_at(term.names, 0))
        if term.names and _written(value) != _written(
            evaluate(term.tree, values_at(term.names, 1))
        ):
            return None
    except TermError:
        return None
    if isinstance(value, complex):
        return _rational(value)
    return value


def _rational(value: complex) -> Value:
    """The simple fraction that a computed value is to fifteen digits, as in `sqrt(8)/sqrt(2)`."""
    if not cmath.isfinite(value) or abs(value) > 1e9 or abs(value.imag) > 1e-12:
        return value
    near = Fraction(value.real).limit_denominator(1000)
    if abs(float(near) - value.real) <= 2e-14 * max(1.0, abs(value.real)):
        return near
    return value


_PLACES = 2
_MOST_BELOW = 3


def signature(term: Term) -> str | None:
    """What is equal for terms of equal value, whatever their form; None where it has no value.

    Unknowns are above 0, as they mostly are under roots, and then each in its turn is below, so
    that `|x|` is not `x`.
    """
    places = [values_at(term.names, place) for place in range(_PLACES)]
    for name in sorted(term.names)[:_MOST_BELOW]:
        places.append({**places[0], name: -places[0][name]})
    spots = []
    for values in places:
        try:
            spots.append(_written(evaluate(term.tree, values)))
        except (TermError, OverflowError):
            return None
    return ";".join(spots)


def values_at(names: frozenset[str], place: int) -> dict[str, Value]:
    """The value of each unknown at one of the fixed places."""
    return {
        name: Fraction(zlib.crc32(f"{name}{place}".encode()) % 9973 + 5000, 7919) for name in names
    }


def _written(value: Value) -> str:
    if isinstance(value, Fraction):
        text = f"{value.numerator}/{value.denominator}"
        return (
            text
            if len(text) < 40
            else f"#{zlib.crc32(text.encode()):08x}{zlib.adler32(text.encode()):08x}"
        )
    return f"{_digits(value.real, abs(value))},{_digits(value.imag, abs(value))}"


def _digits(part: float, size: float) -> str:
    if not math.isfinite(part):
        raise TermError("no finite value")
    return "0" if abs(part) <= 1e-11 * max(size, 1e-300) else f"{part:.9g}"
