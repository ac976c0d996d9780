"""The council's extensions in the sidebar: each with a switch for the next questions."""

from __future__ import annotations

import streamlit as st

from mom_council.councils.schema import Council
from mom_council.extensions.describing import Described, extensions_of
from mom_council.ui import session
from mom_council.ui.safe import inert


def draw_switches(council: Council) -> tuple[str, ...]:
    """Draw a switch for each extension, and give the names of those that are off."""
    if not council.extensions:
        st.caption("This council has no extensions.")
        return ()
    return tuple(one.name for one in extensions_of(council) if not _is_on(one, council))


def _is_on(one: Described, council: Council) -> bool:
    key = f"{council.name}/extension/{one.name}"
    able = not one.problem
    on = st.toggle(
        inert(one.name, 60),
        session.kept(key, True) and able,
        key=f"setting-{key}",
        disabled=not able,
        help=inert(one.description, 300) or None,
    )
    if able:
        session.keep(key, on)
        return on
    # Left on: the answer's status then says what was to happen to it and did not.
    st.caption(f":material/error: {inert(one.problem, 300)}")
    return True
