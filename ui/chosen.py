"""The council that this tab asks: the machine's own choice, a preset, a file, or an edited one."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace

import streamlit as st

from mom_council.councils.loader import council_from_yaml, load_council, to_yaml
from mom_council.councils.schema import Council
from mom_council.extensions.hooks import under_extensions
from mom_council.models.discovery import Choice, choose_council, cost_notice, costs_money
from mom_council.ui import session

_FRESH = 300.0
"""Seconds after which the machine is searched for models again."""


@dataclass(frozen=True)
class Chosen:
    """A council, where it is from, and what there is to say about it."""

    council: Council
    source: str
    """A preset's name, a path, or the YAML itself; empty: chosen for this machine."""
    notices: tuple[str, ...] = ()


def source() -> str:
    """What this tab asks, as `Chosen.source` says it."""
    return str(session.kept("council", ""))


def choose(source: str) -> None:
    """Ask another council from now on: a preset's name, a path, YAML, or empty."""
    session.keep("council", source)


def try_out(council: Council) -> None:
    """Ask this council from now on, without saving it anywhere."""
    choose(to_yaml(council))


def chosen() -> Chosen:
    """The council that this tab asks.

    Raises:
        CouncilError: it cannot sit.
    """
    return open_source(source())


def open_source(written: str) -> Chosen:
    """The council of a source.

    Raises:
        CouncilError: it cannot sit.
    """
    if not written:
        choice = _machine()
    elif "\n" in written:
        choice = _named(council_from_yaml(written))
    else:
        choice = _named(load_council(written))
    ruled, more_calls = under_extensions(choice.council)
    lines = (choice.notice, cost_notice(replace(choice, council=ruled), more_calls))
    return Chosen(choice.council, written, tuple(line for line in lines if line))


@st.cache_resource(max_entries=1, ttl=_FRESH, show_spinner="Looking for models …")
def _machine() -> Choice:
    return session.house().wait_for(choose_council(None, os.environ))


def _named(council: Council) -> Choice:
    return Choice(council, None, costs_money(council), "named")
