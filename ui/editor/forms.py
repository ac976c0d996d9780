"""The forms: a character, the models, the rules by which the council decides."""

from __future__ import annotations

from typing import Any, get_args

import streamlit as st

from mom_council.councils.schema import (
    Annotator,
    Budget,
    Character,
    Classifier,
    Council,
    Deliberation,
    Model,
    Painter,
    Rounds,
    Section,
    StopRule,
    Synthesizer,
)
from mom_council.councils.tools import BUNDLED
from mom_council.ui import draft as drafts
from mom_council.ui.draft import add_voice, characters, drop, rename_voice, voices
from mom_council.ui.editor import fields
from mom_council.ui.editor.editing import Editing, editing, redraw
from mom_council.ui.safe import inert, one_line
from mom_council.vendors import VENDORS
from mom_council.voting.methods import METHODS

STOPS: tuple[str, ...] = get_args(StopRule)
_LABELS = {"usd": "Dollars", "minimum": "Proposals at least"}


def council(work: Editing) -> None:
    """What the council is called, and what for."""
    left, right = st.columns([1, 2])
    with left:
        fields.text("Name", ("name",), Council)
    with right:
        fields.text("In one line", ("description",), Council)


def character(work: Editing) -> None:
    """The character that is looked at."""
    index = work.chosen
    if index is None or not 0 <= index < len(characters(work.draft)):
        st.caption("Choose a character to edit it.")
        return
    at = ("characters", index)
    keys = [*voices(work.draft)]
    with st.container(border=True, key="character"):
        one, two, three, four = st.columns([3, 3, 1.5, 1.5])
        with one:
            fields.text("Name", (*at, "name"), Character)
        with two:
            fields.choice("Model", (*at, "model"), Character, keys)
        with three:
            fields.number("Weight", (*at, "weight"), Character)
        with four:
            fields.number("Temperature", (*at, "temperature"), Character)
        fields.text("Persona", (*at, "personality"), Character, tall=True)
        left, right = st.columns(2)
        with left:
            fields.text("Speaking style", (*at, "speaking_style"), Character, tall=True)
        with right:
            fields.text("Thought process", (*at, "thought_process"), Character, tall=True)
        fields.several("Interests", (*at, "interests"), Character, new=True)
        fields.several("Tools", (*at, "tools"), Character, _tools(), new=True)
        fields.switch("Votes", (*at, "votes"), Character)


def models(work: Editing) -> None:
    """The models, each under the key that characters name it by."""
    st.caption("A model is named by its key everywhere in the council. Keys of vendors stay in the "
               "environment: only the variable's name is written here.")  # fmt: skip
    for key, voice in voices(work.draft).items():
        with st.expander(f"**{inert(key, 64)}** · {inert(voice.get('model', ''), 64)}"):
            _model(work, key)
    st.button("Add a model", icon=":material/add:", key="add-model", on_click=_new_voice)
    fields.complain(("models",))


def _model(work: Editing, key: str) -> None:
    at = ("models", key)
    st.text_input(
        "Key",
        value=key,
        key=f"voice:{work.turn}:{key}",
        help="Characters, the synthesizer and fallbacks that name it follow.",
        on_change=_rename,
        args=(key, f"voice:{work.turn}:{key}"),
    )
    left, right = st.columns(2)
    with left:
        fields.choice("Provider", (*at, "provider"), Model, [*VENDORS])
        fields.text("Address", (*at, "base_url"), Model)
        fields.number("Seconds at the most", (*at, "timeout"), Model)
    with right:
        fields.text("Model", (*at, "model"), Model)
        fields.text("Variable with the key", (*at, "api_key_env"), Model)
        others = [other for other in voices(work.draft) if other != key]
        fields.several("Fallbacks", (*at, "fallbacks"), Model, others)
    _others(work, at)
    st.button(
        "Remove this model",
        key=f"drop-voice:{key}",
        icon=":material/delete:",
        on_click=_drop_voice,
        args=(key,),
    )


def _others(work: Editing, at: tuple[str | int, ...]) -> None:
    """What is wrong with the fields that have no widget: they are written in the YAML."""
    shown = {"provider", "base_url", "timeout", "model", "api_key_env", "fallbacks"}
    for path, says in work.faults.items():
        if path[:2] == at and (len(path) == 2 or path[2] not in shown):
            st.caption(f":red[:material/error: {inert(f'{path[-1]}: {says}')}]")


