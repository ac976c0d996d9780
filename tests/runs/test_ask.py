"""The one recipe: people, approvals, local traces and redaction, for whichever door runs it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from langgraph.checkpoint.base import BaseCheckpointSaver

from mom_council.councils.loader import load_council
from mom_council.councils.schema import Council
from mom_council.deliberation.context import CouncilContext
from mom_council.deliberation.people import PersonRequest
from mom_council.errors import DeliberationError, MixtureError
from mom_council.runs import ask
from mom_council.runs.ask import NobodyThereError, OpenCouncil, Run, open_runs
from mom_council.tests.graph.desk import desk, proposals, said, seat, written
from mom_council.tests.stage import Fault, Reply, Stage
from mom_council.tracing.local import wait_for_traces
from mom_council.tracing.store import TraceStore

QUESTION = [{"role": "user", "content": "What is the best pet?"}]
NAMES = ("Ada", "Boris", "Clara")


@pytest.fixture
async def saver() -> AsyncIterator[BaseCheckpointSaver[Any]]:
    """A store that a door opened, in memory."""
    async with open_runs("memory:") as opened:
        yield opened


class Answering:
    """People who say one thing after another."""

    def __init__(self, *answers: Any, present: bool = True) -> None:
        self.present = present
        self.requests: list[PersonRequest] = []
        self._answers = list(answers)

    async def answer(self, request: PersonRequest) -> Any:
        self.requests.append(request)
        if not self._answers:
            raise NobodyThereError
        return self._answers.pop(0)


def with_a_person(stage: Stage) -> Council:
    made = written(stage, NAMES)
    made["models"]["clara"] = {"provider": "human", "model": "Ms K.", "timeout": 60}
    return load_council(made)


def with_a_tool(stage: Stage) -> Council:
    made = written(stage, NAMES, deliberation={"method": "none"})
    made["tools"] = {"calculator": {"bundled": "calculator", "approve": True}}
    made["characters"][0]["tools"] = ["calculator"]
    call = {"name": "calculator", "args": {"expression": "6 * 7"}, "id": "c1"}
    stage.model("ada", reply=[Reply(None, tool_calls=[call]), "It is 42."])
    return load_council(made)


async def test_a_person_speaks_and_votes_in_one_run_with_one_trace(
    stage: Stage, saver: BaseCheckpointSaver[Any]
) -> None:
    seat(stage)
    people = Answering("A parrot, by far.", "A")
    run = Run(OpenCouncil(with_a_person(stage), saver), QUESTION, thread="t", people=people)
    kinds = [event.kind async for event in run.events()]
    assert kinds[-1] == "answered"
    assert [(one.name, one.votes) for one in people.requests] == [("Ms K.", False), ("Ms K.", True)]
    assert "What is the best pet?" in people.requests[0].prompt
    assert run.values["status"].spoke == ("Ada", "Boris", "Clara")
    assert "A parrot, by far." in proposals(stage.calls_to("pen")[0].body)
    assert len(stage.calls) == 2 + 2 + 1
    wait_for_traces()
    [summary] = TraceStore().summaries()
    assert (summary.id, summary.thread, summary.council) == (run.trace, "t", "desk")
    assert summary.question == "What is the best pet?"


async def test_a_person_who_cannot_be_asked_is_absent_and_nobody_waits(
    stage: Stage, saver: BaseCheckpointSaver[Any]
) -> None:
    seat(stage)
    run = Run(OpenCouncil(with_a_person(stage), saver), QUESTION, thread="t")
    status = (await run.finish())["status"]
    assert status.spoke == ("Ada", "Boris")
    assert [one.character for one in status.absent if one.stage == "character"] == ["Clara"]


async def test_a_tool_is_called_as_it_was_approved(
    stage: Stage, saver: BaseCheckpointSaver[Any]
) -> None:
    seat(stage)
    people = Answering({"c1": {"arguments": {"expression": "3 * 4"}}})
    run = Run(OpenCouncil(with_a_tool(stage), saver), QUESTION, thread="t", people=people)
    await run.finish()
    [request] = people.requests
    assert (request.kind, request.name) == ("approve", "Ada")
    assert "12" in said(stage.calls_to("ada")[1].body)


async def test_without_people_a_tool_that_needs_approval_is_declined(
    stage: Stage, saver: BaseCheckpointSaver[Any]
) -> None:
    seat(stage)
    await Run(OpenCouncil(with_a_tool(stage), saver), QUESTION, thread="t").finish()
    assert "nobody is here to allow" in said(stage.calls_to("ada")[1].body)


async def test_what_nobody_could_answer_waits_in_the_thread_and_is_asked_again(
    stage: Stage, saver: BaseCheckpointSaver[Any]
) -> None:
    seat(stage)
    opened = OpenCouncil(with_a_tool(stage), saver)
    first = Run(opened, QUESTION, thread="t", people=Answering())
    with pytest.raises(DeliberationError, match="Ada"):
        await first.finish()
    assert [one.name for one in first.waiting] == ["Ada"]
    asked = len(stage.calls)
    again = Run(opened, None, thread="t", people=Answering(True))
    assert (await again.finish())["status"].spoke == NAMES
    assert not again.waiting
    assert [call.model for call in stage.calls[asked:]] == ["ada", "pen"]


async def test_an_approval_is_not_waited_for_for_ever(
    stage: Stage, saver: BaseCheckpointSaver[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Silent(Answering):
        async def answer(self, request: PersonRequest) -> Any:
            import asyncio

            await asyncio.Event().wait()

    monkeypatch.setattr(ask, "APPROVAL_SECONDS", 0.05)
    seat(stage)
    run = Run(OpenCouncil(with_a_tool(stage), saver), QUESTION, thread="t", people=Silent())
    with pytest.raises(DeliberationError, match="nobody said whether 'Ada' may call its tools"):
        await run.finish()


async def test_a_run_without_a_thread_has_the_parts_of_the_state_it_names(stage: Stage) -> None:
    seat(stage)
    run = Run(OpenCouncil(desk(stage)), QUESTION, state_keys=("status", "segments"))
    values = await run.finish()
    assert set(values) == {"status", "segments"}
    assert len(values["segments"]) == len(stage.calls)


async def test_a_trace_holds_no_key_and_is_left_out_on_request(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ODD_NAME", "zebra-crossing-4711")
    seat(stage)
    made = written(stage, NAMES)
    for spec in made["models"].values():
        spec["api_key_env"] = "ODD_NAME"
    opened = OpenCouncil(load_council(made))
    asked = [{"role": "user", "content": "Is zebra-crossing-4711 a key?"}]
    told = Run(opened, asked)
    await told.finish()
    off = Run(opened, asked, traced=False)
    await off.finish()
    assert off.trace is None
    wait_for_traces()
    store = TraceStore()
    assert [one.id for one in store.summaries()] == [told.trace]
    full = store.load(str(told.trace))
    assert full is not None
    assert "Is [" in full.summary.question
    assert "zebra-crossing" not in full.model_dump_json()
    assert "What the council says." in full.model_dump_json()


async def test_a_resumed_question_keeps_the_settings_that_it_was_asked_with(
    stage: Stage, saver: BaseCheckpointSaver[Any]
) -> None:
    """The council holds two rounds; the question was asked with one, of another method."""
    seat(stage, NAMES)
    rules = {"method": "plurality", "rounds": {"min": 2, "max": 2}}
    opened = OpenCouncil(desk(stage, deliberation=rules), saver)
    stage.scripts["pen"].faults = [Fault.hang()]
    settings = CouncilContext(max_rounds=1, method="borda", debug=True)
    first = Run(opened, QUESTION, thread="t", context=settings)
    asking = asyncio.create_task(first.finish())
    await asyncio.to_thread(stage.wait_for, 1, 30, started=True, model="pen")
    asking.cancel()
    await asyncio.wait({asking})
    calls = len(stage.calls)
    again = Run(opened, None, thread="t")
    status = (await again.finish())["status"]
    assert (status.rounds, status.verdict.method) == (1, "borda")
    assert len(stage.calls) == calls + 1
    assert (again.context.max_rounds, again.context.debug) == (1, False)


async def test_what_is_said_at_the_resume_counts_before_what_was_said_then(
    stage: Stage, saver: BaseCheckpointSaver[Any]
) -> None:
    seat(stage, NAMES)
    for name in NAMES:
        stage.scripts[name.lower()].faults = [Fault.status(500)]
    opened = OpenCouncil(desk(stage), saver)
    settings = CouncilContext(max_calls=9, seed=7)
    with pytest.raises(MixtureError):
        await Run(opened, QUESTION, thread="t", context=settings).finish()
    again = Run(opened, None, thread="t", context=CouncilContext(max_calls=30))
    assert (await again.finish())["status"].spoke == NAMES
    assert (again.context.max_calls, again.context.seed) == (30, 7)
