"""The sidebar: a reader's conversations, and the settings of the next question."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any, TypeVar

import streamlit as st

from mom_council.councils.schema import Council
from mom_council.deliberation.context import CouncilContext
from mom_council.extensions.loaded import ExtensionInfo, extensions_of
from mom_council.runs.page_store import LONGEST_TITLE, ListedThread
from mom_council.runs.threads import delete_thread, show_thread
from mom_council.ui import safe, session
from mom_council.ui.history import text_of
from mom_council.ui.safe import inert
from mom_council.voting.methods import METHODS, describe_methods

_MOST_THREADS = 25
_MOST_ROUNDS = 20


def draw_threads() -> None:
    """The list, and what can be done with the open one."""
    state, open_one = session.page_state(), session.thread()
    st.button(
        "New conversation",
        icon=":material/edit_square:",
        width="stretch",
        on_click=session.open_thread,
        args=(None,),
        key="new-thread",
    )
    search = st.text_input(
        "Search", placeholder="Search conversations", label_visibility="collapsed", key="search"
    )
    if search.strip():
        _read_texts()
    entries = state.store.of(session.reader(), search)
    running = {job.thread for job in state.jobs.running()}
    if search and not entries:
        st.caption("No results")
    day = ""
    for entry in entries[:_MOST_THREADS]:
        if (now := _day_of(entry.used)) != day:
            day = now
            st.caption(day)
        _draw_entry(entry, is_open=entry.id == open_one, is_running=entry.id in running)
    if len(entries) > _MOST_THREADS:
        st.caption(f"{len(entries) - _MOST_THREADS} older ones: search for them.")


def _day_of(moment: float) -> str:
    """The part of the list that something used at a moment stands in."""
    days = (date.today() - date.fromtimestamp(moment)).days  # noqa: DTZ011, DTZ012 - the reader's day
    return ("Today", "Yesterday")[days] if 0 <= days < 2 else "Earlier" if days > 0 else "Today"


def _read_texts() -> None:
    """Read what no page has shown since searches look into texts."""
    state = session.page_state()
    for thread in state.store.without_text(session.reader()):
        view = state.wait_for(show_thread(state.saver, thread))
        state.store.keep_text(thread, text_of(view.messages) if view is not None else "")


def _draw_entry(entry: ListedThread, *, is_open: bool, is_running: bool) -> None:
    with st.container(horizontal=True, gap="xsmall", vertical_alignment="center", wrap=False):
        st.button(
            safe.inline(entry.title) or "Untitled",
            key=f"thread-{entry.id}",
            icon=":material/progress_activity:" if is_running else None,
            type="secondary" if is_open else "tertiary",
            width="stretch",
            on_click=session.open_thread,
            args=(entry.id,),
        )
        if is_open:
            with st.popover(
                "Rename or delete",
                icon=":material/more_horiz:",
                type="tertiary",
                key=f"menu-{entry.id}",
            ):
                _draw_actions(entry)


def _draw_actions(entry: ListedThread) -> None:
    name = st.text_input(
        "Name", entry.title, max_chars=LONGEST_TITLE, key=f"name-{entry.id}-{entry.title}"
    )
    if name.strip() and name.strip() != entry.title:
        session.page_state().store.rename(entry.id, name)
        st.rerun()
    sure = st.checkbox("Delete conversation", key=f"sure-{entry.id}")
    st.button(
        "Delete",
        icon=":material/delete:",
        disabled=not sure,
        on_click=_forget,
        args=(entry.id,),
        key=f"delete-{entry.id}",
    )


def _forget(thread: str) -> None:
    state = session.page_state()
    state.jobs.forget(thread)
    state.wait_for(delete_thread(state.saver, thread))
    state.store.forget(thread)
    if session.thread() == thread:
        session.open_thread(None)


Value = TypeVar("Value")


def draw_settings(council: Council) -> CouncilContext:
    """Draw the settings and give what they say."""
    settings: dict[str, Any] = {}
    with st.expander("Settings", icon=":material/tune:"):
        settings |= _rounds(council)
        settings |= _vote(council)
        settings |= _synthesizer(council)
        settings |= _thermal(council)
    with st.expander("Spending limit", icon=":material/savings:"):
        settings |= _budget(council)
    settings["extensions_off"] = ()
    if council.extensions:
        with st.expander("Extensions", icon=":material/extension:"):
            settings["extensions_off"] = draw_switches(council)
    settings["debug"] = _draw_setting(
        council, "debug", False, lambda value, key: st.toggle(
            "Show prompts", value, key=key,
            help="Keep every prompt and every reply, and show them beside the answer.",
        ),
    )  # fmt: skip
    return CouncilContext.model_validate({k: v for k, v in settings.items() if v is not None})


def _rounds(council: Council) -> dict[str, Any]:
    rules = council.deliberation
    deep = _draw_setting(
        council, "deep", rules.rounds.max > 1, lambda value, key: st.toggle(
            "Deep thinking", value, key=key,
            help="On: they speak and vote again until they agree. Off: one round.",
        ),
    )  # fmt: skip
    rounds = _draw_setting(
        council, "rounds", max(rules.rounds.max, 2), lambda value, key: st.slider(
            "Rounds at the most", 1, _MOST_ROUNDS, value, key=key, disabled=not deep,
            help="How often the council may speak and vote. It stops earlier when it agrees.",
        ),
    )  # fmt: skip
    return {"max_rounds": _changed_value(rounds if deep else 1, rules.rounds.max)}


_DEPTHS = ("Quick", "Full", "Deep")


def draw_depth(council: Council) -> None:
    """How deep the next question goes, beside its field: it moves the settings of the rounds."""
    key = f"depth-{council.name}"
    st.session_state[key] = _depth(council)
    st.segmented_control(
        "Depth",
        _DEPTHS,
        key=key,
        label_visibility="collapsed",
        required=True,
        on_change=_change_depth,
        args=(council, key),
    )


def _full_rounds(council: Council) -> int:
    return max(council.deliberation.rounds.max, 2)


def _depth(council: Council) -> str:
    most = _full_rounds(council)
    rounds = session.setting(f"{council.name}/rounds", most)
    if not session.setting(f"{council.name}/deep", council.deliberation.rounds.max > 1):
        return "Quick"
    return "Full" if rounds <= most else "Deep"


def _change_depth(council: Council, key: str) -> None:
    depth, most = st.session_state[key], _full_rounds(council)
    if depth == _depth(council):
        return
    rounds = min(most + 2, _MOST_ROUNDS) if depth == "Deep" else most
    for name, value in (("deep", depth != "Quick"), ("rounds", rounds)):
        setting = f"{council.name}/{name}"
        session.keep_setting(setting, value)
        # Its own widget holds what it showed last: a new one begins with the new value.
        session.keep_setting(f"{setting}/moved", session.setting(f"{setting}/moved", 0) + 1)


def _vote(council: Council) -> dict[str, Any]:
    rules = council.deliberation
    percent = "%d%%"
    threshold = _draw_setting(
        council, "threshold", round(rules.threshold * 100), lambda value, key: st.slider(
            "Threshold", 0, 100, value, key=key, format=percent,
            help="The leading answer's share that counts as agreement.",
        ),
    )  # fmt: skip
    quorum = _draw_setting(
        council, "quorum", round(rules.quorum * 100), lambda value, key: st.slider(
            "Quorum", 0, 100, value, key=key, format=percent,
            help="The share that must answer; below 100 % the others then get a short while and "
            "are let go.",
        ),
    )  # fmt: skip
    # A council that was built without voters cannot ask for ballots.
    methods = [name for name, one in METHODS.items() if rules.asks_voters or not one.asks_voters]
    method = _draw_setting(
        council, "method", rules.method, lambda value, key: st.selectbox(
            "Voting method", methods, methods.index(value), key=key,
            help=f"{describe_methods()}.",
        ),
    )  # fmt: skip
    return {
        "threshold": _changed_value(threshold / 100, round(rules.threshold, 2)),
        "quorum": _changed_value(quorum / 100, round(rules.quorum, 2)),
        "method": _changed_value(method, rules.method),
    }


def _synthesizer(council: Council) -> dict[str, Any]:
    rules = council.synthesizer
    shuffle = _draw_setting(
        council, "shuffle", rules.shuffle, lambda value, key: st.toggle(
            "Shuffle the proposals", value, key=key,
            help="The synthesizer reads them in a random order, so that none gains by its place.",
        ),
    )  # fmt: skip
    dropout = _draw_setting(
        council, "dropout", round(rules.dropout * 100), lambda value, key: st.slider(
            "Dropout", 0, 90, value, key=key, format="%d%%",
            help="The chance that a character is left out of a round; never everyone.",
        ),
    )  # fmt: skip
    return {
        "shuffle": _changed_value(shuffle, rules.shuffle),
        "dropout": _changed_value(dropout / 100, round(rules.dropout, 2)),
    }


def _thermal(council: Council) -> dict[str, Any]:
    if council.thermal is None:
        st.caption("This council has no thermal watch.")
        return {}
    limit = _draw_setting(
        council, "thermal_limit", int(council.thermal.limit), lambda value, key: st.slider(
            "Thermal limit", 20, 120, value, key=key, format="%d °C",
            help="Above it the council waits until the GPU has cooled.",
        ),
    )  # fmt: skip
    return {"thermal_limit": _changed_value(float(limit), council.thermal.limit)}


def _budget(council: Council) -> dict[str, Any]:
    limits = {}
    for name, label, step, most in (
        ("calls", "Calls", 1, 100_000),
        ("tokens", "Tokens", 1000, 100_000_000),
        ("seconds", "Seconds", 1.0, 86_400.0),
        ("usd", "Dollars", 0.01, 10_000.0),
    ):
        own = getattr(council.budget, name)
        value = _draw_setting(
            council, f"max_{name}", own, lambda value, key: st.number_input(
                label, type(step)(0) + step, type(step)(most), value, step, key=key,  # noqa: B023
                placeholder="no limit",
                help="What one question may spend; empty is the council's own limit.",
            ),
        )  # fmt: skip
        limits[f"max_{name}"] = _changed_value(value, own)
    return limits


def _changed_value(value: Value, own: Value) -> Value | None:
    return None if value == own else value


def _draw_setting(
    council: Council, name: str, own: Value, draw: Callable[[Any, str], Value]
) -> Value:
    """A widget that remembers: of each council its own value."""
    key = f"{council.name}/{name}"
    moved = session.setting(f"{key}/moved", 0)
    value = draw(session.setting(key, own), f"setting-{key}" + (f"-{moved}" if moved else ""))
    session.keep_setting(key, value)
    return value


def draw_switches(council: Council) -> tuple[str, ...]:
    """Draw a switch for each extension, and give the names of those that are off."""
    if not council.extensions:
        st.caption("This council has no extensions.")
        return ()
    return tuple(one.name for one in extensions_of(council) if not _is_on(one, council))


def _is_on(one: ExtensionInfo, council: Council) -> bool:
    key = f"{council.name}/extension/{one.name}"
    able = not one.problem
    on = st.toggle(
        inert(one.name, 60),
        session.setting(key, True) and able,
        key=f"setting-{key}",
        disabled=not able,
        help=inert(one.description, 300) or None,
    )
    if able:
        session.keep_setting(key, on)
        return on
    # Left on: the answer's status then says what was to happen to it and did not.
    st.caption(f":material/error: {inert(one.problem, 300)}")
    return True
