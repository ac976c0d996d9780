"""The tolerant reader of ballots: which vote a reply states, in any words.

JSON is read first, then prose; what is stated after the JSON wins over it. In doubt the voter
abstains: no choice, rank or number is ever made up, and the unread reply is kept on the ballot.
A ballot in another shape is taken over where it says the same: a ranking chooses its first, a
choice ranks its one, different scores rank. A choice never becomes a score.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from mom_council.records import Ballot
from mom_council.voting.ballot_forms import BallotForm, Field, read_scores, score_of, split_numbers
from mom_council.voting.ballot_readings import (
    NONE,
    counts_from_worst,
    ranking_of,
    read_approvals,
    read_choice,
    read_ranking,
    said_choice,
    says_points,
)
from mom_council.voting.candidates import (
    ABSTAIN,
    GOES_ON,
    NOUN,
    RANK_WORD,
    YES,
    Candidate,
    CandidateMatcher,
    normalise,
    place_of,
)
from mom_council.voting.methods import METHODS
from mom_council.voting.reading.text import json_spans, json_values, plain_text

__all__ = ["Candidate", "Reading", "read_ballot"]

_CHOICE = frozenset({
    "vote", "myvote", "finalvote", "votefor", "votedfor", "choice", "mychoice", "finalchoice",
    "ballot", "best", "bestanswer", "bestcandidate", "answer", "winner", "selected",
    "selection", "candidate", "pick", "preferred", "preference", "option", "decision",
    "label", "stimme", "wahl", "choix", "voto", "eleccion", "escolha", "scelta",
})  # fmt: skip
_RANKING = frozenset({
    "ranking", "ranked", "order", "ordering", "ranks", "finalranking", "preferences",
    "rank", "rangfolge", "classement", "clasificacion", "classificacao", "classifica",
})  # fmt: skip
_PLACE = frozenset({
    "rank", "place", "position", "ranking", "rang", "platz", "puesto", "posto", "posicion",
})  # fmt: skip
_APPROVED = frozenset({
    "approved", "approvals", "approve", "approves", "acceptable", "accepted", "approval",
})  # fmt: skip
_SCORES = frozenset({
    "scores", "ratings", "score", "rating", "points", "grades", "grade", "mark", "marks",
    "punkte", "note", "notes", "puntos", "pontos", "punti",
})  # fmt: skip
_REASON = frozenset({
    "reason", "reasoning", "why", "rationale", "explanation", "justification", "thoughts",
})  # fmt: skip
_NAME = (
    "candidate",
    "label",
    "option",
    "name",
    "id",
    "answer",
    "kandidat",
    "candidat",
    "candidato",
)
_BALLOT = _CHOICE | _RANKING | _APPROVED | _SCORES
_KEYS: dict[Field, frozenset[str]] = {
    "choice": _CHOICE,
    "ranking": _RANKING,
    "approved": _APPROVED,
    "scores": _SCORES,
}
_LOOK_FOR: dict[Field, tuple[Field, ...]] = {
    "scores": ("scores", "choice"),
    "approved": ("approved", "choice"),
    "choice": ("choice", "ranking", "scores"),
    "ranking": ("ranking", "choice", "scores"),
}
"""Which fields of an object are read for a vote of each form, in this order."""


class Reading(NamedTuple):
    """What a reply votes, in a ballot's fields; all four empty is an abstention."""

    choice: str | None = None
    ranking: tuple[str, ...] = ()
    approved: tuple[str, ...] = ()
    scores: Mapping[str, float] = {}
    reason: str = ""
    unread: str = ""

    @property
    def abstained(self) -> bool:
        """Whether nothing could be read."""
        return not (self.choice or self.ranking or self.approved or self.scores)

    def ballot(
        self,
        voter: str,
        *,
        round: int = 1,  # noqa: A002 - the ballot's own word
        weight: float = 1.0,
        order: Iterable[str] = (),
    ) -> Ballot:
        """The ballot of a voter that read the candidates in this order (of characters)."""
        return Ballot(
            voter=voter,
            round=round,
            weight=weight,
            shown=tuple(order),
            **{**self._asdict(), "scores": dict(self.scores)},
        )


