"""The council that this tab asks, and the one that it edits.

It is the machine's own choice, a preset, a file, an upload, or an edited council. A draft outlives
its tab: if it was neither saved nor tried, its reader finds it again.
"""

from __future__ import annotations

import contextlib
import os
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import PurePath

import streamlit as st

from mom_council.councils.loader import (
    council_from_yaml,
    councils_folder,
    load_council,
    preset_names,
    saved_councils,
    to_yaml,
)
from mom_council.councils.refusals import Path
from mom_council.councils.schema import Council
from mom_council.councils.trust import (
    Review,
    UntrustedError,
    accept,
    council_from_trusted_yaml,
    load_trusted_council,
    trust_command,
)
from mom_council.errors import ConsentError, MixtureError
from mom_council.extensions.hook_run import under_extensions
from mom_council.models.providers import missing
from mom_council.runs.discovery import VARIABLE, Choice, choose_council, cost_notice, costs_money
from mom_council.runs.page_store import PageStore
from mom_council.ui import safe, session, words
from mom_council.ui.draft import Draft, check, draft_of, read_draft, text_of
from mom_council.ui.safe import inert

_FRESH = 300.0
"""Seconds after which the machine is searched for models again."""


@dataclass(frozen=True)
class ChosenCouncil:
    """A council, where it is from, and what there is to say about it."""

    council: Council
    source: str
    """A preset's name, a path, or the YAML itself; empty: chosen for this machine."""
    notices: tuple[str, ...] = ()


def source() -> str:
    """What this tab asks, as `Chosen.source` says it."""
    return str(session.setting("council", ""))


def choose(source: str) -> None:
    """Ask another council from now on: a preset's name, a path, YAML, or empty."""
    session.keep_setting("council", source)


def try_out(council: Council) -> None:
    """Ask this council from now on, without saving it anywhere."""
    choose(to_yaml(council))


def chosen() -> ChosenCouncil:
    """The council that this tab asks.

    Raises:
        CouncilError: it cannot sit.
    """
    return open_source(source())


def open_source(written: str) -> ChosenCouncil:
    """The council of a source.

    Raises:
        UntrustedError: nobody has accepted yet what it asks for.
        ConsentError: it asks models that cost money in place of local ones, and the user of this
            session has not said yes.
        CouncilError: it cannot sit.
    """
    if not written:
        choice = _machine(is_paid=bool(session.setting("paid", False)))
    elif "\n" in written:
        choice = _named(council_from_trusted_yaml(written))
    else:
        choice = _named(load_trusted_council(written))
    ruled, more_calls = under_extensions(choice.council)
    lines = (choice.notice, cost_notice(replace(choice, council=ruled), more_calls))
    return ChosenCouncil(choice.council, written, tuple(line for line in lines if line))


@st.cache_resource(max_entries=2, ttl=_FRESH, show_spinner="Looking for models …")
def _machine(*, is_paid: bool) -> Choice:
    choosing = choose_council(None, os.environ, consent=lambda question: is_paid)
    return session.page_state().wait_for(choosing)


def _named(council: Council) -> Choice:
    return Choice(council, None, costs_money(council), "named")


def draw_consent(error: ConsentError) -> None:
    """Show why models that cost money would be asked, and let the user say yes."""
    st.warning(safe.inline(words.sentence(error.what)))
    st.caption("Start the local server and load the page again, or choose another council above.")
    st.button(
        "Ask the paid models in this session",
        key="paid",
        on_click=session.keep_setting,
        args=("paid", True),
    )


def draw_trust(review: Review) -> None:
    """Show what a council asks for, and let the user accept it."""
    st.warning("This council is new here, or was changed. If you ask it, it:")
    for line in review.lines:
        st.markdown(f"- {safe.inline(line)}")
    if review.odd_variables:
        names = ", ".join(review.odd_variables)
        st.error(safe.inline(f"{names} does not look like a key of where it would go."))
        st.caption(f"If you mean it, save the file, then: {safe.inline(trust_command(review))}")
        return
    st.button("Trust this council", key="trust", on_click=_accept, args=(review,))


def _accept(review: Review) -> None:
    try:
        accept(review)
    except MixtureError as error:
        st.session_state.setdefault("said", []).append(str(error))


_LARGEST = 1  # MB; a council fits on a screen


