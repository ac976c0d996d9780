"""What one session is working at: the draft, what it was before, and who is looked at.

A draft outlives its tab: what was neither saved nor tried is there again when its reader is.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field

import streamlit as st

from mom_council.councils.loader import load_council
from mom_council.councils.refusals import Path
from mom_council.errors import MixtureError
from mom_council.runs.page_store import PageStore
from mom_council.ui import council_choice as chosen
from mom_council.ui import session
from mom_council.ui.draft import Draft, check, draft_of, read_draft, text_of
from mom_council.ui.safe import inert

_KEY = "editing"
_STEPS_BACK = 100


@dataclass
class Editing:
    """A draft on its way."""

    draft: Draft
    past: list[Draft] = field(default_factory=list)
    turn: int = 0
    """Part of every widget's key: where the draft changed under the widgets, they are made anew."""
    chosen: int | None = 0
    """The character whose form is open."""
    opened: dict[Path, str] = field(default_factory=dict)
    """Which entry of a part by name is open: of the models, the lanes, the tools."""
    faults: dict[Path, str] = field(default_factory=dict)
    kept: Draft | None = None
    """What is kept for another tab of this reader already."""
    left: bool = False
    """Whether it began with what was left in another tab."""


def editing() -> Editing:
    """This session's work; at first what its reader left, or a copy of the council it asks."""
    if _KEY not in st.session_state:
        st.session_state[_KEY] = _begun()
    work: Editing = st.session_state[_KEY]
    return work


def begin() -> Editing:
    """This session's work, looked through for faults."""
    work = editing()
    work.faults = check(work.draft)
    return work


def keep(work: Editing) -> None:
    """Keep the draft for when this reader comes back."""
    if work.draft == work.kept:
        return
    try:
        PageStore().keep_draft(session.reader(), text_of(work.draft))
    except MixtureError as error:
        st.caption(f"A closed tab loses this draft: {inert(error, 600)}")
    work.kept = work.draft


def settle(work: Editing) -> None:
    """The draft is saved or asked: there is nothing left to come back to."""
    work.kept, work.left = work.draft, False
    with contextlib.suppress(MixtureError):  # it is then merely offered once more
        PageStore().keep_draft(session.reader(), None)


def change(draft: Draft) -> None:
    """Go on with another draft that the widgets show already."""
    work = editing()
    if draft != work.draft:
        work.past = [*work.past[1 - _STEPS_BACK :], work.draft]
        work.draft = draft


def redraw(draft: Draft, looked_at: int | None = None) -> None:
    """Go on with another draft, and make the widgets anew; look at a character of it."""
    work = editing()
    change(draft)
    work.turn += 1
    if looked_at is not None:
        work.chosen = looked_at


def undo() -> None:
    """Take back the last change."""
    work = editing()
    if work.past:
        work.draft = work.past.pop()
        work.turn += 1


def _begun() -> Editing:
    try:
        if left := PageStore().draft(session.reader()):
            draft = read_draft(left, "the draft that was left")
            return Editing(draft, kept=draft, left=True)
    except MixtureError:
        pass  # no reason to show no editor
    first = _first()
    return Editing(first, kept=first)


def _first() -> Draft:
    try:
        return draft_of(chosen.chosen().council)
    except MixtureError:
        return draft_of(load_council("demo"))
