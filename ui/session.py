"""One browser tab: who sits at it, which thread it shows, which council it asks.

The thread is in the address, so a reload and a bookmark find it again. Who sits there is known by
the login where the server has one, and else by a random cookie: two people never see each other's
threads, and a second tab of one person sees the same list.
"""

from __future__ import annotations

import os
import re
import secrets
from typing import Any

import streamlit as st

from mom_council.ui.page_state import PageState

COOKIE = "mom_reader"
"""The cookie that `ui.frame` sets in the browser."""
LENGTH = 32


@st.cache_resource(show_spinner=False)
def page_state() -> PageState:
    """What all sessions of this server share.

    Raises:
        StorageError: the store of threads cannot be opened.
    """
    return PageState(os.environ.get("MOM_DATABASE"))


def begin() -> None:
    """Set out the session's own keys."""
    st.session_state.setdefault("reader", _reader())
    st.session_state.setdefault("kept", {})


def reader() -> str:
    """Who sits at this tab."""
    return str(st.session_state["reader"])


def thread() -> str | None:
    """The thread that the address names; None for the empty page."""
    named = st.query_params.get("thread", "")
    return named if re.fullmatch(r"[\w-]{1,64}", named) else None


def open_thread(name: str | None) -> None:
    """Show another thread, or the empty page."""
    if name is None:
        st.query_params.pop("thread", None)
    else:
        st.query_params["thread"] = name


def new_thread() -> str:
    """A name for a thread that nobody can guess."""
    return secrets.token_hex(8)


def setting(key: str, default: Any) -> Any:
    """A setting of this session. Widgets forget when their page is left; this does not."""
    return st.session_state["kept"].get(key, default)


def keep_setting(key: str, value: Any) -> None:
    """Keep a setting for this session."""
    st.session_state["kept"][key] = value


def notify(text: str) -> None:
    """Tell the reader something with the next drawing."""
    st.session_state.setdefault("said", []).append(text)


def _reader() -> str:
    try:
        if st.user.get("is_logged_in"):
            return f"login:{st.user.get('sub') or st.user.get('email')}"
    except (AttributeError, RuntimeError):  # the server has no login
        pass
    told = st.context.cookies.get(COOKIE, "")
    return told if re.fullmatch(rf"[0-9a-f]{{{LENGTH}}}", told) else secrets.token_hex(LENGTH // 2)
