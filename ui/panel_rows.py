"""What the council's panel shows of a run, as plain data for `panel.js`."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from mom_council.councils.schema import Council
from mom_council.records import Ballot, Verdict
from mom_council.runs.follow import RoundView, RunView, SpeakerView
from mom_council.runs.words import wait_in_words
from mom_council.ui import words
from mom_council.ui.safe import one_line
from mom_council.vendors import vendor_of
from mom_council.voting.dissent import Comparison, Point, compare

COLOURS = 8
_WORDS = 160
"""Characters of an answer's beginning, or of its end while it is written, in a member's line."""
_POINT = 300
_MOST_POINTS = 8
_SIGNS = re.compile(r"[#*`|>]+|-{3,}")
"""Markdown's signs, which only disturb in a line of plain text."""
_TITLE = re.compile(r"\A\s*#+ [^\n]*\n")
_STATES = {
    "waiting": "waiting",
    "speaking": "speaking",
    "done": "has answered",
    "absent": "did not answer",
}


def panel_data(
    view: RunView, council: Council | None, *, live: bool, opens: bool
) -> dict[str, Any]:
    """The rounds with their members, votes and ballots; at the end where the answers differ.

    Args:
        view: the run as far as it has got.
        council: who sits; None where it is not known any more.
        live: whether the run goes on.
        opens: whether a click on a member opens the whole answer.
    """
    faces = Faces(view, council)
    threshold = council.deliberation.threshold if council is not None else None
    rounds = [_round(one, view, faces, threshold, live=live, opens=opens) for one in view.rounds]
    folds = [] if live else [*_changes(view, faces), *comparison_folds(view, faces)]
    return {"steps": _steps(view, live=live), "rounds": rounds, "folds": folds}


class Faces:
    """The face of each character: one letter on one colour, the same everywhere."""

    def __init__(self, view: RunView, council: Council | None) -> None:
        names = [one.name for one in council.characters] if council is not None else []
        for one in view.rounds:
            names += [name for _, name in one.seats if name not in names]
        self.people = people_in(council) if council is not None else frozenset[str]()
        """The characters that are no models."""
        self._places = {name: place for place, name in enumerate(names)}

    def of(self, name: str) -> dict[str, Any]:
        """The face of one character."""
        return face(name, self._places.get(name, 0))

    def all(self, names: Sequence[str]) -> list[dict[str, Any]]:
        """The faces of several characters."""
        return [self.of(name) for name in names]


def people_in(council: Council) -> frozenset[str]:
    """The characters for which a person speaks."""
    return frozenset(
        one.name
        for one in council.characters
        if vendor_of(council.models[one.model].provider).is_person
    )


def face(name: str, place: int) -> dict[str, Any]:
    """The face of the character at a place of its council."""
    label = one_line(name, 40)
    return {"name": label, "initial": label[:1].upper(), "colour": place % COLOURS}


def member_key(seat: SpeakerView) -> str:
    """The key of a member's line, which a click on it gives."""
    return f"{seat.speaker.round}:{seat.speaker.layer}:{seat.speaker.name}"


def _steps(view: RunView, *, live: bool) -> list[dict[str, Any]]:
    most = max(view.most_rounds, len(view.rounds)) if live else len(view.rounds)
    if most < 2:
        return []
    steps = []
    for number in range(1, most + 1):
        is_known = number <= len(view.rounds)
        is_past = number < len(view.rounds) or (is_known and not live)
        state = "done" if is_past else "speaking" if is_known else "waiting"
        key = str(view.rounds[number - 1].number) if is_known else f"later-{number}"
        steps.append({"key": key, "text": f"Round {number}", "opens": is_known, "state": state})
    return steps


