"""A question outlives the page that asked it, and ends when somebody says so."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from mom_council.councils.loader import to_yaml
from mom_council.deliberation.context import CouncilContext
from mom_council.errors import MixtureError, ThreadBusyError
from mom_council.graph.council import compile_council
from mom_council.runs.leases import ThreadLease
from mom_council.runs.page_store import KeptAnswer, repeat_question, show_answer
from mom_council.tests.graph.desk import desk, seat
from mom_council.tests.stage import Fault, Stage
from mom_council.tracing.local import wait_for_traces
from mom_council.tracing.store import TraceStore
from mom_council.ui.history import (
    copy_conversation,
    messages_before,
    read_conversation,
    replace_answer,
)
from mom_council.ui.jobs import BusyError, Job, Jobs
from mom_council.ui.session import PageState

ASKED = [HumanMessage("What is the best pet?", id="q1")]


def until(true: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def ended(job: Job) -> Job:
    until(lambda: not job.running)
    return job


def test_a_job_runs_to_its_answer_and_shows_every_seat(state: PageState, stage: Stage) -> None:
    seat(stage)
    job = ended(state.jobs.ask("t", desk(stage), ASKED))
    view = job.view()
    assert (job.state, job.error) == ("answered", None)
    assert view.answer == "What the council says."
    assert [seat.state for seat in view.round.seats.values()] == ["done"] * 3
    assert view.status is not None
    assert view.status.usage.calls == len(stage.calls)


def test_its_cards_fill_while_it_runs(state: PageState, stage: Stage) -> None:
    seat(stage, {"Ada": "a " * 40, "Boris": "b " * 40, "Clara": "c " * 40}, tokens_per_second=60)
    job = state.jobs.ask("t", desk(stage), ASKED)
    until(lambda: len(job.view().round.seats) == 3)
    until(lambda: all(seat.text for seat in job.view().round.seats.values()))
    first = [len(seat.text) for seat in job.view().round.seats.values()]
    until(lambda: all(
        len(seat.text) > before
        for seat, before in zip(job.view().round.seats.values(), first, strict=True)
    ))  # fmt: skip
    assert job.running


def test_a_view_stays_as_it_was_while_the_run_goes_on(state: PageState, stage: Stage) -> None:
    seat(stage, tokens_per_second=20)
    job = state.jobs.ask("t", desk(stage), ASKED)
    until(lambda: bool(job.view().rounds))
    early = job.view()
    told = {name: (one.state, one.text) for name, one in early.round.seats.items()}
    ended(job)
    assert {name: (one.state, one.text) for name, one in early.round.seats.items()} == told
    assert early.status is None


def test_stop_hangs_up_on_every_model(state: PageState, stage: Stage) -> None:
    seat(stage, latency=30)
    job = state.jobs.ask("t", desk(stage), ASKED)
    stage.wait_for(3, 60, started=True)
    assert state.jobs.stop("t")
    assert job.state == "stopped"
    calls = stage.wait_for(3, 60)
    assert [call.outcome for call in calls] == ["client_left"] * 3


def test_what_was_stopped_is_resumed_without_paying_twice(state: PageState, stage: Stage) -> None:
    seat(stage)
    council = desk(stage)
    stage.model("pen", reply="slow", latency=30)
    state.jobs.ask("t", council, ASKED)
    stage.wait_for(1, 60, started=True, model="pen")
    state.jobs.stop("t")
    paid = len(stage.calls)
    conversation = state.wait_for(read_conversation(state.saver, "t", council))
    assert conversation.is_open
    assert len(conversation.view.round.seats) == 3
    stage.model("pen", reply="What the council says.")
    job = ended(state.jobs.resume("t", council))
    assert job.state == "answered"
    assert [call.model for call in stage.calls[paid:]] == ["pen"]
    assert [seat.state for seat in job.view().round.seats.values()] == ["done"] * 3


def test_two_threads_run_at_once_and_know_nothing_of_each_other(
    state: PageState, stage: Stage
) -> None:
    seat(stage, latency=0.3)
    one = state.jobs.ask("one", desk(stage), [HumanMessage("What is the best cat?")])
    two = state.jobs.ask("two", desk(stage), [HumanMessage("What is the best dog?")])
    assert {job.thread for job in state.jobs.running()} == {"one", "two"}
    state.jobs.stop("one")
    assert (one.state, ended(two).state) == ("stopped", "answered")
    conversation = state.wait_for(read_conversation(state.saver, "two", two.council))
    assert [turn.question.text for turn in conversation.turns] == ["What is the best dog?"]


def test_a_thread_answers_one_question_at_a_time(state: PageState, stage: Stage) -> None:
    seat(stage, latency=30)
    state.jobs.ask("t", desk(stage), ASKED)
    with pytest.raises(BusyError, match="being answered"):
        state.jobs.ask("t", desk(stage), ASKED)


def test_a_failure_stays_on_the_job(state: PageState, stage: Stage) -> None:
    seat(stage, always=Fault.status(400))
    job = ended(state.jobs.ask("t", desk(stage), ASKED))
    assert job.state == "failed"
    assert "Ada" in str(job.error)
    assert {one.state for one in job.view().round.seats.values()} == {"absent"}


def test_a_finished_job_is_found_for_a_while_and_then_dropped(
    state: PageState, stage: Stage
) -> None:
    seat(stage)
    jobs = Jobs(state._loop, state.saver, kept_seconds=0.2)
    job = ended(jobs.ask("t", desk(stage), ASKED))
    assert jobs.of("t") is job
    until(lambda: jobs.of("t") is None)


def test_the_settings_of_a_run_are_its_own(state: PageState, stage: Stage) -> None:
    seat(stage)
    context = CouncilContext(method="none", debug=True)
    job = ended(state.jobs.ask("t", desk(stage), ASKED, context=context))
    assert len(stage.calls) == 4
    assert all(one.prompt for one in job.view().round.seats.values())


def test_a_run_leaves_a_trace_with_its_thread(state: PageState, stage: Stage) -> None:
    seat(stage)
    job = ended(state.jobs.ask("t", desk(stage), ASKED))
    wait_for_traces()
    [summary] = TraceStore().summaries()
    assert (summary.id, summary.thread, summary.council) == (job.trace, "t", "desk")


def test_a_question_is_asked_again_in_the_place_of_its_answer(
    state: PageState, stage: Stage
) -> None:
    seat(stage)
    council = desk(stage)
    ended(state.jobs.ask("t", council, ASKED))
    conversation = state.wait_for(read_conversation(state.saver, "t", council))
    stage.model("pen", reply="On second thought.")
    turn = conversation.turns[-1]
    ended(state.jobs.ask("t", council, repeat_question(turn.question, turn.answer)))
    [turn] = state.wait_for(read_conversation(state.saver, "t", council)).turns
    assert turn.answer is not None
    assert (turn.question.text, turn.answer.text) == (
        "What is the best pet?",
        "On second thought.",
    )


def test_a_reopened_thread_shows_characters_and_ballots_in_the_council_s_order(
    state: PageState, stage: Stage
) -> None:
    seat(stage)
    council = desk(stage, ("Clara", "Ada", "Boris"))
    ended(state.jobs.ask("t", council, ASKED))
    stored = state.wait_for(read_conversation(state.saver, "t", council)).view.round
    assert [name for _, name in stored.seats] == ["Clara", "Ada", "Boris"]
    assert [ballot.voter for ballot in stored.ballots] == ["Clara", "Ada", "Boris"]


def test_an_answer_is_replaced_where_it_stands_and_not_while_a_question_is_open(
    state: PageState, stage: Stage
) -> None:
    seat(stage)
    council = desk(stage)
    ended(state.jobs.ask("t", council, ASKED))
    old = state.wait_for(read_conversation(state.saver, "t", council))
    answer, status = old.turns[0].answer, old.view.status
    assert answer is not None
    assert status is not None
    better = answer.model_copy(update={"content": "A better answer."})
    changed = status.model_copy(update={"written_by": "somebody else"})
    state.wait_for(replace_answer(state.saver, "t", council, better, changed))
    new = state.wait_for(read_conversation(state.saver, "t", council))
    assert [turn.answer.text for turn in new.turns if turn.answer] == ["A better answer."]
    assert new.view.status == changed
    assert not new.is_open

    ended(state.jobs.ask("t", council, [HumanMessage("And birds?", id="q2")]))
    assert any("A better answer." in str(call.body["messages"]) for call in stage.calls_to("ada"))

    stage.model("pen", latency=30)
    job = state.jobs.ask("t", council, [HumanMessage("And fish?", id="q3")])
    stage.wait_for(3, 30, started=True, model="pen")
    state.jobs.stop("t")
    ended(job)
    with pytest.raises(MixtureError, match="not finished"):
        state.wait_for(replace_answer(state.saver, "t", council, answer, status))


def test_a_thread_that_another_program_writes_is_not_edited(state: PageState, stage: Stage) -> None:
    seat(stage)
    council = desk(stage)
    ended(state.jobs.ask("t", council, ASKED))
    before = state.wait_for(read_conversation(state.saver, "t", council))
    [turn] = before.turns
    assert turn.answer is not None
    assert before.view.status is not None

    async def elsewhere(edit: Coroutine[Any, Any, Any]) -> None:
        async with ThreadLease(state.saver, "t"):
            await edit

    graph, other = (
        compile_council(council, state.saver),
        KeptAnswer(question="q1", first="q1", head=before.head),
    )
    for edit in (
        show_answer(graph, state.store, "t", other, current="q1", head=""),
        replace_answer(state.saver, "t", council, turn.answer, before.view.status),
    ):
        with pytest.raises(ThreadBusyError, match="is being answered by"):
            state.wait_for(elsewhere(edit))
    assert state.wait_for(read_conversation(state.saver, "t", council)).head == before.head


def test_a_branch_begins_as_its_thread_did_and_leaves_it_alone(
    state: PageState, stage: Stage
) -> None:
    seat(stage)
    council = desk(stage, history=12)
    ended(state.jobs.ask("t", council, ASKED))
    ended(state.jobs.ask("t", council, [HumanMessage("And the second best?")]))
    conversation = state.wait_for(read_conversation(state.saver, "t", council))
    state.wait_for(
        copy_conversation(state.saver, "b", council, messages_before(conversation.turns, 1))
    )
    ended(state.jobs.ask("b", council, [HumanMessage("And the worst?")]))
    branch = state.wait_for(read_conversation(state.saver, "b", council))
    assert [turn.question.text for turn in branch.turns] == [
        "What is the best pet?",
        "And the worst?",
    ]
    assert all(turn.answer is not None for turn in branch.turns)
    assert state.wait_for(read_conversation(state.saver, "t", council)).turns == conversation.turns


def test_a_new_house_finds_the_threads_of_the_one_before(stage: Stage) -> None:
    seat(stage)
    first = PageState()
    ended(first.jobs.ask("t", desk(stage), ASKED))
    first.close()
    second = PageState()
    conversation = second.wait_for(read_conversation(second.saver, "t", desk(stage)))
    assert conversation.view.answer == "What the council says."
    assert [one.text for one in conversation.view.round.seats.values()]
    second.close()


def test_a_closing_house_hangs_up(stage: Stage) -> None:
    seat(stage, latency=30)
    state = PageState()
    state.jobs.ask("t", desk(stage), ASKED)
    stage.wait_for(3, 60, started=True)
    closing = threading.Thread(target=state.close)
    closing.start()
    assert {call.outcome for call in stage.wait_for(3, 60)} == {"client_left"}
    closing.join()


def test_a_question_waits_for_the_work_that_holds_up_all_threads(
    state: PageState, stage: Stage
) -> None:
    seat(stage)
    working, done = threading.Event(), threading.Event()

    def work() -> None:
        working.set()
        done.wait(60)

    idle = threading.Thread(target=state.jobs.do_while_idle, args=(work,))
    idle.start()
    assert working.wait(60)
    waiting = state.jobs.ask("t", desk(stage), ASKED)
    cancelled = state.jobs.ask("u", desk(stage), ASKED)
    assert state.jobs.stop("u")
    assert (waiting.state, cancelled.state) == ("running", "stopped")
    assert not stage.calls
    done.set()
    idle.join()
    assert ended(waiting).state == "answered"


def test_work_for_idle_times_waits_for_the_question(state: PageState, stage: Stage) -> None:
    seat(stage, latency=30)
    job = state.jobs.ask("t", desk(stage), ASKED)
    stage.wait_for(3, 60, started=True)
    seen: list[bool] = []
    idle = threading.Thread(
        target=state.jobs.do_while_idle, args=(lambda: seen.append(job.running),)
    )
    idle.start()
    state.jobs.stop("t")
    idle.join(60)
    assert seen == [False]


def test_what_the_page_has_loaded_is_not_looked_through_by_collections() -> None:
    gc.unfreeze()
    assert any(one is Jobs for one in gc.get_objects())
    state = PageState()
    try:
        assert not any(one is Jobs for one in gc.get_objects())
    finally:
        state.close()


LEFT_OPEN = """
import sys
from langchain_core.messages import HumanMessage
from mom_council.councils.loader import load_council
from mom_council.ui.session import PageState

state = PageState(sys.argv[1])
if council := sys.argv[2:]:
    job = state.jobs.ask("t", load_council(council[0]), [HumanMessage("What is the best pet?")])
    sys.stdin.readline()
"""


@pytest.mark.slow
@pytest.mark.parametrize("asking", [False, True])
def test_a_page_that_is_left_open_ends_in_silence(
    stage: Stage, tmp_path: Path, asking: bool
) -> None:
    seat(stage, latency=60)
    council = tmp_path / "council.yaml"
    council.write_text(to_yaml(desk(stage)))
    named = [str(council)] if asking else []
    process = subprocess.Popen(
        [sys.executable, "-c", LEFT_OPEN, str(tmp_path / "threads.db"), *named],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    if asking:
        stage.wait_for(3, 60, started=True)
    told, faults = process.communicate("\n", timeout=60)
    assert (told, faults, process.returncode) == ("", "", 0)
    if asking:
        assert {call.outcome for call in stage.wait_for(3, 60)} == {"client_left"}
