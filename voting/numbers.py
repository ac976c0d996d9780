"""Numbers as people write them: `1,234`, `-$5.50`, `3/4`, `2 1/2`, `1.5 x 10^3`, `two apples`.

Values are exact fractions. Units, currency and a percent sign are passed over; what only begins
with a number (`5 pm`, `3x`, `4 July`, `2 or 3`) is none.
"""

from __future__ import annotations

import re
from fractions import Fraction

_NUMBER = re.compile(
    r"^(?:(?:about|approximately|approx\.?|roughly|around|exactly|only|~|≈|≃)\s*)?"
    r"(?P<minus>minus\s+|[-+])?\s*(?:[$€£¥₹]|(?:us|a|c)\$|usd|eur|gbp|rs\.?)?\s*(?P<minus2>-)?"
    r"(?P<whole>\d{1,3}(?:,\d{3})+|\d*)(?P<point>\.\d+)?"
    r"(?:e(?P<exp>[-+]?\d{1,2})|\s*[*x×]\s*10\s*\^\s*[({]?(?P<exp10>[-+]?\d{1,2})[)}]?)?"
    r"(?P<rest>.*)$",
    re.IGNORECASE | re.DOTALL,
)
_OVER = re.compile(r"^\s*/\s*(\d{1,30})\b(?P<rest>.*)$", re.DOTALL)
_MIXED = re.compile(r"^(?:\s+|\s*\+\s*)(\d{1,12})\s*/\s*(\d{1,12})\b(?P<rest>.*)$", re.DOTALL)
_SCALE = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_GLUED = re.compile(
    r"^(?:%|°[CFK]?|km|cm|mm|kg|mg|ml|mph|kmh|km/h|m/s|ms|hrs?|mins?|secs?|usd|eur|gb|mb|kb|kwh|[$€£¥])"
    r"(?=$|\s|\^|[²³])",
    re.IGNORECASE,
)
_UNIT_WORD = re.compile(
    r"^(?:[^\W\d_]{2,}\.?(?:/[^\W\d_]+)?(?:\^?[23²³])?|[mgshlLWVJN](?:\^?[23²³])?|/)$"
)
_NO_UNIT = frozenset({
    "am", "pm", "a.m", "p.m", "is", "are", "was", "not", "or", "and", "to", "if", "but", "no",
    "than", "then", "nor", "except", "through", "until", "bc", "ad", "ce", "bce", "dozen",
    "half", "hundred", "january", "february", "march", "april", "may", "june", "july",
    "august", "september", "october", "november", "december", "jan", "feb", "mar", "apr",
    "jun", "jul", "aug", "sep", "oct", "nov", "dec", "i", "mod", "plus", "minus", "times",
    "because", "since", "so", "squared", "cubed", "factorial", "pi", "sqrt", "which", "that",
    "points-or", "less", "fewer", "more", "degrees-or",
})  # fmt: skip
_SMALL = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
    "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen",
    "nineteen",
)  # fmt: skip
_TENS = (
    "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety",
)  # fmt: skip


def read_number(text: str) -> Fraction | None:
    """The number that the text is, units, currency and percent sign aside, or None."""
    text = text.strip()
    if text[:1] == "(" and text[-1:] == ")" and "," not in text and "(" not in text[1:]:
        text = text[1:-1].strip()
    spelled = _spelled(text)
    if spelled is not None:
        return Fraction(spelled)
    found = _NUMBER.match(text)
    if not found or not (found["whole"] or found["point"]) or len(found[0]) > 120:
        return None
    if len(found["whole"] + (found["point"] or "")) > 60:
        return None
    value = Fraction(found["whole"].replace(",", "") + (found["point"] or "") or "0")
    value *= Fraction(10) ** int(found["exp"] or found["exp10"] or 0)
    scaled = _rest(value, found["rest"], whole=not found["point"])
    if scaled is None:
        return None
    return -scaled if (found["minus"] or "+").strip() != "+" or found["minus2"] else scaled


def _rest(value: Fraction, rest: str, *, whole: bool) -> Fraction | None:
    """Read what follows the digits: a denominator, a scale, units. None: it is no number."""
    over = _OVER.match(rest)
    if over and int(over[1]):
        value, rest = value / int(over[1]), over["rest"]
    elif whole and (mixed := _MIXED.match(rest)) and int(mixed[2]):
        value, rest = value + Fraction(int(mixed[1]), int(mixed[2])), mixed["rest"]
    glued = _GLUED.match(rest)
    rest = rest[glued.end() :] if glued else rest
    if rest and not rest[0].isspace() and not (glued and rest[0] in "^²³"):
        return None
    units = re.sub(r"[$€£¥%°]", " ", rest).split()
    if units and units[0].lower() in _SCALE:
        value *= _SCALE[units.pop(0).lower()]
    if len(units) > 3 or any(
        not _UNIT_WORD.match(word) or word.lower().rstrip(".") in _NO_UNIT for word in units
    ):
        # "^2" glued to a unit is the only mark that may follow
        return value if glued and rest.strip() in {"^2", "^3", "²", "³"} else None
    return value


def write_number(value: Fraction) -> str:
    """`42`, `-0.5` or, where the decimals do not end, `1/3`."""
    if value.denominator == 1:
        return str(value.numerator)
    rest, places = value.denominator, 0
    for prime in (2, 5):
        power = 0
        while rest % prime == 0:
            rest, power = rest // prime, power + 1
        places = max(places, power)
    if rest != 1:
        return f"{value.numerator}/{value.denominator}"
    digits = str(abs(value.numerator) * 10**places // value.denominator).rjust(places + 1, "0")
    sign = "-" if value < 0 else ""
    return f"{sign}{digits[:-places]}.{digits[-places:]}"


def _spelled(text: str) -> int | None:
    word = text.casefold()
    if word in _SMALL:
        return _SMALL.index(word)
    tens, _, ones = word.replace(" ", "-").partition("-")
    if tens not in _TENS or (ones and ones not in _SMALL[1:10]):
        return None
    return 10 * (_TENS.index(tens) + 2) + (_SMALL.index(ones) if ones else 0)