def _round(
    one: RoundView,
    view: RunView,
    faces: Faces,
    threshold: float | None,
    *,
    live: bool,
    opens: bool,
) -> dict[str, Any]:
    verdict = one.counted.verdict if one.counted is not None else None
    notes = []
    if one.dropped:
        notes.append(f"Left out by dropout: {', '.join(one.dropped)}")
    if one.voters and verdict is None and live:
        notes.append(f"{len(one.ballots) + len(one.unvoted)} of {len(one.voters)} have voted")
    why = one.counted.why if one.counted is not None else ""
    return {
        "key": str(one.number),
        "members": [
            _member(seat, view, faces, live=live, opens=opens) for seat in one.seats.values()
        ],
        "note": one_line("; ".join(notes), 400),
        "options": _options(verdict, faces, threshold),
        "verdict": one_line(words.sentence(why), 400) if why else "",
        "folds": _ballots(one, faces),
    }


def _member(
    seat: SpeakerView, view: RunView, faces: Faces, *, live: bool, opens: bool
) -> dict[str, Any]:
    text, tail = _member_words(seat, live=live)
    name = seat.speaker.name
    if name in faces.people and seat.state == "speaking":
        text = "is waited for"
    layer = f"Layer {seat.speaker.layer} of {view.layers}. " if view.layers > 1 else ""
    has_text = opens and bool(seat.text or seat.reasoning)
    return {
        **faces.of(name),
        "key": member_key(seat),
        "state": seat.state,
        "words": text,
        "tail": tail,
        "side": _side(seat),
        "title": one_line(layer + speaker_state(seat), 300),
        "label": one_line(
            f"{name}, {_STATES[seat.state]}" + (": read the whole answer" if has_text else ""), 200
        ),
        "opens": has_text,
    }


def _member_words(seat: SpeakerView, *, live: bool) -> tuple[str, bool]:
    """What a member's line shows, and whether it is the end of a text."""
    if seat.state == "absent" and seat.absence is not None:
        return one_line(words.why_absent(seat.absence, named=False), _WORDS), False
    if seat.text:
        ends = live and seat.state == "speaking"
        text = seat.text[-_WORDS:] if ends else seat.text[: 2 * _WORDS]
        return one_line(_SIGNS.sub(" ", text if ends else _TITLE.sub("", text)), _WORDS), ends
    for call in reversed(seat.calls.values()):
        return one_line(words.call(call), _WORDS), False
    if seat.reasoning:
        return one_line(f"Thinking … {seat.reasoning[-_WORDS:]}", 2 * _WORDS), True
    if seat.wait is not None:
        return wait_in_words(seat.wait), False
    return ("Waiting for the first word …" if seat.state == "speaking" else "Waiting …"), False


def _side(seat: SpeakerView) -> str:
    if seat.state == "absent":
        return "✕"
    if seat.segment is not None:
        return f"{seat.segment.usage.seconds:.1f} s"
    return f"{seat.seconds:.0f} s" if seat.state == "speaking" and seat.began else ""


def speaker_state(seat: SpeakerView) -> str:
    """On which model somebody speaks, how far, and how fast."""
    if seat.state == "absent" and seat.absence is not None:
        return words.absent(seat.absence)
    if seat.segment is not None:
        return words.segment(seat.segment)
    if seat.state == "speaking" and seat.began:
        if seat.wait is not None:
            return f"{seat.model} · {wait_in_words(seat.wait)}"
        taken = seat.seconds
        # Nobody has counted yet: four characters make about one token.
        rate = len(seat.text + seat.reasoning) / 4 / taken if taken > 0.5 else 0
        return f"{seat.model} · {taken:.1f} s" + (f" · ≈ {rate:.0f} tokens/s" if rate else "")
    return seat.model or seat.state


def _options(
    verdict: Verdict | None, faces: Faces, threshold: float | None
) -> list[dict[str, Any]]:
    if verdict is None or verdict.leader is None:
        return []
    return [
        {
            "answer": one_line(option.display_answer or ", ".join(option.members), 80),
            "faces": faces.all(option.members),
            "share": option.share,
            "needed": threshold,
        }
        for option in verdict.options[:12]
    ]


