"""The four forms of a ballot: one choice, approvals, a ranking, scores.

A score out of anything but 10, or beyond the range, is not read: neither clipped nor rescaled,
because a voter who did not keep to the scale cannot be said to have meant another.

A form says how a voter is asked (a sentence and an example), the JSON schema that holds a model to
it, and what a ballot of another form says in this one. A vote method names the form it counts.

In every schema the reason comes first and the ballot last, so that a model thinks before it
decides. Abstaining is always possible: nobody is made to choose.
"""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

from mom_council.records import Ballot
from mom_council.voting.candidates import OUT_OF, SCORE_WORD, UNIT, CandidateMatcher
from mom_council.voting.reading.text import lazy_pattern

# A decimal comma is read where a scale or a unit follows; else `8,5` may be two numbers.
_SCALE = rf"\s*(?P<scale>{OUT_OF})\s*(?P<of>\d{{1,4}})(?![\w%]|[.,/]\d)"
_POINTS = (
    r"(?<![\w.,/-])(?P<points>\d{1,4}(?:\.\d+)?(?:,\d{1,2}(?=\s*(?:/|out\s+of|von|sur|de|em|su|sobre|из)"
    rf"\s*\d|\s*{UNIT}))?)(?:(?![\w%]|\.\d|,\d)|(?=\s*{UNIT}))"
    rf"(?:{_SCALE})?"
    r"(?!\s*(?:[-–—/]|to\b|or\b|bis\b|oder\b|ou\b|à\b)\s*\d|\s*/)"
)
_LINK = (
    r"[*_`]*\s*(?:(?:scores?|gets?|rates?|rating|earns|deserves|is|a|of|with|receives|bekommt|erhält|"
    r"hat|ist|obtient|mérite|reçoit|est|obtiene|recibe|merece|recebe|tem|ottiene|riceve|merita|"
    r"получает|заслуживает|得|给|給|は|に|는|은|को|"
    r":|=|\||->|→|–|—|-|\()\s*)+[*_`]*"
)
_STATED = lazy_pattern(
    rf"(?:(?<!\w){SCORE_WORD}[*_`\"']*\s*(?:(?:is|of|:|=|would be|ist|est|es|é|è|为|は)\s*)*"
    r"[*_`\"']*|"
    rf"\b(?:vote|ballot)s?\b[*_`\"']*\s*(?:is|of|:|=|would be)*\s*[*_`\"']*|"
    rf"\b(?:give|rate|score|award)\s+(?:it|this|that|the \w+)?\s*(?:an?\s+)?[*_`]*){_POINTS}",
    re.IGNORECASE,
)
_ANY_POINTS = lazy_pattern(_POINTS)


def read_scores(text: str, matcher: CandidateMatcher) -> dict[str, float]:
    """The scores that a reply gives, by character; the last given to each counts."""
    beside = _beside_names(text, matcher)
    under = _under_headings(text, matcher)
    if len(under) > len(beside) or (under and any(beside.get(n, p) != p for n, p in under.items())):
        scores = {**beside, **under}
    else:
        scores = beside
    if scores or len(matcher.candidates) != 1:
        return scores
    alone = _only_score(text)
    return {} if alone is None else {matcher.candidates[0].character: alone}


def split_numbers(
    text: str, matcher: CandidateMatcher
) -> tuple[dict[str, float], dict[str, float]]:
    """The numbers beside the candidates: those said to be points (`8/10`, `8.5`), and bare ones."""
    points: dict[str, float] = {}
    bare: dict[str, float] = {}
    for match in re.finditer(rf"(?P<who>{matcher.name.pattern}){_LINK}{_POINTS}", text):
        name, number = matcher.who(match["who"]), _points(match)
        if name and number is not None:
            unit = re.match(rf"\s*{UNIT}", text[match.end() :])
            scaled = match["scale"] or unit or not match["points"].isdigit()
            (points if scaled else bare)[name] = number
    if points and not points.keys() & bare.keys():
        return {**points, **bare}, {}  # "A: 8.5, B: 6" is one list of points
    return points or _under_headings(text, matcher), bare


