"""How sure a reply says it is: "Confidence: 80%", "I am 80 % sure", `"confidence": 0.8`.

Only a number with a known scale is read: a percentage, a share below 1, "8 out of 10". "High", a
bare 8, a range and "I am not 100 % sure" are no confidence, and none is made up for them.
"""

from __future__ import annotations

import re
from typing import Any

from mom_council.voting.reading.text import json_values, plain_text

_NUMBER = r"(?P<number>\d{1,3}(?:[.,]\d{1,6})?)"
_SCALE = r"(?P<scale>\s*(?:%|percent\b|per cent\b|(?:/|out of|of)\s*(?:100|10)\b))"
_ENDS = r"(?![\w%]|[.,]\d|\s*(?:-|–|—|to|or)\s*\d)"
_LABEL = (
    r"\b(?:confidence|certainty)(?:\s+(?:level|score|rating|in (?:my|this|the) answer))?"
    r"[\"'*_`]{0,4}\s*(?:is|of|at|[:=])?\s*[\"'*_`]{0,4}\s*(?:about|around|roughly|~|≈)?\s*"
)
_LABELLED = re.compile(rf"{_LABEL}{_NUMBER}(?:{_SCALE}|{_ENDS})", re.IGNORECASE)
_SAID = re.compile(
    rf"(?<![\w.,%–—/-]){_NUMBER}{_SCALE}\s*(?:sure|certain|confident|confidence|certainty)\b",
    re.IGNORECASE,
)
_DENIED = re.compile(
    r"(?:\bnot|n't|\bnever|\bcannot|\bhardly|\bless than|\bunder|\bbelow|\d\s*%?\s*(?:-|–|—|to|or))"
    r"[\s\w]{0,12}$",
    re.IGNORECASE,
)
_LINE = re.compile(
    rf"^[\s*_`>#-]*{_LABEL}{_NUMBER}{_SCALE}?[\s*_`.]*$\n?", re.IGNORECASE | re.MULTILINE
)


def stated_confidence(text: str) -> float | None:
    """The confidence that a reply states, 0..1; None where it states none that can be read.

    The last statement wins, as it does for answers; a JSON field wins over prose.
    """
    said = plain_text(text)
    for value in reversed(json_values(said)):
        if isinstance(value, dict):
            for key, given in value.items():
                if str(key).strip().casefold() in ("confidence", "certainty"):
                    return _of_json(given)
    found = [
        (each.start(), sure)
        for pattern in (_LABELLED, _SAID)
        for each in pattern.finditer(said)
        if not _DENIED.search(said[max(0, each.start() - 24) : each.start()])
        and (sure := _share(each["number"], each["scale"])) is not None
    ]
    return max(found)[1] if found else None


def without_confidence(text: str) -> str:
    """A reply without the lines that say nothing but how sure it is: their number is no answer."""
    if "onfiden" not in text and "ertain" not in text:
        return text
    return _LINE.sub("", text).strip()


def _of_json(value: Any) -> float | None:
    if isinstance(value, str):
        read = re.fullmatch(rf"\s*{_NUMBER}{_SCALE}?\s*", value, re.IGNORECASE)
        return _share(read["number"], read["scale"]) if read else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return _share(repr(value), None) if value >= 0 else None


def _share(number: str, scale: str | None) -> float | None:
    try:
        value = float(number.replace(",", "."))
    except ValueError:
        return None
    if scale is not None:
        most = 10.0 if scale.rstrip().endswith("10") else 100.0
    elif "." in number or "," in number:
        most = 1.0 if value <= 1 else 100.0
    else:
        most = 100.0 if value == 0 or value > 10 else 0.0  # a bare 8: of what?
    if not most or not 0 <= value <= most:
        return None
    return round(value / most, 6)
