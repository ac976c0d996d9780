"""Killed at random moments, nothing is paid twice; `kills.py` does it by the hundred."""

from __future__ import annotations

import pytest

from mom_council.tests.runs.kills import QUESTIONS, Kills, try_kills, try_races

pytestmark = pytest.mark.slow


def faults_of(found: dict[str, Kills]) -> list[object]:
    """Whatever must not happen; a busy machine may only delay what is heard."""
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


@pytest.mark.heavy
def test_two_hundred_kills() -> None:
    assert faults_of(try_kills(200, 1)) == []


@pytest.mark.heavy
def test_forty_races() -> None:
    assert try_races(40, 1) == []