def rules(work: Editing) -> None:
    """How they vote, who writes, who reads first."""
    keys = [*voices(work.draft)]
    left, right = st.columns(2)
    with left, st.container(border=True):
        st.markdown("**Deliberation**")
        _deliberation()
    with right, st.container(border=True):
        st.markdown("**Synthesizer**")
        _synthesizer(keys)
    with left, st.container(border=True):
        st.markdown("**Before the council**")
        fields.choice("Annotator", ("annotator", "model"), Annotator, keys, none="none")
        fields.complain(("annotator",))
        fields.choice("Classifier", ("classifier", "model"), Classifier, keys, none="keywords")
        fields.choice("Painter", ("painter", "model"), Painter, keys, none="none")
        fields.complain(("painter",))
        fields.number("Earlier messages read", ("history",), Council, whole=True)
        fields.text("Prompts", ("prompts",), Council)
    with right, st.container(border=True):
        st.markdown("**Budget of a question**")
        fields.complain(("budget",))
        _pairs(Budget, "budget", {"calls": True, "tokens": True, "seconds": False, "usd": False})


def _deliberation() -> None:
    at = "deliberation"
    fields.choice("Voting method", (at, "method"), Deliberation, tuple(METHODS))
    left, right = st.columns(2)
    with left:
        fields.number("Rounds at least", (at, "rounds", "min"), Rounds, whole=True)
    with right:
        fields.number("Rounds at most", (at, "rounds", "max"), Rounds, whole=True)
    fields.complain((at, "rounds"))
    _pairs(Deliberation, at, {"threshold": False, "quorum": False, "grace": False, "minimum": True})
    left, right = st.columns(2)
    with left:
        fields.choice("Speaking", (at, "mode"), Deliberation, ("independent", "sequential"))
    with right:
        fields.choice("Ballots", (at, "ballots"), Deliberation, ("auto", "always"))
    left, right = st.columns(2)
    with left:
        fields.choice("Stop asking", (at, "stop"), Deliberation, STOPS)
        fields.choice("Asked first", (at, "order"), Deliberation, ("seats", "price", "strength"))
    with right:
        fields.choice("Weights", (at, "weights"), Deliberation, ("written", "learned"))
        fields.choice("Depth", (at, "depth"), Deliberation, ("full", "annotator"))
    fields.switch("A further layer only where this one disagrees", (at, "cascade"), Deliberation)


def _synthesizer(keys: list[str]) -> None:
    at = "synthesizer"
    fields.choice("Model", (at, "model"), Synthesizer, keys)
    fields.complain((at,))
    fields.text("Persona", (at, "personality"), Synthesizer, tall=True)
    fields.number("Dropout", (at, "dropout"), Synthesizer)
    fields.switch("Shuffle the proposals", (at, "shuffle"), Synthesizer)
    fields.switch("Hide who proposed what", (at, "anonymous"), Synthesizer)
    fields.choice("Comparison", (at, "compare"), Synthesizer, ("words", "model", "none"))
    fields.several("Tools", (at, "tools"), Synthesizer, _tools(), new=True)


def _tools() -> list[str]:
    """The tools that can be named: those that come along, and the council's own."""
    own = drafts.at(editing().draft, ("tools",), {})
    return [*dict.fromkeys([*BUNDLED, *(own if isinstance(own, dict) else ())])]


def _pairs(told: type[Section], section: str, wanted: dict[str, bool]) -> None:
    """Numbers, two in a line."""
    columns: Any = st.columns(2)
    for place, (name, whole) in enumerate(wanted.items()):
        with columns[place % 2]:
            fields.number(_LABELS.get(name, name.capitalize()), (section, name), told, whole=whole)


def _new_voice() -> None:
    redraw(add_voice(editing().draft, "model", {"provider": "ollama", "model": ""}))


def _rename(old: str, widget: str) -> None:
    new = one_line(st.session_state[widget], 64)
    draft = editing().draft
    if new and new != old and new in voices(draft):
        st.toast(f"There is a model {inert(new)} already.", icon=":material/error:")
    redraw(rename_voice(draft, old, new) if new else draft)


def _drop_voice(key: str) -> None:
    redraw(drop(editing().draft, ("models", key)))
