"""Stopped on the way: by Ctrl-C, by SIGTERM, by kill -9, by a reader who has left."""

from __future__ import annotations

import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from mom_council.tests.graph.desk import character, seat
from mom_council.tests.stage import Fault, Stage

from .conftest import LOADED, Mom

pytestmark = pytest.mark.slow

File = Callable[..., str]


def _seat_one_fast(stage: Stage) -> None:
    """Dmitri answers at once; the others begin, and do not end for a long time."""
    seat(stage, ("Elena", "Farid"), first_token=0.0, latency=30.0)
    stage.model("dmitri", reply=character("At once."))


NAMES = ("Dmitri", "Elena", "Farid")


def _until_two_are_speaking(stage: Stage) -> None:
    stage.wait_for(1, timeout=30, model="dmitri")
    for name in ("elena", "farid"):
        stage.wait_for(1, timeout=30, model=name, started=True)
    time.sleep(0.5)  # the fast answer is written down


@pytest.mark.parametrize(
    ("number", "code", "ways"),
    [(signal.SIGINT, 130, ()), (signal.SIGTERM, 143, ("--json",))],
)
def test_a_signal_cancels_the_calls_and_says_what_is_kept(
    processes: Any,
    mom: Mom,
    stage: Stage,
    council_file: File,
    number: int,
    code: int,
    ways: tuple[str, ...],
) -> None:
    _seat_one_fast(stage)
    begun = processes.start("ask", *ways, "Best?", "-c", council_file(NAMES), "-t", "pets")
    _until_two_are_speaking(stage)
    begun.send_signal(number)
    ended = processes.end(begun, seconds=30)
    line = "mom: interrupted; the question and 1 answer are kept: mom resume pets"
    assert (ended.code, ended.err.splitlines()[-1]) == (code, line)
    stage.wait_for(3, timeout=15)
    assert Counter(call.outcome for call in stage.calls) == {"client_left": 2, "done": 1}
    if ways:
        assert ended.object["error"]["type"] == "Interrupted"
        assert ended.object["thread"] == "pets"
    seat(stage, NAMES)
    stage.clear()
    resumed = mom("resume", "-q", "pets")
    assert (resumed.code, resumed.out) == (0, "What the council says.\n")
    assert [c for c in stage.calls_to("dmitri") if "candidate" not in str(c.body)] == []


def test_a_second_signal_ends_it_at_once(processes: Any, stage: Stage, council_file: File) -> None:
    _seat_one_fast(stage)
    begun = processes.start("ask", "Best?", "-c", council_file(NAMES))
    _until_two_are_speaking(stage)
    begun.send_signal(signal.SIGINT)
    begun.send_signal(signal.SIGINT)
    time.sleep(0.01)
    begun.send_signal(signal.SIGINT)
    assert processes.end(begun, seconds=30).code == 130


def test_whenever_ctrl_c_comes_there_is_no_traceback(
    processes: Any, stage: Stage, council_file: File
) -> None:
    seat(stage, latency=30.0)
    file, command = council_file(), [sys.executable, "-c", LOADED]
    for moment in (0.0, 0.2, 0.6, 1.2):
        begun = processes.start("ask", "Best?", "-c", file, "-t", f"t{moment}", command=command)
        assert begun.stdout.readline() == b"loaded\n"
        time.sleep(moment)
        begun.send_signal(signal.SIGINT)
        assert processes.end(begun, seconds=30).code == 130


def test_after_kill_9_no_finished_call_is_made_again(
    processes: Any, mom: Mom, stage: Stage, council_file: File
) -> None:
    _seat_one_fast(stage)
    begun = processes.start("ask", "Best?", "-c", council_file(NAMES), "-t", "pets")
    _until_two_are_speaking(stage)
    begun.kill()
    begun.communicate()
    assert "interrupted" in mom("threads", "list").out
    assert "mom resume pets" in mom("threads", "show", "pets").out
    other = mom("resume", "pets", "-c", "demo")
    assert other.code == 3
    assert "was asked of the council 'desk'" in other.err
    seat(stage, NAMES)
    stage.clear()
    resumed = mom("resume", "--json", "pets")
    assert resumed.code == 0
    assert resumed.object["status"]["spoke"] == list(NAMES)
    asked = [c.model for c in stage.calls if "candidate" not in str(c.body)]
    assert "dmitri" not in asked
    assert {"elena", "farid", "pen"} <= set(asked)


def test_a_reader_who_leaves_is_no_error(processes: Any, stage: Stage, council_file: File) -> None:
    seat(stage)
    stage.model("pen", reply="A line.\n" * 50_000)
    begun = processes.start("ask", "-q", "Best?", "-c", council_file())
    assert begun.stdout.readline() == b"A line.\n"
    begun.stdout.close()
    begun.stdout = None
    ended = processes.end(begun)
    assert (ended.code, ended.err) == (141, "")


def test_output_that_cannot_be_written_is_said(
    processes: Any, mom: Mom, stage: Stage, council_file: File
) -> None:
    seat(stage)
    with open("/dev/full", "wb") as full:
        ended = processes.call("ask", "-q", "Best?", "-c", council_file(), stdout=full)
        assert ended.code == 1
        assert "No space left" in ended.err
        assert "Best?" in mom("threads", "list").out
        whole = processes.call("ask", "Best?", "-c", council_file(), stderr=full)
        assert (whole.code, whole.out) == (0, "What the council says.\n")


def test_a_talk_goes_on_after_an_answer_was_stopped(
    processes: Any, stage: Stage, council_file: File
) -> None:
    stage.model("ada", reply="Mia.", faults=[Fault.hang()])
    stage.model("pen", reply="What the council says.")
    begun = processes.start("chat", "-c", council_file(("Ada",)), "-t", "talk")
    begun.stdin.write(b"The first?\n")
    begun.stdin.flush()
    stage.wait_for(1, timeout=30, started=True)
    begun.send_signal(signal.SIGINT)
    ended = processes.end(begun, b"The second?\n", seconds=20)
    assert (ended.code, ended.out) == (0, "What the council says.\n")
    assert "interrupted; the question is kept: /resume" in ended.err
    assert "('The first?') is given up" in ended.err


def test_a_stopped_answer_goes_on_within_the_talk_and_nothing_is_paid_twice(
    processes: Any, stage: Stage, council_file: File
) -> None:
    stage.model("ada", reply="Mia.")
    stage.model("pen", reply="What the council says.", faults=[Fault.hang()])
    begun = processes.start("chat", "-c", council_file(("Ada",)), "-t", "talk")
    begun.stdin.write(b"/resume\nThe first?\n")
    begun.stdin.flush()
    stage.wait_for(2, timeout=30, started=True)
    begun.send_signal(signal.SIGINT)
    ended = processes.end(begun, b"/resume\n/resume\n", seconds=20)
    assert (ended.code, ended.out) == (0, "What the council says.\n")
    assert "interrupted; the question and 1 answer are kept: /resume" in ended.err
    assert ended.err.count("no question was stopped; type a new one") == 2
    assert len(stage.calls_to("ada")) == 1, "who has answered is not asked again"