def read_ballot(
    raw: str,
    candidates: Sequence[Candidate],
    method: str,
    *,
    complete: bool = True,
    options: Sequence[str] | Mapping[str, str] = (),
) -> Reading:
    """Read what a reply votes.

    Args:
        raw: the model's whole reply.
        candidates: as they were shown, in that order; of candidates with equal answers that are
            named by their answer, the first shown is meant. Labels win over answers: where the
            answers are letters themselves, show labels of another kind.
        method: a vote method that has a form of ballots.
        complete: whether the reply came to its end. Of one that broke off, only a whole JSON ballot
            is read: its last words are not its vote.
        options: that the question lists, as in `read_answer`: a candidate that is named by its
            answer is named by one of them.

    Returns:
        The vote, naming characters. `unread` holds the reply where there is no vote in it.
    """
    text = normalise(plain_text(raw))
    matcher = CandidateMatcher(candidates, options)
    vote, reason = (_Vote(), "")
    if candidates and text:
        vote, reason = _read(text, matcher, _form(method).field, complete=complete)
    reason = _with_names(reason, candidates)
    if vote == _Vote():
        return Reading(reason=reason[:600], unread=raw[:4000])
    return Reading(vote.choice, vote.ranking, vote.approved, vote.scores, reason[:600])


_NOBODY = re.compile(
    r"\b(?:none|neither|nobody|no\s+one|no\s+candidate|null|n/a|"
    r"kein\w*|niemand|aucun\w*|personne|ning[uú]n\w*|nessun\w*|nenhum\w*)\b",
    re.IGNORECASE,
)


def says_that_it_abstains(raw: str) -> bool:
    """Whether a reply without a vote says that it votes for nobody, and is not a fault."""
    text = normalise(plain_text(raw))
    if ABSTAIN.search(text) or _NOBODY.search(text):
        return True
    objects = [value for value in json_values(raw) if isinstance(value, dict)]
    named = [value for one in objects for key, value in _plain_keys(one).items() if key in _BALLOT]
    return bool(named) and not any(named)


def _with_names(reason: str, candidates: Sequence[Candidate]) -> str:
    """A reason with characters' names for the labels that only its voter was shown."""
    names = {each.label: each.character for each in candidates}
    labels = "|".join(re.escape(label) for label in sorted(names, key=len, reverse=True))
    if not labels:
        return reason
    noun = rf"{NOUN}\s*:?\s*[*_`\"'(]*(?P<after>{labels})[*_`\"')]*(?![\w'’-])"
    # "A" and "I" alone are words as well; other letters are labels wherever they stand alone.
    alone = rf"(?<![\w'’-])(?P<alone>{labels})(?![\w'’-])(?!(?<=[AIEOY])\s+(?!{GOES_ON}\b)[a-z])"
    pattern = re.compile(rf"{noun}|{alone}")
    return pattern.sub(lambda one: names[one["after"] or one["alone"]], reason)


def ballot_schema(method: str, candidates: Sequence[Candidate]) -> dict[str, Any]:
    """The JSON schema of a ballot, for models whose output can be held to one."""
    return {"title": "Ballot", **_form(method).schema([each.label for each in candidates])}


def prompt_values(method: str, candidates: Sequence[Candidate]) -> dict[str, Any]:
    """What the template of a voter's prompt needs to know of the vote."""
    form = _form(method)
    return {
        "candidates": candidates,
        "method": method,
        "instruction": form.instruction,
        "example": form.example([each.label for each in candidates]),
    }


def _form(method: str) -> BallotForm:
    form = METHODS[method].form
    if form is None:
        raise ValueError(f"the vote method {method!r} asks for no ballots")
    return form


class _Vote(NamedTuple):
    choice: str | None = None
    ranking: tuple[str, ...] = ()
    approved: tuple[str, ...] = ()
    scores: Mapping[str, float] = {}


