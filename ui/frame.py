"""The frame that every page hangs in: the list of pages, the look, the fence around the browser."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from typing import NamedTuple

import streamlit as st
from streamlit.navigation.page import StreamlitPage

from mom_council.ui import fence, session, style


class Entry(NamedTuple):
    """One line of the list of pages: a module of `ui.pages` whose `page()` draws it."""

    module: str
    title: str
    icon: str


PAGES = (
    Entry("chat", "Chat", ":material/forum:"),
    Entry("editor", "Council", ":material/groups:"),
    Entry("models", "Models", ":material/memory:"),
    Entry("traces", "Traces", ":material/account_tree:"),
    Entry("revote", "Re-vote", ":material/how_to_vote:"),
)


def show() -> None:
    """Draw the page that the address names."""
    st.set_page_config(page_title="Mixture of Models", page_icon=style.ICON, layout="wide")
    style.put_on()
    fence.put_up()
    session.begin()
    st.navigation([*_pages().values()]).run()


def go(module: str, **address: str) -> None:
    """Leave the page for another one; `address` is what its address says after the `?`."""
    st.switch_page(_pages()[module], query_params=address)


def _pages() -> dict[str, StreamlitPage]:
    return {
        entry.module: st.Page(
            _drawing(entry.module),
            title=entry.title,
            icon=entry.icon,
            url_path=entry.module,
            default=place == 0,
        )
        for place, entry in enumerate(PAGES)
        if importlib.util.find_spec(f"mom_council.ui.pages.{entry.module}")
    }


def _drawing(module: str) -> Callable[[], None]:
    def page() -> None:
        # Imported when it is opened: a page that nobody looks at costs nothing.
        importlib.import_module(f"mom_council.ui.pages.{module}").page()

    page.__name__ = module
    return page