def _ballots(one: RoundView, faces: Faces) -> list[dict[str, Any]]:
    """A fold with who voted for what, and why; and who did not vote."""
    items = [
        {"faces": [faces.of(vote.voter)], "text": _ballot(vote), "key": vote.voter}
        for vote in one.ballots
    ]
    items += [
        {
            "faces": [faces.of(absence.character)],
            "text": one_line(words.absent(absence), _POINT),
            "key": f"absent-{absence.character}",
        }
        for absence in one.unvoted
    ]
    if not items:
        return []
    return [{"key": "ballots", "title": f"Ballots ({len(items)})", "items": items}]


def _ballot(vote: Ballot) -> str:
    head = f"{vote.voter} → {words.ballot(vote)}"
    reason = " ".join((vote.reason or vote.unread).split())
    return one_line(f"{head}. {reason}" if reason else head, 4_000)


def _changes(view: RunView, faces: Faces) -> Iterator[dict[str, Any]]:
    """A fold with who answered otherwise in a later round."""
    items = []
    for before, after in itertools.pairwise(view.rounds):
        first, then = _answers(before), _answers(after)
        for name in first:
            if name in then and first[name].casefold() != then[name].casefold():
                text = f"{name} went from “{first[name]}” to “{then[name]}” in round {after.number}"
                items.append({"faces": [faces.of(name)], "text": one_line(text, _POINT)})
    if items:
        title = f"Who changed their mind ({len(items)})"
        yield {"key": "changes", "title": title, "items": items, "open": True}


def _answers(one: RoundView) -> dict[str, str]:
    options = one.counted.verdict.options if one.counted is not None else ()
    return {
        name: option.display_answer
        for option in options
        if option.answer
        for name in option.members
    }


def comparison_folds(view: RunView, faces: Faces) -> Iterator[dict[str, Any]]:
    """What all say, where they contradict each other, and what one alone says."""
    if not view.rounds:
        return
    seats = view.rounds[-1].seats
    top = max((layer for layer, _ in seats), default=1)
    texts = {name: seat.text for (layer, name), seat in seats.items() if layer == top and seat.text}
    comparison = _compare_texts(tuple(texts.items()))
    against = [
        f"{_names(one)}: {_quote(one)} — {_names(other)}: {_quote(other)}"
        for one, other in comparison.contradictions
        if _is_prose(one) and _is_prose(other)
    ]
    if against:
        clashes = [{"faces": [], "text": text} for text in against[:_MOST_POINTS]]
        title = f"They contradict each other ({len(against)})"
        yield {"key": "against", "title": title, "items": clashes}
    for key, title, points in (
        ("agreed", "All of them say", comparison.agreed),
        ("partial", "Several of them say", comparison.partial),
        ("unique", "Only one of them says", comparison.unique),
    ):
        prose = [point for point in points if _is_prose(point)]
        if prose:
            items: list[dict[str, Any]] = [
                {
                    "faces": [] if key == "agreed" else faces.all(point.members),
                    "text": _quote(point),
                }
                for point in prose[:_MOST_POINTS]
            ]
            yield {"key": key, "title": f"{title} ({len(prose)})", "items": items}


@lru_cache(maxsize=64)
def _compare_texts(texts: tuple[tuple[str, str], ...]) -> Comparison:
    return compare(dict(texts))


def _is_prose(point: Point) -> bool:
    """Whether a point is a sentence: no row of a table, no line of code, no heading."""
    return not re.match(r"\s*[|#]", point.text) and ";" not in point.text[-1:]


def _quote(point: Point) -> str:
    return one_line(_SIGNS.sub("", point.text), _POINT)


def _names(point: Point) -> str:
    return ", ".join(one_line(name, 40) for name in point.members)


def find_member(view: RunView, key: str) -> SpeakerView | None:
    """The member whose line has a key; None where there is none."""
    seats: Mapping[str, SpeakerView] = {
        member_key(seat): seat for one in view.rounds for seat in one.seats.values()
    }
    return seats.get(key)
