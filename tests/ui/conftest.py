"""A state of one's own for each test, and the page that stands in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from mom_council.councils.loader import to_yaml
from mom_council.councils.schema import Council
from mom_council.ui import session
from mom_council.ui.session import PageState

APP = Path(session.__file__).parent / "pages" / "script.py"
READER = "0" * session.LENGTH


@pytest.fixture(autouse=True)
def _forget_what_is_cached() -> Iterator[None]:
    """Streamlit keeps the machine's council for all tests of a process."""
    st.cache_resource.clear()
    yield
    st.cache_resource.clear()


@pytest.fixture
def state() -> Iterator[PageState]:
    """The loop, the store and the jobs, with nothing in them."""
    opened = PageState()
    yield opened
    opened.close()


@pytest.fixture
def chat(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., AppTest]]:
    """Opens the chat page with a council, and a thread where one is named."""

    def open_chat(council: Council | str, thread: str = "", reader: str = READER) -> AppTest:
        monkeypatch.setattr(session, "_reader", lambda: reader)
        source = to_yaml(council) if isinstance(council, Council) else council
        page: Any = AppTest.from_file(str(APP), default_timeout=30)
        page.session_state["kept"] = {"council": source}
        if thread:
            page.query_params["thread"] = thread
        return page.run()

    yield open_chat
    session.page_state().close()