def draw_choice() -> None:
    """The council's selection, and the ways to bring one."""
    now = source()
    mine = [str(file) for file in saved_councils().values()]
    options = ["", *mine, *preset_names()]
    if now not in options:
        options.append(now)
    key = f"council-{session.setting('councils', 0)}"
    # What is asked is kept with the session; with another thread it changes under the widget.
    st.session_state[key] = now
    st.selectbox(
        "Council",
        options,
        format_func=_label_of,
        help="Who answers. A preset, one of yours, or the best that this machine can seat.",
        key=key,
        on_change=_pick,
        args=(key,),
    )
    with st.popover("Add council …", icon=":material/upload_file:", width="stretch"):
        _bring()


def _pick(key: str) -> None:
    # Not by a rerun from within the page: what was typed at the same moment would be lost.
    choose(str(st.session_state[key] or ""))


def _bring() -> None:
    path = st.text_input("A file on this machine", placeholder="desk.yaml", key="council-path")
    if path and path != session.setting("council-path", ""):
        session.keep_setting("council-path", path)
        _take(path if PurePath(path).suffix else f"./{path}")
    upload = st.file_uploader(
        "Or upload a YAML file",
        type=["yaml", "yml", "json"],
        max_upload_size=_LARGEST,
        key="council-upload",
    )
    if upload is not None and upload.file_id != session.setting("council-upload", ""):
        session.keep_setting("council-upload", upload.file_id)
        _take(upload.getvalue().decode("utf-8", errors="replace"), text=True)


def _take(source: str, *, text: bool = False) -> None:
    try:
        if text:
            try_out(council_from_yaml(source, "the uploaded file"))
        else:
            with suppress(UntrustedError):  # the sidebar shows what it asks for
                load_trusted_council(source)
            choose(source)
    except MixtureError as error:
        st.error(safe.inline(str(error)))
        return
    session.keep_setting(
        "councils", session.setting("councils", 0) + 1
    )  # a selectbox with a new option
    st.rerun()


def _label_of(source: str) -> str:
    if not source:
        named = os.environ.get(VARIABLE)
        # Two options that read the same would be one to the browser.
        name = PurePath(named).name if named else "Automatic"
        return f"{name} (as started)" if name in preset_names() else name
    if "\n" in source:
        first = next((line for line in source.splitlines() if line.startswith("name:")), "")
        return f"{first.removeprefix('name:').strip() or 'unnamed'} (yours)"
    if source in preset_names():
        lacks = _lacks(source)
        return f"{source} (not ready: {lacks})" if lacks else source
    path = PurePath(source)
    return f"{path.stem} (saved)" if path.parent == councils_folder() else path.name


@st.cache_data(ttl=_FRESH, show_spinner=False)
def _lacks(preset: str) -> str:
    """What a preset needs and this machine has not, in a few words; empty where nothing."""
    try:
        needs = missing(load_council(preset).models.values())
    except MixtureError as error:
        needs = [error]
    return safe.one_line(needs[0], 60) if needs else ""


_KEY = "editing"
_STEPS_BACK = 100


@dataclass
class DraftSession:
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


def editing() -> DraftSession:
    """This session's work; at first what its reader left, or a copy of the council it asks."""
    if _KEY not in st.session_state:
        st.session_state[_KEY] = _begun()
    work: DraftSession = st.session_state[_KEY]
    return work


def begin() -> DraftSession:
    """This session's work, looked through for faults."""
    work = editing()
    work.faults = check(work.draft)
    return work


def keep(work: DraftSession) -> None:
    """Keep the draft for when this reader comes back."""
    if work.draft == work.kept:
        return
    try:
        PageStore().keep_draft(session.reader(), text_of(work.draft))
    except MixtureError as error:
        st.caption(f"A closed tab loses this draft: {inert(error, 600)}")
    work.kept = work.draft


def settle(work: DraftSession) -> None:
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


def _begun() -> DraftSession:
    try:
        if left := PageStore().draft(session.reader()):
            draft = read_draft(left, "the draft that was left")
            return DraftSession(draft, kept=draft, left=True)
    except MixtureError:
        pass  # no reason to show no editor
    first = _first()
    return DraftSession(first, kept=first)


def _first() -> Draft:
    try:
        return draft_of(chosen().council)
    except MixtureError:
        return draft_of(load_council("demo"))
