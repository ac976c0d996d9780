"""What all tabs of a server share (`PageState`), and what one browser tab has for itself.

All tabs share one event loop, the store of threads and the running jobs. A single call of a model
runs beside the page (`start_call`); whole questions are jobs (`ui.jobs`).

A tab's thread is in the address, so a reload and a bookmark find it again. Its reader is known by
the login where the server has one, and else by a random cookie: two people never see each other's
threads, and a second tab of one person sees the same list.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib
import os
import re
import secrets
import threading
import time
import weakref
from collections.abc import Coroutine
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import streamlit as st

from mom_council.errors import MixtureError
from mom_council.models.clients import background_loop
from mom_council.runs.ask import open_runs
from mom_council.runs.page_store import PageStore
from mom_council.seams.python import call_before_threads_end
from mom_council.ui.jobs import Jobs
from mom_council.vendors import VENDORS

if TYPE_CHECKING:
    from langgraph.checkpoint.base import BaseCheckpointSaver


T = TypeVar("T")

_LONGEST_WAIT = 60.0
"""Seconds that a page waits for the loop; nothing it asks for takes that long."""


class PageState:
    """The loop, the store and the jobs, opened once.

    Args:
        database: where threads are kept, as `open_checkpointer` takes it; None for the usual file.

    Raises:
        StorageError: the store cannot be opened.
    """

    def __init__(self, database: str | None = None) -> None:
        self._stack = contextlib.AsyncExitStack()
        self._loop = background_loop()
        self.saver: BaseCheckpointSaver[Any] = self.wait_for(self._open(database))
        self.store = PageStore()
        self.jobs = Jobs(self._loop, self.saver)
        _close_at_exit(self)
        # What has been loaded stays for good. A garbage collection that walked through all of it
        # would hold a question for 0.1 s, and an answer that has come is to be stored at once.
        gc.freeze()
        threading.Thread(
            target=import_providers, args=(self.jobs,), name="import-providers", daemon=True
        ).start()

    def wait_for(self, work: Coroutine[Any, Any, T], seconds: float = _LONGEST_WAIT) -> T:
        """Do something on the loop and wait for what it gives.

        Raises:
            TimeoutError: it took longer than `seconds`, and was cancelled.
        """
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result(seconds)
        except TimeoutError:
            future.cancel()
            raise
        except CancelledError:
            raise MixtureError(
                "the server is closing", cure="start it again with `mom ui`"
            ) from None

    def close(self) -> None:
        """Stop what runs and close the store."""
        if not self._loop.is_running():
            return
        self.jobs.stop_all()
        with contextlib.suppress(TimeoutError):
            self.wait_for(self._stack.aclose(), 5.0)

    async def _open(self, database: str | None) -> BaseCheckpointSaver[Any]:
        return await self._stack.enter_async_context(open_runs(database, prunes=True))


def _close_at_exit(state: PageState) -> None:
    """Close it at the end of the process: stopping a question and closing a store take threads."""
    weak = weakref.ref(state)

    def close() -> None:
        if (opened := weak()) is not None:
            opened.close()

    call_before_threads_end(close)


def import_providers(jobs: Jobs) -> None:
    """Import what a first question needs, before anybody waits for it.

    No question runs meanwhile: making the classes of a package holds all threads for 0.1 s and
    more, and an answer that has come is to be stored at once.

    These are the packages of the providers that always come along, and of those whose key is set.
    """
    for provider in VENDORS.values():
        if provider.extra is None or os.environ.get(provider.key_env or ""):
            jobs.do_while_idle(partial(_import_for_good, provider.package))


def _import_for_good(package: str) -> None:
    with contextlib.suppress(Exception):  # the question itself will say what is wrong
        importlib.import_module(package)
    gc.freeze()


Result = TypeVar("Result")


@dataclass
class BackgroundCall(Generic[Result]):
    """What was sent for, and what came of it."""

    future: Future[Result]
    began: float = field(default_factory=time.monotonic)

    @property
    def running(self) -> bool:
        """Whether it is still on its way."""
        return not self.future.done()

    @property
    def seconds(self) -> float:
        """How long it has taken so far."""
        return time.monotonic() - self.began

    def result(self) -> Result | None:
        """What it brought; None where it failed, was stopped, or is still on its way."""
        return None if self.running or self.error() else self.future.result()

    def error(self) -> str:
        """What went wrong, in one line; empty where nothing did."""
        if self.running:
            return ""
        try:
            error = self.future.exception()
        except CancelledError:
            return "stopped"
        if error is None or isinstance(error, MixtureError):
            return " ".join(str(error or "").split())
        return f"{type(error).__name__}: {' '.join(str(error).split())}"

    def stop(self) -> None:
        """Cancel it, down to its connection."""
        self.future.cancel()


def start_call(work: Coroutine[Any, Any, Result]) -> BackgroundCall[Result]:
    """Start a call on the background loop."""
    return BackgroundCall(asyncio.run_coroutine_threadsafe(work, background_loop()))


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
    name = st.context.cookies.get(COOKIE, "")
    return name if re.fullmatch(rf"[0-9a-f]{{{LENGTH}}}", name) else secrets.token_hex(LENGTH // 2)
