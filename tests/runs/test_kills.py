"""Killed at random moments, nothing is paid twice; `make kills` does it by the hundred."""

from __future__ import annotations

import os
import random
from itertools import combinations_with_replacement
from pathlib import Path

import pytest

from mom_council.tests.runs.kills import (
    DOORS,
    QUESTIONS,
    Forks,
    Kills,
    database_server,
    race_once,
    try_kills,
    try_races,
)

pytestmark = pytest.mark.slow

KILLS = int(os.environ.get("KILLS", "20"))
RACES = int(os.environ.get("RACES", "6"))
"""How often the heavy tests do it: few enough for CI."""


MOST = 0.1
"""Seconds of processor time in which an answer is surely stored, whatever else the process does."""


def faults_of(found: dict[str, Kills]) -> list[object]:
    """Whatever must not happen; a process without the processor cannot store what has come."""
    again = [each for one in found.values() for each in one.repeated]
    return [
        *(str(each) for each in again if each.age == 0 or each.processor > MOST),
        *_others(found),
    ]


def _others(found: dict[str, Kills]) -> list[object]:
    return [
        fault
        for one in found.values()
        for fault in (*one.wrong, *one.miscounted, *["a tool was called twice"] * one.paid_twice)
    ]


@pytest.mark.parametrize("kind", QUESTIONS)
def test_a_killed_question_is_answered_and_nothing_is_paid_twice(kind: str) -> None:
    assert faults_of(try_kills(2, 7, (kind,))) == []


def test_two_processes_race_for_a_thread() -> None:
    assert try_races(2, 7) == []


PAIRS = [("sqlite", *pair) for pair in combinations_with_replacement(DOORS, 2)][1:]


@pytest.mark.parametrize("pair", [*PAIRS, ("postgres", "serve", "serve")], ids="-".join)
def test_two_doors_race_for_a_thread(pair: tuple[str, ...], tmp_path: Path) -> None:
    """One works, and the other waits, or is told so in one line."""
    store, *doors = pair
    with database_server([store]) as place:
        at = place(store, tmp_path)
        assert race_once(Forks(), tmp_path, random.Random(7), doors, at) == ""


@pytest.mark.heavy
@pytest.mark.timeout(600 + 10 * KILLS)
def test_many_kills_of_all_kinds() -> None:
    assert faults_of(try_kills(KILLS, 1)) == []


@pytest.mark.heavy
@pytest.mark.timeout(600 + 10 * RACES)
def test_many_races() -> None:
    assert try_races(RACES, 1) == []
