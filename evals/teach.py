"""Teaching the ledger from a recording: who is right how often, and how sure a vote may be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from mom_council.councils.recording import Fold, Question, load_recording
from mom_council.councils.schema import Council
from mom_council.errors import UnknownNameError
from mom_council.evals.fitting import fit_any, fit_panel
from mom_council.evals.sheet import Sheet, lay_out
from mom_council.models.ledger import Ledger, kind_of, name_of
from mom_council.voting.fitted import Fitted

_LARGEST = 16
"""Models of a panel that is fitted without being named; of more, a council says which."""
_LEAST = 20
"""Questions without which nothing is fitted: two numbers and a correction need some."""


class Learned(NamedTuple):
    """What came of it."""

    answers: int
    fits: tuple[Fitted, ...]


def teach(
    ledger: Ledger,
    path: Path | str,
    *,
    council: Council | None = None,
    kind: str = "",
    fold: Fold | None = "cal",
) -> Learned:
    """Learn from a recording.

    Args:
        ledger: what is taught.
        path: the recording.
        council: whose panel is fitted; one of all recorded models if left out.
        kind: of all its questions; what each says of itself if left out. Where they say several,
            the fits are of `general`.
        fold: `cal` by default; None takes every question.

    Raises:
        RecordingError: it cannot be read, or holds no judged answer of that fold.
        UnknownNameError: a model of the council is not in the recording.
    """
    answers = ledger.fit(path, fold=fold, kind=kind)
    judged = [q for q in load_recording(path) if q.gold is not None and fold in (None, q.fold)]
    if len(judged) < _LEAST:
        return Learned(answers, ())
    kinds = {kind or kind_of(question) for question in judged}
    sort = kinds.pop() if len(kinds) == 1 else "general"
    known = dict.fromkeys(name for question in judged for name in question.models)
    fits = []
    if len(known) > 1:
        fits.append(fit_any(sheet_of(judged, [*known]), sort))
    seats = [*known] if council is None else columns(council, judged)
    if 1 < len(seats) <= _LARGEST or council is not None:
        sheet = sheet_of(judged, seats)
        if council is not None:
            names = [council.models[council.character(one).model] for one in council.seats[0]]
            sheet = replace(sheet, models=tuple(map(name_of, names)))
        fits.append(fit_panel(sheet, sort))
    for one in fits:
        ledger.keep(one, origin=Path(path).name)
    return Learned(answers, tuple(fits))


def sheet_of(questions: Sequence[Question], seats: Sequence[str]) -> Sheet:
    """The sheet of recorded seats, its columns called as the ledger calls their models."""
    names = []
    for seat in seats:
        told = (question.models[seat].model for question in questions if seat in question.models)
        names.append(next((name for name in told if name), None) or seat)
    return replace(lay_out(questions, seats), models=tuple(names))


def columns(council: Council, questions: Sequence[Question]) -> list[str]:
    """The recorded seats of a council's first layer: under the character's name, or its model's.

    Raises:
        UnknownNameError: one was not recorded.
    """
    known = dict.fromkeys(name for question in questions for name in question.models)
    found = []
    for name in council.seats[0]:
        spec = council.models[council.character(name).model]
        seat = next((each for each in (name, name_of(spec), spec.model) if each in known), None)
        if seat is None:
            raise UnknownNameError(f"{name_of(spec)!r} was not recorded; there are {[*known]}")
        found.append(seat)
    return found