def _read(
    text: str, matcher: CandidateMatcher, field: Field, *, complete: bool
) -> tuple[_Vote, str]:
    vote, reason, end = None, text, 0
    for value, _, at in json_spans(text):
        stated = _from_json(value, matcher, field)
        if stated is not None:
            vote, end = stated, at
            reason = _reason(value) or text[: text.find("{")].strip()
    if not complete:
        return vote or _Vote(), reason
    if vote is None:
        return _from_prose(text, matcher, field), reason
    after = text[end:]
    if said_choice(after, matcher) is not None:
        return _from_prose(after, matcher, field), reason
    return vote, reason


# --- prose --------------------------------------------------------------------------------------


def _from_prose(text: str, matcher: CandidateMatcher, field: Field) -> _Vote:
    if field == "scores":
        by_rank = read_ranking(text, matcher, requested=False) is not None and not says_points(text)
        return _Vote() if by_rank and _says_rank(text) else _Vote(scores=read_scores(text, matcher))
    if field == "approved":
        approved = read_approvals(text, matcher)
        if approved:
            return _Vote(approved=approved)
        choice = read_choice(text, matcher)
        return _Vote(approved=(choice,)) if choice else _Vote()
    if field == "ranking":
        ranking = _read_order(text, matcher)
        if ranking is not None:
            return _Vote(ranking=ranking)
        choice = read_choice(text, matcher)
        return _Vote(ranking=(choice,)) if choice else _Vote()
    return _Vote(choice=_one(text, matcher) or None)


def _says_rank(text: str) -> bool:
    return bool(re.search(rf"(?<!\w){RANK_WORD}(?!\w)", text))


def _read_order(text: str, matcher: CandidateMatcher) -> tuple[str, ...] | None:
    """The order that a reply states; None where it states none at all."""
    points, bare = split_numbers(text, matcher) if len(matcher.candidates) > 1 else ({}, {})
    orders = {
        order_of_numbers(numbers, matcher, points=are_points)
        for numbers, are_points in ((points, True), (bare, says_points(text) and not points))
        if len(numbers) > 1
    }
    by_number = next(iter(orders)) if len(orders) == 1 else ()
    stated = read_ranking(text, matcher)
    if stated is None and orders:
        return () if counts_from_worst(text) else by_number
    # "1. A: 2" is a place and a number: where the two say different orders, neither is taken.
    if stated and by_number not in ((), stated):
        return ()
    return stated


def order_of_numbers(
    numbers: Mapping[str, float], matcher: CandidateMatcher, *, points: bool
) -> tuple[str, ...]:
    """The order that numbers beside the candidates say where a ranking was asked for.

    Numbers that count 1, 2, 3 ... are ranks, unless they are said to be points. Numbers that are
    too great for ranks are points, where everybody has some and no two are level. Whatever could
    be either says no order.
    """
    if not points:
        ranks = ranking_of(numbers)
        if len(ranks) > 1:
            return ranks
        if max(numbers.values(), default=0) <= len(matcher.candidates):
            return ()
    if len(numbers) < len(matcher.candidates) or len(set(numbers.values())) < len(numbers):
        return ()
    return tuple(sorted(numbers, key=lambda name: -numbers[name])) if len(numbers) > 1 else ()


def _one(text: str, matcher: CandidateMatcher) -> str | None:
    ranking = read_ranking(text, matcher, requested=False)
    stated = said_choice(text, matcher)
    if stated is not None and not (stated == NONE and ranking):
        return stated
    if ranking:
        return ranking[0]
    points, bare = split_numbers(text, matcher) if len(matcher.candidates) > 1 else ({}, {})
    numbers = points or bare
    if len(numbers) > 1:
        ranks = not points and len(ranking_of(bare)) > 1 and not says_points(text)
        return None if ranks or (points and bare) else _highest(numbers, matcher)
    return read_choice(text, matcher)


def _highest(scores: Mapping[str, float], matcher: CandidateMatcher) -> str | None:
    """The one with most points, if everybody has some."""
    most = max(scores.values())
    first = [name for name, points in scores.items() if points == most]
    return first[0] if len(first) == 1 and len(scores) == len(matcher.candidates) else None


