"""Scores from 0 to 10, read from prose: `A: 8/10, B: 9`, `A=7`, a table; or one alone, `9/10`.

A score out of anything but 10, or beyond the range, is not read: neither clipped nor rescaled,
because a voter who did not keep to the scale cannot be said to have meant another.
"""

from __future__ import annotations

import math
import re

from mom_council.voting.candidates import Roll

_POINTS = (
    r"(?<![\w.,/-])(?P<points>\d{1,4}(?:\.\d+)?)(?![\w%]|\.\d|,\d)"
    r"(?:\s*(?P<scale>/|out of)\s*(?P<of>\d{1,4})(?![\w%]|[.,/]\d))?"
    r"(?!\s*(?:[-–—/]|to\b|or\b)\s*\d|\s*/)"
)
_LINK = (
    r"[*_`]*\s*(?:(?:scores?|gets?|rates?|rating|earns|deserves|is|a|of|with|"
    r":|=|\||->|→|–|—|-|\()\s*)+[*_`]*"
)
_ALONE = re.compile(
    rf"(?:\b(?:score|rating|vote|grade|points|mark|ballot)s?\b[*_`\"']*\s*"
    rf"(?:is|of|:|=|would be)*\s*[*_`\"']*|"
    rf"\b(?:give|rate|score|award)\s+(?:it|this|that|the \w+)?\s*(?:an?\s+)?[*_`]*){_POINTS}",
    re.IGNORECASE,
)
_OUT_OF_TEN = re.compile(_POINTS)


def read_scores(text: str, roll: Roll) -> dict[str, float]:
    """The scores that a reply gives, by character; the last given to each counts."""
    scores: dict[str, float] = {}
    for found in re.finditer(rf"(?P<who>{roll.name.pattern}){_LINK}{_POINTS}", text):
        name, points = roll.who(found["who"]), _points(found)
        if name and points is not None:
            scores[name] = points
        elif name:
            scores.pop(name, None)
    if scores or len(roll.candidates) != 1:
        return scores
    alone = _only_score(text)
    return {} if alone is None else {roll.candidates[0].character: alone}


def score_of(value: object) -> float | None:
    """A score as JSON may hold it: `8`, `8.5`, `"8/10"`; None where it is none from 0 to 10."""
    if isinstance(value, str):
        found = re.fullmatch(rf"\s*{_POINTS}\s*", value)
        return _points(found) if found else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) and 0 <= value <= 10 else None


def _only_score(text: str) -> float | None:
    """The score of the one candidate that was shown: as stated, or all the reply is."""
    stated = list(_ALONE.finditer(text))
    if stated:
        return _points(stated[-1])
    whole = re.fullmatch(rf"[\s*_`\"'(]*{_POINTS}[\s*_`\"').!]*", text)
    if whole:
        return _points(whole)
    scaled = {_points(found) for found in _OUT_OF_TEN.finditer(text) if found["scale"]}
    return scaled.pop() if len(scaled) == 1 else None


def _points(found: re.Match[str]) -> float | None:
    if found["of"] and found["of"] != "10":
        return None
    points = float(found["points"])
    return points if 0 <= points <= 10 else None
