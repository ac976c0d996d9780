"""What one session is working at: the draft, what it was before, and who is looked at."""

from __future__ import annotations

from dataclasses import dataclass, field

import streamlit as st

from mixture_of_models.councils.loader import load_council
from mixture_of_models.councils.refusals import Path
from mixture_of_models.errors import MixtureError
from mixture_of_models.ui import chosen
from mixture_of_models.ui.draft import Draft, check, draft_of

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
    faults: dict[Path, str] = field(default_factory=dict)


def editing() -> Editing:
    """This session's work; at first a copy of the council that it asks."""
    if _KEY not in st.session_state:
        st.session_state[_KEY] = Editing(_first())
    work: Editing = st.session_state[_KEY]
    return work


def begin() -> Editing:
    """This session's work, looked through for faults."""
    work = editing()
    work.faults = check(work.draft)
    return work


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


def _first() -> Draft:
    try:
        return draft_of(chosen.chosen().council)
    except MixtureError:
        return draft_of(load_council("demo"))