# --- JSON ---------------------------------------------------------------------------------------


def _from_json(value: Any, matcher: CandidateMatcher, field: Field) -> _Vote | None:
    """The vote in a JSON value; None where the value is no ballot at all."""
    if isinstance(value, list):
        if not value or not all(isinstance(each, str | dict) for each in value):
            return None
        return _from_list(value, matcher, field)
    if not isinstance(value, dict):
        return None
    fields = _plain_keys(value)
    placed = _by_place_keys(value, matcher)
    if placed:
        return _of_ranking(placed, field)
    if not _BALLOT & fields.keys():
        named = {name: inner for key, inner in value.items() if (name := matcher.who(str(key)))}
        return _from_mapping(named, matcher, field) if named else None
    for kind in _LOOK_FOR[field]:
        for key in fields.keys() & _KEYS[kind]:
            vote = _from_field(fields[key], matcher, field, kind)
            if vote != _Vote():
                return vote
    return _Vote()


def _plain_keys(value: Mapping[Any, Any]) -> dict[str, Any]:
    """The fields of an object by the letters of their names alone."""
    folded = {
        "".join(
            one
            for one in unicodedata.normalize("NFKD", str(key)).lower()
            if one.isascii() and one.isalpha()
        ): inner
        for key, inner in value.items()
    }
    return {key: inner for key, inner in folded.items() if key}


def _by_place_keys(value: Mapping[str, Any], matcher: CandidateMatcher) -> tuple[str, ...]:
    """`{"first": "C", "second": "A"}` or `{"1": "C", "2": "A"}`: the keys are places."""
    places: dict[str, float] = {}
    for key, inner in value.items():
        place = place_of(str(key)) if not matcher.who(str(key)) else None
        name = matcher.resolve(inner) if place is not None and isinstance(inner, str) else None
        if place is not None and name is not None:
            places[name] = place
    return ranking_of(places) if len(places) > 1 else ()


def _from_field(value: Any, matcher: CandidateMatcher, field: Field, kind: Field) -> _Vote:
    """The vote in one field of an object, whose key says it is of `kind`."""
    if isinstance(value, list):
        return _from_list(value, matcher, field)
    if isinstance(value, dict):
        placed = _by_place_keys(value, matcher)
        if placed:
            return _of_ranking(placed, field)
        named = {name: inner for key, inner in value.items() if (name := matcher.who(str(key)))}
        if named:
            return _from_mapping(named, matcher, field, kind)
        return _from_json(value, matcher, field) or _Vote()
    if value is None or isinstance(value, bool):
        return _Vote()
    if field == "scores":
        points = score_of(value)
        if points is not None and len(matcher.candidates) == 1:
            return _Vote(scores={matcher.candidates[0].character: points})
        return _Vote(scores=read_scores(value, matcher)) if isinstance(value, str) else _Vote()
    text = str(value)
    who = matcher.resolve(text)
    if who is None:
        return _from_prose(text, matcher, field)
    return _of_choice(who, field)


def _from_list(value: list[Any], matcher: CandidateMatcher, field: Field) -> _Vote:
    if field == "scores":
        return _Vote(scores=_listed_numbers(value, matcher, _SCORES))
    names = [_match_name(each, matcher) for each in value]
    matched = [name for name in names if name]
    if not matched or len(set(matched)) < len(matched):
        return _Vote()
    if field == "approved":
        return _Vote(approved=tuple(matched))
    if field == "choice" and len(names) == 1:
        return _Vote(choice=matched[0])
    places = _listed_numbers(value, matcher, _PLACE)
    points = _listed_numbers(value, matcher, _SCORES)
    if places or points:
        by_points = order_of_numbers(points, matcher, points=True)
        if not places:
            return _of_ranking(by_points, field)
        by_place = ranking_of(places) if len(places) == len(names) else ()
        falling = [points[name] for name in by_place if name in points]
        fine = falling == sorted(falling, reverse=True)
        return _of_ranking(by_place if fine else (), field)
    return _Vote() if field == "choice" else _Vote(ranking=tuple(matched))


