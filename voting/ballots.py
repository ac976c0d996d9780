"""The tolerant reader of ballots: a voter's reply, in whatever words, to what it voted.

JSON is read first, then prose; what is stated after the JSON wins over it. In doubt the voter
abstains: no choice, rank or number is ever made up, and the unread reply is kept on the ballot.
A ballot in another shape is taken over where it says the same: a ranking chooses its first, a
choice ranks its one, different scores rank. A choice never becomes a score.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from mom_council.records import Ballot
from mom_council.voting.ballot_forms import BallotForm
from mom_council.voting.candidates import Candidate, Roll
from mom_council.voting.methods import METHODS
from mom_council.voting.reading.text import json_spans, plain_text
from mom_council.voting.reading_choice import NONE, read_choice, said_choice
from mom_council.voting.reading_lists import read_approvals, read_ranking
from mom_council.voting.reading_scores import read_scores, score_of

__all__ = ["Candidate", "Reading", "read_ballot"]

_CHOICE = frozenset({
    "vote", "myvote", "finalvote", "votefor", "votedfor", "choice", "mychoice", "finalchoice",
    "ballot", "best", "bestanswer", "bestcandidate", "answer", "winner", "selected",
    "selection", "candidate", "pick", "preferred", "preference", "option", "decision",
    "label",
})  # fmt: skip
_RANKING = frozenset({
    "ranking", "rank", "ranked", "order", "ordering", "ranks", "finalranking", "preferences",
})  # fmt: skip
_APPROVED = frozenset({
    "approved", "approvals", "approve", "approves", "acceptable", "accepted", "approval",
})  # fmt: skip
_SCORES = frozenset({
    "scores", "ratings", "score", "rating", "points", "grades",
})  # fmt: skip
_REASON = frozenset({
    "reason", "reasoning", "why", "rationale", "explanation", "justification", "thoughts",
})  # fmt: skip
_BALLOT = _CHOICE | _RANKING | _APPROVED | _SCORES


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
        shown: Iterable[str] = (),
    ) -> Ballot:
        """The ballot of a voter that read the candidates in the order of `shown` (characters)."""
        return Ballot(
            voter=voter,
            round=round,
            weight=weight,
            shown=tuple(shown),
            **{**self._asdict(), "scores": dict(self.scores)},
        )


def read_ballot(raw: str, candidates: Sequence[Candidate], method: str) -> Reading:
    """Read what a reply votes.

    Args:
        raw: the model's whole reply.
        candidates: as they were shown, in that order; of candidates with equal answers that are
            named by their answer, the first shown is meant. Labels win over answers: where the
            answers are letters themselves, show labels of another kind.
        method: plurality, approval, borda (or another that ranks) or score.

    Returns:
        The vote, naming characters. `unread` holds the reply where there is no vote in it.
    """
    text = plain_text(raw)
    roll = Roll(candidates)
    vote, reason = (_Vote(), "")
    if candidates and text:
        vote, reason = _read(text, roll, method)
    if vote == _Vote():
        return Reading(reason=reason[:600], unread=raw[:4000])
    return Reading(vote.choice, vote.ranking, vote.approved, vote.scores, reason[:600])


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


def _read(text: str, roll: Roll, method: str) -> tuple[_Vote, str]:
    vote, reason, end = None, text, 0
    for value, _, at in json_spans(text):
        found = _from_json(value, roll, method)
        if found is not None:
            vote, end = found, at
            reason = _reason(value) or text[: text.find("{")].strip()
    if vote is None:
        return _from_prose(text, roll, method), reason
    after = text[end:]
    if said_choice(after, roll) is not None:
        return _from_prose(after, roll, method), reason
    return vote, reason


# --- prose --------------------------------------------------------------------------------------


def _from_prose(text: str, roll: Roll, method: str) -> _Vote:
    if method == "score":
        return _Vote(scores=read_scores(text, roll))
    if method == "approval":
        approved = read_approvals(text, roll)
        if approved:
            return _Vote(approved=approved)
        choice = read_choice(text, roll)
        return _Vote(approved=(choice,)) if choice else _Vote()
    ranking = read_ranking(text, roll, commas=method != "plurality")
    if method != "plurality":
        if ranking:
            return _Vote(ranking=ranking)
        by_score = _order(read_scores(text, roll), roll)
        choice = None if by_score else read_choice(text, roll)
        return _Vote(ranking=by_score or ((choice,) if choice else ()))
    return _Vote(choice=_one(text, roll, ranking) or None)


def _one(text: str, roll: Roll, ranking: Sequence[str]) -> str | None:
    stated = said_choice(text, roll)
    if stated is not None and not (stated == NONE and ranking):
        return stated
    if ranking:
        return ranking[0]
    scores = read_scores(text, roll) if len(roll.candidates) > 1 else {}
    if len(scores) > 1:
        return _highest(scores, roll)
    return read_choice(text, roll)


def _highest(scores: Mapping[str, float], roll: Roll) -> str | None:
    """The one with most points, if everybody has some."""
    most = max(scores.values())
    first = [name for name, points in scores.items() if points == most]
    return first[0] if len(first) == 1 and len(scores) == len(roll.candidates) else None


def _order(scores: Mapping[str, float], roll: Roll) -> tuple[str, ...]:
    """The ranking that different scores for everybody amount to."""
    if (
        len(scores) < 2
        or len(scores) < len(roll.candidates)
        or len(set(scores.values())) < len(scores)
    ):
        return ()
    return tuple(sorted(scores, key=lambda name: -scores[name]))


# --- JSON ---------------------------------------------------------------------------------------


def _from_json(value: Any, roll: Roll, method: str) -> _Vote | None:
    """The vote in a JSON value; None where the value is no ballot at all."""
    if isinstance(value, list):
        if not value or not all(isinstance(each, str | dict) for each in value):
            return None
        return _from_list(value, roll, method)
    if not isinstance(value, dict):
        return None
    fields = {re.sub(r"[^a-z]", "", str(key).lower()): inner for key, inner in value.items()}
    labelled = {roll.who(str(key)): inner for key, inner in value.items()}
    if not _BALLOT & fields.keys():
        named = {name: inner for name, inner in labelled.items() if name}
        return _from_mapping(named, roll, method) if named else None
    for keys in _wanted(method):
        for key in fields.keys() & keys:
            vote = _from_field(fields[key], roll, method)
            if vote != _Vote():
                return vote
    return _Vote()


def _wanted(method: str) -> tuple[frozenset[str], ...]:
    if method == "score":
        return (_SCORES, _CHOICE)
    if method == "approval":
        return (_APPROVED, _CHOICE)
    if method == "plurality":
        return (_CHOICE, _RANKING, _SCORES)
    return (_RANKING, _CHOICE, _SCORES)


def _from_field(value: Any, roll: Roll, method: str) -> _Vote:
    if isinstance(value, list):
        return _from_list(value, roll, method)
    if isinstance(value, dict):
        named = {name: inner for key, inner in value.items() if (name := roll.who(str(key)))}
        return (
            _from_mapping(named, roll, method)
            if named
            else _from_json(value, roll, method) or _Vote()
        )
    if value is None or isinstance(value, bool):
        return _Vote()
    if method == "score":
        points = score_of(value)
        if points is not None and len(roll.candidates) == 1:
            return _Vote(scores={roll.candidates[0].character: points})
        return _Vote(scores=read_scores(value, roll)) if isinstance(value, str) else _Vote()
    text = str(value)
    who = roll.resolve(text)
    if who is None:
        return _from_prose(text, roll, method)
    return _of_choice(who, method)


def _from_list(value: list[Any], roll: Roll, method: str) -> _Vote:
    if method == "score":
        return _Vote(scores=_listed_scores(value, roll))
    names = [_named(each, roll) for each in value]
    known = [name for name in names if name]
    if not known or len(set(known)) < len(known):
        return _Vote()
    if method == "approval":
        return _Vote(approved=tuple(known))
    if method == "plurality":
        return _Vote(choice=known[0]) if len(names) == 1 else _Vote()
    return _Vote(ranking=tuple(known))


def _named(value: Any, roll: Roll) -> str | None:
    if isinstance(value, dict):
        fields = {str(key).lower(): inner for key, inner in value.items()}
        value = next(
            (
                fields[key]
                for key in ("candidate", "label", "option", "name", "id", "answer")
                if key in fields
            ),
            None,
        )
    return roll.resolve(str(value)) if isinstance(value, str | int | float) else None


def _listed_scores(value: list[Any], roll: Roll) -> dict[str, float]:
    scores = {}
    for each in value:
        if not isinstance(each, dict):
            continue
        name = _named(each, roll)
        given = next((inner for key, inner in each.items() if str(key).lower() in _SCORES), None)
        points = score_of(given)
        if name and points is not None:
            scores[name] = points
    return scores


def _from_mapping(named: Mapping[str, Any], roll: Roll, method: str) -> _Vote:
    """`{"A": 7, "B": 9}`: scores; `{"A": true, "B": false}`: approvals."""
    if method == "approval":
        return _Vote(approved=tuple(name for name, inner in named.items() if _is_yes(inner)))
    scores = {
        name: points
        for name, inner in named.items()
        if (points := score_of(_inner(inner))) is not None
    }
    if method == "score":
        return _Vote(scores=scores)
    if method == "plurality":
        return _Vote(choice=_highest(scores, roll) if len(scores) > 1 else None)
    return _Vote(ranking=_order(scores, roll))


def _inner(value: Any) -> Any:
    if isinstance(value, dict):
        return next((inner for key, inner in value.items() if str(key).lower() in _SCORES), None)
    return value


def _is_yes(value: Any) -> bool:
    return value is True or str(value).strip().lower() in {
        "yes",
        "approve",
        "approved",
        "accept",
        "true",
    }


def _of_choice(name: str, method: str) -> _Vote:
    if method == "approval":
        return _Vote(approved=(name,))
    return _Vote(choice=name) if method == "plurality" else _Vote(ranking=(name,))


def _reason(value: Any) -> str:
    if not isinstance(value, dict):
        return ""
    fields = {re.sub(r"[^a-z]", "", str(key).lower()): inner for key, inner in value.items()}
    return next((str(fields[key]) for key in fields if key in _REASON and fields[key]), "")