def score_of(value: object) -> float | None:
    """A score as JSON may hold it: `8`, `8.5`, `"8/10"`; None where it is none from 0 to 10."""
    if isinstance(value, str):
        match = re.fullmatch(rf"\s*{_POINTS}\s*(?:{UNIT})?\s*", value)
        if not match and re.fullmatch(r"\s*\d{1,2},\d{1,2}\s*", value):
            return score_of(value.replace(",", "."))
        return _points(match) if match else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) and 0 <= value <= 10 else None


def _beside_names(text: str, matcher: CandidateMatcher) -> dict[str, float]:
    """`A: 8/10`: the number stands right after the name."""
    scores: dict[str, float] = {}
    for match in re.finditer(rf"(?P<who>{matcher.name.pattern}){_LINK}{_POINTS}", text):
        name, points = matcher.who(match["who"]), _points(match)
        if name and points is not None:
            scores[name] = points
        elif name:
            scores.pop(name, None)
    return scores


def _under_headings(text: str, matcher: CandidateMatcher) -> dict[str, float]:
    """A block for each candidate, headed by its name, in which one score is stated."""
    head = re.compile(
        rf"^[\s#>*_|\d.)-]*(?P<who>{matcher.name.pattern})[\s*_`]*(?:[:.–—-]|$)", re.MULTILINE
    )
    heads = [(mark, who) for mark in head.finditer(text) if (who := matcher.who(mark["who"]))]
    if len({who for _, who in heads}) < len(heads) or not heads:
        return {}
    scores: dict[str, float] = {}
    ends = [mark.start() for mark, _ in heads[1:]] + [len(text)]
    for (mark, who), end in zip(heads, ends, strict=True):
        block = text[mark.end() : end]
        stated = {_points(one) for one in _STATED.finditer(block)}
        if not stated:
            stated = {_points(one) for one in _ANY_POINTS.finditer(block) if one["scale"]}
        points = stated.pop() if len(stated) == 1 else None
        if points is not None and not _beside_names(block, matcher):
            scores[who] = points
    return scores


def _only_score(text: str) -> float | None:
    """The score of the one candidate that was shown: as stated, or all the reply is."""
    stated = list(_STATED.finditer(text))
    if stated:
        return _points(stated[-1])
    whole = re.fullmatch(rf"[\s*_`\"'(]*{_POINTS}[\s*_`\"').!]*", text)
    if whole:
        return _points(whole)
    scaled = {_points(match) for match in _ANY_POINTS.finditer(text) if match["scale"]}
    return scaled.pop() if len(scaled) == 1 else None


def _points(match: re.Match[str]) -> float | None:
    if match["of"] and match["of"] != "10":
        return None
    points = float(match["points"].replace(",", "."))
    return points if 0 <= points <= 10 else None


ABSTAIN = "abstain"

Field = Literal["choice", "approved", "ranking", "scores"]


class BallotForm(ABC):
    """How voters are asked for a ballot, and which field of the ballot holds their vote."""

    field: ClassVar[Field]
    """The field of `Ballot` that this form fills."""
    instruction: ClassVar[str]
    """What a voter is asked to do, as its prompt says it."""
    translation: ClassVar[str] = ""
    """What is said where ballots of another form are read as this one."""

    @abstractmethod
    def example(self, labels: Sequence[str]) -> str:
        """The ballot's part of the JSON object that a voter is shown as an example."""

    @abstractmethod
    def properties(self, labels: Sequence[str]) -> dict[str, Any]:
        """The ballot's part of the JSON schema."""

    @abstractmethod
    def read_from(self, ballot: Ballot) -> Any:
        """What a ballot, of whatever form, says in this one; empty where it says nothing."""

    def schema(self, labels: Sequence[str]) -> dict[str, Any]:
        """The JSON schema for one ballot; strict: every key is required, no other is allowed.

        Args:
            labels: of the candidates, in the order they are shown.
        """
        return _closed({"reason": {"type": "string"}, **self.properties(labels)})

    def is_filled(self, ballot: Ballot) -> bool:
        """Whether a ballot has a vote in this form."""
        return bool(getattr(ballot, self.field))

    def translate(self, ballot: Ballot) -> Ballot:
        """The ballot in this form; it abstains where it does not answer this form's question."""
        blank = Ballot(voter=ballot.voter, round=ballot.round, weight=ballot.weight)
        return blank.model_copy(update={self.field: self.read_from(ballot)})