def _match_name(value: Any, matcher: CandidateMatcher) -> str | None:
    if isinstance(value, dict):
        fields = _plain_keys(value)
        value = next((fields[key] for key in _NAME if key in fields), None)
    return matcher.resolve(str(value)) if isinstance(value, str | int | float) else None


def _listed_numbers(
    value: list[Any], matcher: CandidateMatcher, keys: frozenset[str]
) -> dict[str, float]:
    """`[{"candidate": "A", "score": 7}]`: the numbers under these keys, by character."""
    numbers: dict[str, float] = {}
    for each in value:
        if not isinstance(each, dict):
            continue
        name, number = _match_name(each, matcher), _number_under(each, keys)
        if name and number is not None:
            numbers[name] = number
    return numbers


def _number_under(value: Mapping[str, Any], keys: frozenset[str]) -> float | None:
    """The number under one of these keys; a place may be a word, `2nd`."""
    number = next((inner for key, inner in _plain_keys(value).items() if key in keys), None)
    if keys is _PLACE and isinstance(number, str):
        return place_of(number)
    return score_of(number)


def _from_mapping(
    named: Mapping[str, Any], matcher: CandidateMatcher, field: Field, kind: Field | None = None
) -> _Vote:
    """`{"A": 7, "B": 9}`: scores or ranks; `{"A": true, "B": false}`: approvals."""
    if field == "approved":
        return _Vote(approved=tuple(name for name, inner in named.items() if _is_yes(inner)))
    points = {name: score_of(_inner(inner, _SCORES)) for name, inner in named.items()}
    numbers = {name: one for name, one in points.items() if one is not None}
    if field == "scores":
        return _Vote(scores=numbers)
    places = {name: _place(inner) for name, inner in named.items()}
    ranks = {name: float(one) for name, one in places.items() if one is not None}
    says_place = all(isinstance(inner, dict | str) for inner in named.values())
    if kind == "ranking" or (says_place and len(ranks) == len(named) and not numbers):
        return _of_ranking(ranking_of(ranks) if len(ranks) == len(named) else (), field)
    if field == "choice":
        ranked = kind != "scores" and len(ranking_of(numbers)) > 1
        best = None if ranked or len(numbers) < 2 else _highest(numbers, matcher)
        return _Vote(choice=best)
    return _Vote(ranking=order_of_numbers(numbers, matcher, points=kind == "scores"))


def _place(value: Any) -> int | None:
    """A rank number, alone or in an object: `2`, `"2nd"`, `{"rank": 2}`."""
    if isinstance(value, dict):
        value = next((one for key, one in _plain_keys(value).items() if key in _PLACE), None)
    if isinstance(value, str):
        return place_of(value) if len(value) <= 20 and "/" not in value else None
    whole = isinstance(value, int | float) and not isinstance(value, bool) and value == int(value)
    return int(value) if whole else None


def _inner(value: Any, keys: frozenset[str]) -> Any:
    if isinstance(value, dict):
        return next((one for key, one in _plain_keys(value).items() if key in keys), None)
    return value


def _is_yes(value: Any) -> bool:
    return value is True or bool(re.fullmatch(YES, str(value).strip()))


def _of_choice(name: str, field: Field) -> _Vote:
    if field == "approved":
        return _Vote(approved=(name,))
    return _Vote(choice=name) if field == "choice" else _Vote(ranking=(name,))


def _of_ranking(ranking: tuple[str, ...], field: Field) -> _Vote:
    """What an order says in a form: its first is a choice; it says no points and no approvals."""
    if field == "choice":
        return _Vote(choice=ranking[0] if ranking else None)
    return _Vote(ranking=ranking) if field == "ranking" else _Vote()


def _reason(value: Any) -> str:
    if not isinstance(value, dict):
        return ""
    fields = _plain_keys(value)
    return next((str(fields[key]) for key in fields if key in _REASON and fields[key]), "")