class SingleChoice(BallotForm):
    """One candidate."""

    field = "choice"
    instruction = "Vote for the one best candidate, or abstain."
    translation = "Each ballot counts for the one that it put first."

    def example(self, labels: Sequence[str]) -> str:
        """`"vote": "A" or "B" or "abstain"`."""
        return '"vote": "' + '" or "'.join([*labels, ABSTAIN]) + '"'

    def properties(self, labels: Sequence[str]) -> dict[str, Any]:
        """One label, or that the voter abstains."""
        return {"vote": {"type": "string", "enum": [*labels, ABSTAIN]}}

    def read_from(self, ballot: Ballot) -> str | None:
        """The choice, the first of a ranking, or the one with most points."""
        if ballot.choice or not (ballot.ranking or ballot.scores):
            return ballot.choice
        if ballot.ranking:
            return ballot.ranking[0]
        most = max(ballot.scores.values())
        best = [name for name, points in ballot.scores.items() if points == most]
        return best[0] if len(best) == 1 else None


class Approvals(BallotForm):
    """All candidates that are acceptable."""

    field = "approved"
    instruction = (
        "Approve every candidate that you would be content to see as the answer: several, one, or "
        "none."
    )

    def example(self, labels: Sequence[str]) -> str:
        """`"approved": ["...", "..."]`."""
        return '"approved": ["...", "..."]'

    def properties(self, labels: Sequence[str]) -> dict[str, Any]:
        """A list of labels."""
        return {"approved": _list_of(labels)}

    def read_from(self, ballot: Ballot) -> tuple[str, ...]:
        """The approvals; nothing else says what is acceptable."""
        return ballot.approved


class Ranking(BallotForm):
    """Candidates in order, the best first."""

    field = "ranking"
    instruction = "Rank the candidates, the best first. Leave out whom you cannot judge."
    translation = "Each ballot's points are read as a ranking."

    def example(self, labels: Sequence[str]) -> str:
        """`"ranking": ["best", "...", "worst"]`."""
        return '"ranking": ["best", "...", "worst"]'

    def properties(self, labels: Sequence[str]) -> dict[str, Any]:
        """A list of labels."""
        return {"ranking": _list_of(labels)}

    def read_from(self, ballot: Ballot) -> tuple[str, ...]:
        """The ranking, or the order of different points; level points give no order."""
        if ballot.ranking or len({*ballot.scores.values()}) < len(ballot.scores):
            return ballot.ranking
        return tuple(sorted(ballot.scores, key=lambda name: -ballot.scores[name]))


class Scores(BallotForm):
    """0 to 10 points for each candidate."""

    field = "scores"
    instruction = (
        "Give each candidate 0 to 10 points for how right and how helpful it is; 10 is flawless. "
        "Leave out whom you cannot judge."
    )

    def example(self, labels: Sequence[str]) -> str:
        """`"scores": {"A": 0-10, "B": 0-10}`."""
        return '"scores": {"' + '": 0-10, "'.join(labels) + '": 0-10}'

    def properties(self, labels: Sequence[str]) -> dict[str, Any]:
        """A number for each label."""
        points = {"type": "number", "minimum": 0, "maximum": 10}
        return {"scores": _closed({label: dict(points) for label in labels})}

    def read_from(self, ballot: Ballot) -> dict[str, float]:
        """The scores; no other vote says how many points."""
        return ballot.scores


CHOICE = SingleChoice()
APPROVALS = Approvals()
RANKING = Ranking()
SCORES = Scores()


def _list_of(labels: Sequence[str]) -> dict[str, Any]:
    return {"type": "array", "items": {"type": "string", "enum": list(labels)}}


def _closed(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
